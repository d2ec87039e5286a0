"""The paths of links in mails. Without and with a slash: a POST is not redirected."""

from django.urls import re_path

from campaigns.compliance import views

urlpatterns = [
    re_path(r"^u/(?P<token>.*?)/?$", views.unsubscribe, name="unsubscribe"),
]
