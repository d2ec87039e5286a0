"""Where Prometheus asks."""

from django.urls import path

from campaigns.watching import page

urlpatterns = [path("metrics", page.metrics, name="metrics")]
