"""What an unsubscribe link speaks of, and what using it does."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Exists

from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import unsubscribe
from campaigns.deciding.transaction import roots
from campaigns.domain.tokens import UnsubscribeToken, read_unsubscribe_token
from campaigns.models import Company, Customer, Message, Topic
from campaigns.rendering.links import INERT_TOKEN

TEST_PURPOSE = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a page may say. Names are '' when they are not known.

    `inert` means that the mail was a preview or a test: nothing is kept.
    """

    token: UnsubscribeToken | None
    inert: bool
    topic: str
    company: str
    address: str


def read(text: str) -> UnsubscribeToken | None:
    """Return what a link's token says, None if no key of ours signed it."""
    keys = [key.encode() for key in settings.UNSUBSCRIBE_KEYS]
    return read_unsubscribe_token(text, keys=keys)


def ask(text: str) -> Asked | None:
    """Look up what the page of this link may say; None if the link is not ours."""
    if text == INERT_TOKEN:
        return _inert()
    token = read(text)
    if token is None:
        return None
    topic = Topic.objects.filter(pk=token.topic_id).first() if token.topic_id else None
    address, inert = _mailed(token)
    return Asked(
        token=token,
        inert=inert,
        topic=topic.name if topic else "",
        company=_company(),
        address=address,
    )


def act(asked: Asked, *, everything: bool, origin: str, wording: str) -> None:
    """Keep the refusal; it holds for queued mail too when this returns."""
    token = asked.token
    if asked.inert or token is None:
        return
    unsubscribe(
        token.customer_id,
        token.address_hash,
        None if everything else token.topic_id,
        origin=origin,
        wording=wording,
        message=token.message_id,
    )


def _inert() -> Asked:
    return Asked(
        token=None,
        inert=True,
        topic="Product news",
        company=_company(),
        address=mask("somebody@example.com"),
    )


def _company() -> str:
    company = Company.objects.filter(pk=1).first()
    return company.name if company else ""


def _mailed(token: UnsubscribeToken) -> tuple[str, bool]:
    """Return the mailed address, masked, and whether it was mailed a test.

    Masked, since a forwarded mail must not give it away.
    """
    found = roots([token.customer_id]).get(token.customer_id, token.customer_id)
    test = Message.objects.filter(pk=token.message_id, purpose=TEST_PURPOSE)
    people = Customer.objects.filter(pk=found).values_list("email", Exists(test))
    email, inert = people.first() or (None, False)
    if not email or address_hash(email) != token.address_hash:
        return "", inert
    return mask(email), inert


def mask(email: str) -> str:
    """Return an address that its owner knows again and nobody else learns."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"
