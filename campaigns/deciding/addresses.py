"""What stands for an address in the tables that outlive it."""

from functools import lru_cache

from django.conf import settings

from campaigns.domain.addresses import keyed_hash


def address_hash(address: str) -> bytes:
    """Return the keyed hash, 16 bytes, of the address's normal form."""
    return _hashed(address, settings.ADDRESS_HASH_KEYS[0])


@lru_cache(maxsize=1_024)  # one decision asks for the same addresses many times
def _hashed(address: str, key: str) -> bytes:
    return keyed_hash(address, key.encode())
