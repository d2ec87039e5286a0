"""The key that addresses are hashed with must stay: suppressions are found by it.

With another key no suppression fits any address, silently, and who refused mail
would get it again; nor do the hashes of mails, by which late bounces and complaints
find theirs and caps are counted. So the database keeps the key's fingerprint.
"""

import hashlib
import hmac
from typing import Final

from django.conf import settings

from campaigns.models import IngestState, Message, Suppression

_PURPOSE: Final = b"emailtriggers address key fingerprint"
_CHANGED: Final = (
    "The key that addresses are hashed with is not the one that suppressions and "
    "mails in this database were stored with: none of them would be found. ADDRESS_HASH_KEY, or "
    "SECRET_KEY that it is derived from, was changed. Put the former one back; to "
    "change SECRET_KEY, first run with the old one `python manage.py "
    "address_hash_key` and set ADDRESS_HASH_KEY to what it prints."
)


class AddressKeyChanged(Exception):
    """Addresses were stored under another key; mailing must not begin."""

    def __init__(self) -> None:
        super().__init__(_CHANGED)


def fingerprint() -> str:
    """Return what tells keys apart and says nothing of the key, 64 characters."""
    key = settings.ADDRESS_HASH_KEYS[0].encode()
    return hmac.new(key, _PURPOSE, hashlib.sha256).hexdigest()


def fits() -> bool:
    """Return whether the key is the one in use, or none is; changes nothing."""
    kept = IngestState.objects.filter(pk=1).values_list("address_key", flat=True)
    known = kept.first()
    return not known or known == fingerprint() or not _anything_hashed()


def confirm() -> None:
    """Return if the key is the one in use, or none was; raises AddressKeyChanged.

    Before the first suppression and the first mail a new key is taken up: nothing
    is lost by it.
    """
    mine = fingerprint()
    kept = IngestState.objects.filter(pk=1).values_list("address_key", flat=True)
    known = kept.first()
    if known is None or known == mine:
        return
    if known and _anything_hashed():
        raise AddressKeyChanged
    IngestState.objects.filter(pk=1, address_key=known).update(address_key=mine)


def _anything_hashed() -> bool:
    """Return whether a row was stored that is to be found by an address's hash."""
    # Of mails those that began to leave, in the words of message_cap_idx.
    left = Message.objects.filter(sending_at__isnull=False, address_hash__isnull=False)
    return Suppression.objects.exists() or left.exists()
