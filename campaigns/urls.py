"""What the app answers, stage by stage."""

from django.urls import include, path

urlpatterns = [
    path("", include("campaigns.watching.urls")),
    path("", include("campaigns.reports.urls")),
    path("", include("campaigns.receive.urls")),
    path("", include("campaigns.feedback.urls")),
    path("", include("campaigns.compliance.urls")),
]
