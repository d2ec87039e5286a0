"""The cache that web workers share, from CACHE_URL; it holds whole numbers only."""

from typing import Any, Final
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

OWN: Final = "django.core.cache.backends.locmem.LocMemCache"
REDIS: Final = "django.core.cache.backends.redis.RedisCache"
MEMCACHED: Final = "django.core.cache.backends.memcached.PyMemcacheCache"
BACKENDS: Final = {"redis": REDIS, "rediss": REDIS, "pymemcache": MEMCACHED}
# No request waits longer than this for a step of the cache's.
TIMEOUT_S: Final = 0.25


class WholeNumbers:
    """What is stored and read: numbers. Anything else is nothing.

    Django's own way unpickles what it finds, so that whoever can write to the
    cache could run code here.
    """

    def dumps(self, value: int) -> int:
        """Return what Redis is given."""
        return int(value)

    def loads(self, data: bytes) -> int | None:
        """Return the number that Redis held, None if it is none."""
        try:
            return int(data)
        except ValueError:
            return None

    def serialize(self, _key: str, value: int) -> tuple[bytes, int]:
        """Return what Memcached is given, and its flags."""
        return str(int(value)).encode(), 0

    def deserialize(self, _key: str, value: bytes, _flags: int) -> int | None:
        """Return the number that Memcached held, None if it is none."""
        return self.loads(value)


def caches(env: environ.Env, name: str) -> dict[str, dict[str, Any]]:
    """Return CACHES: each process its own, and `shared` if a URL is given.

    `shared` is no default, so that neither Django nor django-q2 comes to lean on
    it. Raises ImproperlyConfigured, without the URL's password.
    """
    found: dict[str, dict[str, Any]] = {"default": {"BACKEND": OWN}}
    url = urlsplit(env.str(name, default="").strip())
    if not url.geturl():
        return found
    if url.scheme not in BACKENDS or not (url.hostname or url.path.strip("/")):
        raise ImproperlyConfigured(
            f"{name} must look like redis://host:6379/0, rediss://... or "
            f"pymemcache://host:11211, not {url.scheme}://..."
        )
    backend = BACKENDS[url.scheme]
    shared: dict[str, Any] = env.cache(name, backend=backend)
    ours = REDIS_OPTIONS if backend is REDIS else MEMCACHED_OPTIONS
    options = {**shared.get("OPTIONS", {}), **ours}
    return {
        **found,
        "shared": {"KEY_PREFIX": "emailtriggers", **shared, "OPTIONS": options},
    }


REDIS_OPTIONS: Final = {
    "serializer": WholeNumbers(),
    "socket_connect_timeout": TIMEOUT_S,
    "socket_timeout": TIMEOUT_S,
}
MEMCACHED_OPTIONS: Final = {
    "serde": WholeNumbers(),
    "connect_timeout": TIMEOUT_S,
    "timeout": TIMEOUT_S,
    "no_delay": True,
    # Who stands before it knows better when to try again.
    "retry_attempts": 0,
    "dead_timeout": 0,
}
