"""SendGrid's webhooks as it would post them, and what they did."""

import base64
import json
import secrets
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from campaigns.models import (
    Message,
    Suppression,
    WebhookBatch,
    WebhookEndpoint,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
T0 = int(NOW.timestamp()) - 600


class At:
    def __init__(self, now):
        self.time = now

    def now(self):
        return self.time


def a_key():
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, base64.b64encode(der).decode()


PRIVATE, PUBLIC = a_key()
OTHER_PRIVATE, OTHER_PUBLIC = a_key()


def an_endpoint(*keys, **changes):
    return WebhookEndpoint.objects.create(
        slug=secrets.token_urlsafe(16), public_keys=list(keys or (PUBLIC,)), **changes
    )


def signed(body, *, private=PRIVATE, at=NOW):
    stamp = str(int(at.timestamp()))
    made = private.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_SIGNATURE": base64.b64encode(made).decode(),
        "HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_TIMESTAMP": stamp,
    }


def post(path, body, **headers):
    client = Client(enforce_csrf_checks=True)
    return client.post(path, data=body, content_type="application/json", **headers)


def deliver(endpoint, items, **how):
    body = items if isinstance(items, bytes) else json.dumps(items).encode()
    return post(endpoint.path(), body, **signed(body, **how))


def store(*items):
    """Store bodies as the view does; each item list is a body of its own."""
    endpoint = WebhookEndpoint.objects.first() or an_endpoint()
    for body in items:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        WebhookBatch.objects.create(
            endpoint=endpoint, received_at=NOW, pending_at=NOW, body=raw
        )


def item(mail, event, at=0, **changes):
    made = {
        "event": event,
        "email": mail.address,
        "timestamp": T0 + at,
        "sg_event_id": f"{event}-{mail.pk}-{at}",
        "sg_message_id": f"{mail.provider_message_id or 'late'}.recvd-5c9.filter1.0",
        "et_message": str(mail.pk),
        "et_token": str(mail.token),
    } | changes
    return {k: v for k, v in made.items() if v is not None}


def sole():
    return Message.objects.get()


def suppressed():
    return set(Suppression.objects.values_list("address", "reason", "scope"))


def stamp(seconds):
    return datetime.fromtimestamp(T0 + seconds, tz=UTC)


HARD = {"type": "bounce", "status": "5.1.1", "reason": "550 no such user"}
