"""Which provider a kind names; one client for each process and account."""

import os
from functools import lru_cache
from typing import Final

from campaigns.providers.base import Provider
from campaigns.providers.sendgrid.client import SendGridProvider

KINDS: Final = ("sendgrid",)


class UnknownProvider(ValueError):
    """No provider of this kind is built in."""


def provider_for(kind: str, *, api_key: str, host: str) -> Provider:
    """Return this process's provider; the same one for the same arguments.

    Raises UnknownProvider, or ValueError for a host or key that cannot work.
    """
    return _made(kind, api_key, host, os.getpid())


@lru_cache(maxsize=16)
def _made(kind: str, api_key: str, host: str, _process: int) -> Provider:
    # The process is part of the key: a forked child that used its parent's
    # connections would mix two conversations on one socket.
    if kind == "sendgrid":
        return SendGridProvider(api_key=api_key, host=host)
    known = ", ".join(KINDS)
    raise UnknownProvider(f"there is no provider of the kind {kind!r}; use {known}")
