"""The providers that this process is connected to, by their rows."""

from collections.abc import Iterable

from django.conf import settings

from campaigns.models import Provider as ProviderRow
from campaigns.providers.base import Provider
from campaigns.providers.registry import provider_for


def connected(ids: Iterable[int]) -> dict[int, Provider]:
    """Return the provider of each row; connections live as long as the process."""
    return {
        row.pk: provider_for(
            row.kind, api_key=settings.SENDGRID_API_KEY, host=settings.SENDGRID_HOST
        )
        for row in ProviderRow.objects.filter(pk__in=set(ids))
    }
