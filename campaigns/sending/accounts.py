"""The providers that this process is connected to."""

from django.conf import settings

from campaigns.providers.base import Provider
from campaigns.providers.registry import provider_for


def connected(kind: str) -> Provider:
    """Return the provider of that kind; connections live as long as the process."""
    return provider_for(
        kind, api_key=settings.SENDGRID_API_KEY, host=settings.SENDGRID_HOST
    )
