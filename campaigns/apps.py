"""The app's registration with Django."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """Event-triggered e-mail: the app of which the packages are the stages."""

    name = "campaigns"
    verbose_name = "Campaigns"
