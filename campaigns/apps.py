"""The app's registration with Django."""

from importlib import import_module

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """Event-triggered e-mail: the app of which the packages are the stages."""

    name = "campaigns"
    verbose_name = "Campaigns"

    def ready(self) -> None:
        """Register the system checks."""
        import_module("campaigns.checks")
