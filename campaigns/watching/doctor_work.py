"""The work: clusters, provider, webhooks, senders, and what waits for a person."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q

from campaigns.deciding import address_key, clock, incarnation
from campaigns.domain.signatures import usable
from campaigns.models import (
    ClusterBeat,
    Message,
    Provider,
    Sender,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.providers.sendgrid import scopes
from campaigns.reports.readiness import dead_clusters
from campaigns.watching.findings import Finding, error, good, warning

QUIET_WEBHOOKS: Final = timedelta(hours=6)
WAITING_WEBHOOKS: Final = timedelta(minutes=5)
COUNTED: Final = 1_000
# Nobody can prove to send for these (RFC 2606), or they belong to mailbox providers,
# whose DMARC policies have mail of others refused.
RESERVED_ENDINGS: Final = (".example", ".invalid", ".test", ".localhost")
RESERVED: Final = frozenset({"example.com", "example.net", "example.org", "localhost"})
MAILBOXES: Final = frozenset(
    {"gmail.com", "googlemail.com", "yahoo.com", "outlook.com", "hotmail.com",
     "live.com", "icloud.com", "aol.com", "gmx.de", "gmx.net", "web.de", "proton.me"}
)  # fmt: skip


def provider_key() -> Iterator[Finding]:
    """Ask the provider what our key may do; sends nothing."""
    if settings.SIMULATED:
        level = warning if settings.EMBEDDED else error
        yield level(
            "provider key",
            "There is none: no real mail leaves, but to a simulator.",
            "Set SENDGRID_API_KEY to send.",
        )
        return
    try:
        found = scopes.scopes(
            api_key=settings.SENDGRID_API_KEY, host=settings.SENDGRID_HOST
        )
    except scopes.KeyRefused as refused:
        yield error(
            "provider key",
            f"SendGrid refuses it ({refused}).",
            "Make a key with the permission Mail Send, and set SENDGRID_API_KEY.",
        )
        return
    except scopes.NotReached as away:
        yield error(
            "provider key",
            f"SendGrid gave no answer that says anything ({away}).",
            "May this host open connections to SENDGRID_HOST?",
        )
        return
    if scopes.SEND not in found:
        yield error(
            "provider key",
            "It works, but may not send.",
            "Give it the permission Mail Send.",
        )
    else:
        yield good("provider key", "It works and may send.")


def incarnation_fits() -> Iterator[Finding]:
    """Look whether the database is the one that mailed last, or a backup of it."""
    with incarnation.allowed():
        found = incarnation.read()
    if found.fits:
        yield good("incarnation", "It is the database that mailed last.")
    else:
        yield error(
            "incarnation",
            "It was restored, moved or taken over: nothing is taken and nothing sent.",
            "Run `python manage.py after_restore` (docs/operations.md).",
        )


def address_key_fits() -> Iterator[Finding]:
    """Compare the key that addresses are hashed with to the one in use."""
    if address_key.fits():
        yield good("address key", "It is the one that suppressions were stored with.")
    else:
        yield error(
            "address key",
            "It is not the one that suppressions were stored with: none would hold.",
            "Put the former ADDRESS_HASH_KEY, or SECRET_KEY, back.",
        )


def clusters() -> Iterator[Finding]:
    """Look when each cluster last worked, on each host."""
    now = clock.now()
    for name, why in dead_clusters(now).items():
        yield error(name, why, "Start `python manage.py cluster`; read its log.")
    for beat in ClusterBeat.objects.all():
        age = beat.away(now)
        if age is None:
            continue  # It is starting.
        what = "was stopped" if beat.seen_at is None else "showed work last"
        says = f"It {what} {age.total_seconds():.0f} s ago."
        if beat.works(now):
            yield good(f"cluster {beat.name}", says)
        else:
            yield warning(
                f"cluster {beat.name}",
                says,
                "Start it again. Is that host gone for good? Then delete its row in "
                "the admin.",
            )


def providers() -> Iterator[Finding]:
    """Look whether mails may be handed over now."""
    now = clock.now()
    rows = list(Provider.objects.all())
    if not any(row.enabled for row in rows):
        yield error("provider", "None is switched on.", "Switch one on in the admin.")
    for row in rows:
        part = f"provider {row.name}"
        if row.paused_until is not None and row.paused_until > now:
            yield warning(part, f"Paused: {row.pause_reason}", "Mails wait meanwhile.")
        elif row.open_until is not None:
            yield warning(
                part,
                f"Its breaker opened after {row.failures} failures in a row.",
                "Single mails try it; look at the attempts of the newest mails.",
            )
        elif row.enabled:
            yield good(part, "It takes mails.")


def webhooks() -> Iterator[Finding]:
    """Look whether the provider can tell us what became of mails, and does."""
    endpoints = list(WebhookEndpoint.objects.filter(enabled=True))
    if not endpoints:
        yield error(
            "webhook",
            "There is none: bounces and complaints are not heard of.",
            "Run: python manage.py create_webhook sendgrid --key …",
        )
        return
    for endpoint in endpoints:
        if not usable(endpoint.public_keys):
            yield error(
                "webhook",
                f"{endpoint} has no usable verification key: all it gets is refused.",
                "Copy the key from SendGrid's signed event webhook.",
            )
    yield from _webhook_ages()


def _webhook_ages() -> Iterator[Finding]:
    now = clock.now()
    newest = WebhookBatch.objects.order_by("-received_at").first()
    sent = Message.objects.filter(
        created_at__gt=now - QUIET_WEBHOOKS,
        state="sent",
        settled_at__lt=now - WAITING_WEBHOOKS,
    ).exists()
    if newest is None or newest.received_at < now - QUIET_WEBHOOKS:
        when = "never" if newest is None else f"{(now - newest.received_at)} ago"
        if sent:
            yield warning(
                "webhook",
                f"Mails left lately, but the last webhook came {when}.",
                "Is the event webhook on in SendGrid, and does it post to PUBLIC_URL?",
            )
        else:
            yield good("webhook", f"The last came {when}; no mail left lately.")
    else:
        age = (now - newest.received_at).total_seconds()
        yield good("webhook", f"The last came {age:.0f} s ago.")
    waiting = WebhookBatch.objects.filter(pending_at__lt=now - WAITING_WEBHOOKS)
    if waiting.exists():
        yield warning(
            "webhook",
            "Some have waited to be applied for more than five minutes.",
            "Does the feedback cluster run? The admin shows their errors.",
        )


def senders() -> Iterator[Finding]:
    """Look whether mail from these addresses can be believed by its receivers."""
    rows = list(Sender.objects.all())
    if not rows:
        yield warning("sender", "There is none.", "Make one in the admin.")
    for row in rows:
        domain = row.from_email.rpartition("@")[2].lower()
        part = f"sender {row.name}"
        if domain in RESERVED or domain.endswith(RESERVED_ENDINGS) or "." not in domain:
            level = warning if settings.SIMULATED else error
            yield level(part, f"{domain} belongs to nobody.", "Use a domain of yours.")
        elif domain in MAILBOXES:
            yield error(
                part,
                f"{domain} is a mailbox provider's: its DMARC policy has such mail refused.",
                "Use a domain of yours, authenticated at SendGrid.",
            )
        elif not row.postal_address.strip():
            yield error(part, "It has no postal address.", "The law asks for one.")
        else:
            yield good(
                part, f"{domain}; SPF and DKIM are SendGrid's domain authentication."
            )


def attention() -> Iterator[Finding]:
    """Count mails that wait for a person."""
    for state, words, mend in (
        ("unknown", "of which nobody knows whether they left",
         "Webhooks settle most; look at the rest in the admin, under messages."),
        ("held", "held back", "Mend their template, or resume their rule."),
    ):  # fmt: skip
        number = Message.objects.filter(Q(state=state)).order_by()[:COUNTED].count()
        if number:
            more = " or more" if number == COUNTED else ""
            yield warning("mails", f"{number}{more} {words}.", mend)
