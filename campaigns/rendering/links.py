"""The links that stand in mails."""

from typing import Final

from django.conf import settings

from campaigns.domain.tokens import make_unsubscribe_token

UNSUBSCRIBE_PATH: Final = "/u/"
# Stands in previews and test mails: its page shows what a reader would see, and
# nothing there acts.
INERT_TOKEN: Final = "preview"  # noqa: S105 - a word that everybody may know


def unsubscribe_url(
    message_id: int, customer_id: int, topic_id: int | None, address_hash: bytes
) -> str:
    """Return the link that ends mail about the topic (None: about everything)."""
    token = make_unsubscribe_token(
        message_id,
        customer_id,
        topic_id,
        address_hash,
        key=settings.UNSUBSCRIBE_KEYS[0].encode(),
    )
    return f"{settings.PUBLIC_URL}{UNSUBSCRIBE_PATH}{token}"


def preview_unsubscribe_url() -> str:
    """Return the link for mails that reach no customer; it does nothing."""
    return f"{settings.PUBLIC_URL}{UNSUBSCRIBE_PATH}{INERT_TOKEN}"
