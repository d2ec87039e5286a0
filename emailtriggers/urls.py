"""The paths of the whole site: the admin, and what the app answers."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.utils.functional import lazy
from django.views.generic import RedirectView

ICON = lazy(static, str)("campaigns/favicon.svg")

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("campaigns.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    # Browsers ask for it on their own, on pages that name no icon.
    path("favicon.ico", RedirectView.as_view(url=ICON)),
]
handler400 = "emailtriggers.errors.bad_request"
handler404 = "emailtriggers.errors.not_found"
handler500 = "emailtriggers.errors.server_error"
