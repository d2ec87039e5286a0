"""django-post-office in a process of its own: `python -m bench.peer`.

It migrates its database and says "ready"; then, for each input line with a number, it
queues so many mails by `mail.send`, each of a template with a context, and prints the
seconds that took and how many mails its table holds.
"""

import json
import sys
import time

import django

django.setup()

# Importable only now that Django is set up.
from django.core.management import call_command  # noqa: E402
from post_office import mail  # noqa: E402
from post_office.models import Email, EmailTemplate  # noqa: E402


def queue(n: int, *, start: int, template: EmailTemplate) -> float:
    """Queue `n` mails, one call each; return the seconds."""
    began = time.perf_counter()
    for number in range(start, start + n):
        mail.send(
            f"u{number}@example.com",
            "hello@acorn-supply.example",
            template=template,
            context={"first_name": "Ada", "number": number},
            render_on_delivery=True,
        )
    return time.perf_counter() - began


def main() -> None:
    """Do as the input says, until it ends."""
    call_command("migrate", verbosity=0, interactive=False)
    template = EmailTemplate.objects.create(
        name="cart",
        subject="Your cart is still here, {{ first_name }}",
        content="Hello {{ first_name }}",
        html_content="<p>Hello {{ first_name }}</p>",
    )
    _print("ready")
    start = 0
    for line in sys.stdin:
        n = int(json.loads(line))
        seconds = queue(n, start=start, template=template)
        start += n
        _print({"seconds": seconds, "mails": Email.objects.count()})


def _print(told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
