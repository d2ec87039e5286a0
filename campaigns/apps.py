"""The one Django app."""

from django.apps import AppConfig


class CampaignsConfig(AppConfig):
    """Events, rules, journeys and mail."""

    name = "campaigns"
    verbose_name = "Campaigns"
