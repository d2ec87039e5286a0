"""What stands for an address in the tables that outlive it."""

from django.conf import settings

from campaigns.domain.addresses import keyed_hash


def address_hash(address: str) -> bytes:
    """Return the keyed hash, 16 bytes, of the address's normal form."""
    return keyed_hash(address, settings.ADDRESS_HASH_KEYS[0].encode())
