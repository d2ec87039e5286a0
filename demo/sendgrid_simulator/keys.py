"""The ECDSA P-256 key that signs webhooks; kept, so that it survives restarts."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class KeyFileInvalid(ValueError):
    """The file holds no key that the simulator could sign with."""


class SigningKey:
    """Signs as SendGrid does: over the timestamp and then the raw body."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def kept_in(cls, path: Path | None) -> "SigningKey":
        """Return the key in `path`, made at the first start; None keeps nothing.

        The public half is written beside it, as base64, in `<path>.pub`.
        """
        if path is not None and path.exists():
            return cls(_read(path))
        made = cls(ec.generate_private_key(ec.SECP256R1()))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(
                made._key.private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
                )
            )
            Path(f"{path}.pub").write_text(made.public() + "\n", "ascii")
        return made

    def public(self) -> str:
        """Return the public key as SendGrid shows it: base64 of its DER form."""
        der = self._key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode("ascii")

    def sign(self, body: bytes, *, timestamp: str) -> str:
        """Return the signature header's value."""
        signed = self._key.sign(
            timestamp.encode("ascii") + body, ec.ECDSA(hashes.SHA256())
        )
        return base64.b64encode(signed).decode("ascii")


def _read(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise KeyFileInvalid(f"{path} holds no private key; remove it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileInvalid(f"{path} holds another kind of key; remove it")
    return key
