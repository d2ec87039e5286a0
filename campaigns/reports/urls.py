"""The paths of reports that machines read."""

from django.urls import path

from campaigns.reports import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
