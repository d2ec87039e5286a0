"""A process of the keel's second test: runs its share of each history in threads.

Reads histories from standard input, a line of base64 pickle each; answers a
line for each: "ok", or the errors that surfaced.
"""

import base64
import json
import os
import pickle
import sys
import threading
import traceback


def main():
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    from campaigns.deciding import clock, marks
    from campaigns.ingest import fold
    from tests.keel.live import Live, SharedClock

    settings.RECORD_ORDER = True
    fold.WORTH_A_STATEMENT = 1
    print("ready", flush=True)
    for line in sys.stdin:
        setting, shares = pickle.loads(base64.b64decode(line))
        shared = SharedClock()
        errors = []
        marks.forget()
        live = Live(setting, shared)

        def work(share, live=live, errors=errors):
            try:
                for operation in share:
                    live.run(operation)
            except Exception:
                errors.append(traceback.format_exc())
            finally:
                connection.close()

        with clock.use(shared):
            threads = [threading.Thread(target=work, args=(s,)) for s in shares]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        print(json.dumps(errors), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailtriggers.settings")
    main()
