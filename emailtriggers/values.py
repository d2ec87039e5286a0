"""Checks and derivations of settings' values."""

import hmac
import secrets
from hashlib import sha256
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def bounded(value: int, *, name: str, low: int, high: int) -> int:
    """Return the value; ImproperlyConfigured, by name, if it is out of bounds."""
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} must be from {low} to {high}, not {value}")
    return value


def secret_key(given: str, folder: Path) -> str:
    """Return the secret key given, else the one generated and kept in the folder."""
    if given:
        return given
    kept = folder / "secret_key"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_urlsafe(48))
    return kept.read_text().strip()


def derived_key(given: str, secret: str, *, use: str) -> bytes:
    """Return 32 bytes: of the value given, else derived from the secret for this use."""
    seed = given or secret
    return hmac.new(seed.encode(), f"emailtriggers:{use}".encode(), sha256).digest()
