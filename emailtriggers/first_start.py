"""What `manage.py run` needs in the database before anybody can look at it."""

import secrets
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model

from campaigns.models import Rule, Source, WebhookEndpoint
from demo.seed import seed
from demo.sendgrid_simulator.keys import SigningKey

ADMIN: Final = "admin"
SIMULATOR: Final = "simulator"  # its folder in VAR_DIR


def kept_secret(path: Path) -> str:
    """Return the secret in that file, generated at the first call (mode 0600)."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(15))
    return path.read_text().strip()


def ensure_admin() -> str:
    """Create the first administrator; return the password, '' once it was changed."""
    password = kept_secret(settings.VAR_DIR / "admin_password")
    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists():
        users.create_superuser(ADMIN, "", password)
        return password
    admin = users.filter(username=ADMIN).first()
    return password if admin is not None and admin.check_password(password) else ""


def ensure_samples() -> str:
    """Fill an empty database with the samples; return their write key, '' if none."""
    path = settings.VAR_DIR / "write_key"
    if not Rule.objects.exists() and not Source.objects.exists():
        seed(write_key=kept_secret(path), live=settings.SIMULATED)
    return path.read_text().strip() if path.exists() else ""


def ensure_simulator_webhook() -> str:
    """Let the simulator's signed webhooks in; return the URL to post them to."""
    folder = settings.VAR_DIR / SIMULATOR
    folder.mkdir(parents=True, exist_ok=True)
    key = SigningKey.kept_in(folder / "webhook-key.pem").public()
    endpoint, _ = WebhookEndpoint.objects.get_or_create(
        public_keys=[key], defaults={"slug": secrets.token_urlsafe(24)}
    )
    return f"http://127.0.0.1:{settings.PORT}{endpoint.path()}"
