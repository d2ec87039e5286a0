"""The paths of the whole site: the admin, and what the app answers."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("campaigns.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
handler400 = "emailtriggers.errors.bad_request"
handler404 = "emailtriggers.errors.not_found"
handler500 = "emailtriggers.errors.server_error"
