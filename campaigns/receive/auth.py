"""Which source a write key speaks for."""

import base64
import binascii
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest

from campaigns.domain.events import SourceRef, Trust
from campaigns.models import Source, SourceKey

# A revoked key is refused after at most MAX_AGE_S.
REFRESH_S: Final = 1.0
MAX_AGE_S: Final = 2.0
# Unknown keys ask the database at most this often, however many arrive.
MISSES_PER_S: Final = 5.0
MISS_BURST: Final = 20.0
MAX_KEY_CHARS: Final = 500
KEY_BYTES: Final = 24
SHOWN_CHARS: Final = 6  # by which people tell keys apart

KeyTable = Mapping[bytes, SourceRef]


def named_key(request: HttpRequest) -> str | None:
    """Return the write key that the header (Basic `key:`) or the query names.

    A Bearer token says nothing about the source: the body then names the key.
    """
    key = basic_key(request.headers.get("Authorization", ""))
    return request.GET.get("writeKey") or None if key is None else key


def basic_key(authorization: str) -> str | None:
    """Return the key that an Authorization header names, None if it is not Basic."""
    scheme, _, value = authorization.partition(" ")
    return _basic_user(value) if scheme.lower() == "basic" else None


def hash_key(key: str) -> bytes:
    """Return the 32 bytes under which a write key is stored."""
    return hashlib.sha256(key.encode(errors="replace")).digest()


def new_key(source: Source) -> str:
    """Make a further key of the source and return it, this once."""
    key = secrets.token_urlsafe(KEY_BYTES)
    keep_key(source, key)
    return key


def keep_key(source: Source, key: str) -> None:
    """Let the source post with the key, of which only the hash is kept; safe twice."""
    SourceKey.objects.get_or_create(
        key_hash=hash_key(key),
        defaults={"source": source, "prefix": key[:SHOWN_CHARS]},
    )


def load_keys() -> KeyTable:
    """Read every key that is valid now."""
    rows = SourceKey.objects.filter(
        revoked_at__isnull=True, source__enabled=True
    ).select_related("source")
    return {
        bytes(row.key_hash): SourceRef(
            row.source.pk,
            row.source.name,
            Trust(row.source.trust),
            row.source.kind,
        )
        for row in rows
    }


@dataclass(slots=True)
class KeyRing:
    """The valid keys, kept in the process for about a second. Thread-safe.

    `clock` is monotonic, in seconds. What `load` raises goes to the caller:
    without the database nothing is known about a key.
    """

    load: Callable[[], KeyTable] = load_keys
    clock: Callable[[], float] = time.monotonic
    _table: KeyTable = field(default_factory=dict)
    _loaded_at: float | None = None
    _misses: float = MISS_BURST
    _missed_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str) -> SourceRef | None:
        """Return the source of the key, or None if it is unknown or revoked."""
        if not key or len(key) > MAX_KEY_CHARS:
            return None
        digest = hash_key(key)
        asked_at = self.clock()
        self._refresh_if_old(asked_at)
        found = self._table.get(digest)
        if found is None and self._may_ask_again(asked_at):
            found = self._table.get(digest)
        return found

    def peek(self, key: str) -> SourceRef | None:
        """Return the source of the key if it is known now; never asks or waits.

        None also while somebody should read the keys anew: `find` does.
        """
        age = self._age(self.clock())
        if age >= MAX_AGE_S or (age >= REFRESH_S and not self._lock.locked()):
            return None
        return self._table.get(hash_key(key)) if len(key) <= MAX_KEY_CHARS else None

    def forget(self) -> None:
        """Read the keys anew at the next look."""
        with self._lock:
            self._loaded_at = None
            self._misses = MISS_BURST

    def _refresh_if_old(self, asked_at: float) -> None:
        age = self._age(asked_at)
        if age < REFRESH_S:
            return
        # While one thread reads, the others go on with a table not yet too old.
        if not self._lock.acquire(blocking=age >= MAX_AGE_S):
            return
        try:
            if self._age(asked_at) >= REFRESH_S:
                self._read()
        finally:
            self._lock.release()

    def _may_ask_again(self, asked_at: float) -> bool:
        """Read the table for a key it lacks, unless that was done too often."""
        with self._lock:
            if self._loaded_at is not None and self._loaded_at > asked_at:
                return True
            gained = max(0.0, asked_at - self._missed_at) * MISSES_PER_S
            self._misses = min(MISS_BURST, self._misses + gained)
            self._missed_at = asked_at
            if self._misses < 1.0:
                return False
            self._misses -= 1.0
            self._read()
            return True

    def _age(self, now: float) -> float:
        return MAX_AGE_S if self._loaded_at is None else now - self._loaded_at

    def _read(self) -> None:
        # Aged from before the query, so that a slow one makes no key live longer.
        started = self.clock()
        self._table = self.load()
        self._loaded_at = started


KEYS: Final = KeyRing()


def _basic_user(value: str) -> str | None:
    """Return the user of Basic credentials; empty text if they are malformed."""
    try:
        pair = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return pair.partition(":")[0].strip()
