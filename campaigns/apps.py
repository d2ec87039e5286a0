"""The app's registration with Django."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings


class CampaignsConfig(AppConfig):
    """Event-triggered e-mail: the app of which the packages are the stages."""

    name = "campaigns"
    verbose_name = "Campaigns"

    def ready(self) -> None:
        """Register checks; in a cluster, load what its workers will run."""
        import_module("campaigns.checks")
        import_module("campaigns.deciding.incarnation").watch()
        if settings.IN_CLUSTER:  # once, before it forks them
            import_module("campaigns.tasks")
