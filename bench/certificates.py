"""A certificate for localhost, and a bundle of authorities that vouches for it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificates:
    """The server's certificate with its key, and what clients trust.

    `authorities` holds the usual ones, too: reading them is what a client does that
    talks to a real provider.
    """

    server: Path
    authorities: Path


def certificates(folder: Path) -> Certificates:
    """Make them, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(tz=UTC)  # noqa: TID251 - the validity of a certificate
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    server, authorities = folder / "server.pem", folder / "authorities.pem"
    server.write_bytes(public + private)
    server.chmod(0o600)
    authorities.write_bytes(public + Path(certifi.where()).read_bytes())
    return Certificates(server, authorities)
