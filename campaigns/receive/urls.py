"""The paths of the event APIs: vendors' own, at the root, as their SDKs need."""

from django.urls import path, re_path

from campaigns.receive import views

urlpatterns = [
    path(
        "v1/projects/<str:key>/settings",
        views.browser_settings,
        name="browser-settings",
    ),
    re_path(r"^v1/(?P<call>[A-Za-z]+)/?$", views.post_events, name="segment"),
]
