"""Provider events: applied, against signatures that are only verified."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from bench.bench import Bench
from bench.measure import Sample
from bench.options import Sizes
from bench.place import Place, count, expect
from bench.results import Ratio
from bench.world import open_shop
from campaigns.deciding import clock
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.ids import new_id
from campaigns.domain.signatures import Verdict, verify_sendgrid
from campaigns.feedback.apply import drain
from campaigns.models import Attempt, Message, WebhookBatch, WebhookEndpoint

BATCH: Final = 100
EVENTS: Final = ("delivered", "open")  # two of each mail
LONG_S: Final = 600.0


def ratios(_sizes: Sizes) -> list[Ratio]:
    """Return what is compared."""
    return [
        Ratio(
            id="webhooks",
            title="webhook events applied, batches of 100 / signatures verified alone",
            num="webhooks.applied",
            den="webhooks.verified",
            target=0.3,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Signed:
    body: bytes
    signature: str
    timestamp: str


def run(bench: Bench) -> None:
    """Time stored bodies being applied, and the same bodies being verified."""
    with bench.places("webhooks") as (place,):
        work = _Work(bench, place)
        work.applied()
        bench.interleaved(
            {"webhooks.applied": work.applied, "webhooks.verified": work.verified}
        )


class _Work:
    """Mails that were sent, and what the provider says of them."""

    def __init__(self, bench: Bench, place: Place) -> None:
        self._bench = bench
        self._place = place
        self._private = ec.generate_private_key(ec.SECP256R1())
        der = self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._public = base64.b64encode(der).decode()
        self._bodies: list[_Signed] = []
        self._stored = 0
        with place.here():
            self._provider = open_shop().provider
            self._endpoint = WebhookEndpoint.objects.create(
                slug="bench", public_keys=[self._public]
            )

    def applied(self) -> Sample:
        """Store signed bodies as the door does, and time their applying; by events."""
        batches = self._bench.sizes.webhooks
        n = batches * BATCH
        with self._place.here():
            now = clock.now()
            self._bodies = self._signed(self._mails(n // len(EVENTS), now), now)
            WebhookBatch.objects.bulk_create(
                WebhookBatch(
                    endpoint=self._endpoint,
                    received_at=now,
                    pending_at=now,
                    body=signed.body,
                )
                for signed in self._bodies
            )
            sample = self._bench.meter.timed(lambda: drain(LONG_S))
            self._stored += n
            expect("batches applied", sample.n, batches)
            expect("events", count("deliveryevent"), self._stored)
            wanted = self._stored // len(EVENTS)
            for column in ("delivered_at", "opened_at"):
                expect(column, count("message", f"{column} IS NOT NULL"), wanted)
        return Sample(n, sample.seconds, sample.cpu)

    def verified(self) -> Sample:
        """Verify the same bodies and nothing else; by signatures."""
        rounds = 20
        with self._place.here():
            now = clock.now()
        return self._bench.meter.timed(lambda: self._verify(rounds, now))

    def _verify(self, rounds: int, now: datetime) -> int:
        believed = 0
        for _ in range(rounds):
            for signed in self._bodies:
                verdict = verify_sendgrid(
                    signed.body,
                    signature=signed.signature,
                    timestamp=signed.timestamp,
                    keys=[self._public],
                    now=now,
                    max_age=settings.WEBHOOK_MAX_AGE,
                )
                believed += verdict is Verdict.OK
        expect("signatures", believed, rounds * len(self._bodies))
        return believed

    def _mails(self, n: int, now: datetime) -> list[Message]:
        mails = [self._mail(now) for _ in range(n)]
        Message.objects.bulk_create(mails, 1000)
        Attempt.objects.bulk_create(
            [
                Attempt(
                    id=token,
                    message=mail,
                    number=1,
                    provider_id=self._provider,
                    state="accepted",
                    started_at=now,
                )
                for mail in mails
                if (token := mail.token)
            ],
            1000,
        )
        return mails

    def _mail(self, now: datetime) -> Message:
        key, token = new_id(), uuid4()
        address = f"u{key}@example.com"
        return Message(
            id=key,
            customer_id=key,
            purpose="api",
            kind="marketing",
            lane=1,
            template_version_id=0,
            state="sent",
            due_at=now,
            created_at=now,
            address=address,
            address_hash=address_hash(address),
            attempt=1,
            token=token,
            sending_at=now,
            provider_id=self._provider,
            provider_message_id=f"pm{token.hex[:16]}",
        )

    def _signed(self, mails: Sequence[Message], now: datetime) -> list[_Signed]:
        items = [_item(mail, event, now) for mail in mails for event in EVENTS]
        stamp = str(int(now.timestamp()))
        found = []
        for start in range(0, len(items), BATCH):
            body = json.dumps(items[start : start + BATCH]).encode()
            made = self._private.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
            found.append(_Signed(body, base64.b64encode(made).decode(), stamp))
        return found


def _item(mail: Message, event: str, now: datetime) -> dict[str, object]:
    return {
        "event": event,
        "email": mail.address,
        "timestamp": int(now.timestamp()) + 1,
        "sg_event_id": f"{event}-{mail.pk}",
        "sg_message_id": f"{mail.provider_message_id}.recvd-5c9.filter1.0",
        "smtp-id": f"<{mail.pk}@acorn-supply.example>",
        "category": ["marketing"],
        "et_message": str(mail.pk),
        "et_token": str(mail.token),
    }
