"""Every page of the admin, asked for by a superuser; run alone for another theme."""

import sys
from pathlib import Path

MODELS = (
    "clusterbeat", "company", "customer", "event", "journey", "message", "provider",
    "refusedcount", "rejectedevent", "rule", "sender", "source", "suppression", "template", "topic",
    "webhookbatch", "webhookendpoint",
)  # fmt: skip
ADDED = ("rule", "sender", "source", "suppression", "template", "topic", "provider")


def pages():
    """Return the address of every list, of each one's rows, and of every add form."""
    from django.apps import apps
    from django.urls import reverse

    found = [reverse("admin:index")]
    for model in MODELS:
        found.append(reverse(f"admin:campaigns_{model}_changelist"))
        rows = apps.get_model("campaigns", model).objects.values_list("pk", flat=True)
        found += [reverse(f"admin:campaigns_{model}_change", args=[pk]) for pk in rows]
    found += [reverse(f"admin:campaigns_{model}_add") for model in ADDED]
    found += [reverse(f"admin:auth_{m}_changelist") for m in ("user", "group")]
    found += [reverse(f"admin:auth_{m}_add") for m in ("user", "group")]
    users = apps.get_model("auth", "user").objects.values_list("pk", flat=True)
    found += [reverse("admin:auth_user_change", args=[pk]) for pk in users]
    steps = apps.get_model("campaigns", "step").objects.values_list("pk", flat=True)
    found += [reverse("admin:campaigns_step_change", args=[pk]) for pk in steps]
    for name in ("message_mail", "template_preview"):
        model = name.partition("_")[0]
        rows = apps.get_model("campaigns", model).objects.values_list("pk", flat=True)
        found += [reverse(f"admin:campaigns_{name}", args=[pk]) for pk in rows]
    return found


def failures(client):
    """Return (address, status) of the pages that do not answer 200."""
    wrong = []
    for address in pages():
        response = client.get(address)
        if response.status_code == 302 and "/company/" in response["Location"]:
            continue
        if response.status_code != 200:
            wrong.append((address, response.status_code))
    return wrong


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()
    viewer = Client()
    viewer.force_login(get_user_model().objects.get(is_superuser=True))
    bad = failures(viewer)
    sys.stdout.write(f"{len(pages())} pages, wrong: {bad}\n")
    sys.exit(bool(bad))
