"""`python -m demo.sendgrid_simulator`: serve until Ctrl-C or SIGTERM."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from demo.sendgrid_simulator.keys import KeyFileInvalid
from demo.sendgrid_simulator.server import Simulator
from demo.sendgrid_simulator.store import DataFolderInvalid


def main() -> int:
    """Return the exit code: 0 after a stop, 1 if it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.sendgrid_simulator",
        description="A stand-in for SendGrid, with an inbox in the browser.",
    )
    parser.add_argument("--port", type=int, default=8025)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--data", type=Path, help="keep mails and the key in this folder"
    )
    parser.add_argument("--webhook", default="", help="post signed events to this URL")
    parser.add_argument(
        "--key-file", type=Path, help="the signing key, made if missing"
    )
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    try:
        simulator = Simulator(**vars(chosen)).start()
    except (OSError, OverflowError, KeyFileInvalid, DataFolderInvalid) as error:
        where = f"{chosen.host}:{chosen.port}"
        sys.stderr.write(f"The SendGrid simulator cannot start on {where}: {error}\n")
        return 1
    sys.stdout.write(f"SendGrid simulator and inbox: {simulator.url}\n")
    sys.stdout.flush()
    stopped.wait()
    simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
