"""What every screen of the admin stands on: the theme, the viewer's zone, limits.

The only module that knows Unfold; without it the same screens are Django's own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.db import DataError, OperationalError
from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from campaigns.deciding.patience import no_longer_than, took_too_long
from campaigns.domain.timing import zone_of
from campaigns.models import Company

LIST_TIMEOUT_MS: Final = 3000
TOO_SLOW: Final = (
    "That search took longer than 3 seconds and was stopped. Search by a whole e-mail "
    "address or an id."
)
UNSEARCHABLE: Final = "The database cannot hold what was searched for."
ZONE_COOKIE: Final = "et_zone"
UNFOLD: Final = "unfold" in settings.INSTALLED_APPS

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _ModelAdmin
    from django.contrib.admin import StackedInline as _StackedInline
    from django.contrib.admin import TabularInline as _TabularInline
    from django.contrib.admin.widgets import AdminTextareaWidget as TextArea
    from django.contrib.admin.widgets import AdminTextInputWidget as TextInput
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm
    from django.forms import CheckboxSelectMultiple as CheckboxList
    from django.forms import Select

    ThemeAdmin = _ModelAdmin[Any]
    StackedInline = _StackedInline[Any, Any]
    TabularInline = _TabularInline[Any, Any]
elif UNFOLD:
    from unfold.admin import ModelAdmin as ThemeAdmin
    from unfold.admin import StackedInline, TabularInline
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget as CheckboxList
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextareaWidget as TextArea
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput
else:
    from django.contrib.admin import ModelAdmin as ThemeAdmin
    from django.contrib.admin import StackedInline, TabularInline
    from django.contrib.admin.widgets import AdminTextareaWidget as TextArea
    from django.contrib.admin.widgets import AdminTextInputWidget as TextInput
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
    from django.contrib.auth.forms import AdminUserCreationForm as UserCreationForm
    from django.forms import CheckboxSelectMultiple as CheckboxList
    from django.forms import Select

__all__ = [
    "UNFOLD", "AdminPasswordChangeForm", "BaseAdmin", "CheckboxList", "FewRows", "KeptAdmin",
    "ReadOnlyAdmin", "Select", "StackedInline", "TabularInline", "TextArea", "TextInput",
    "UserChangeForm", "UserCreationForm", "actor", "is_id", "moment", "viewer_zone",
]  # fmt: skip


def actor(request: HttpRequest) -> str:
    """Return the name under which the records keep who did it."""
    return request.user.get_username()


def viewer_zone(request: HttpRequest) -> ZoneInfo:
    """Return the zone that the browser named, else the company's, else UTC."""
    named = request.COOKIES.get(ZONE_COOKIE, "")[:60]
    company = Company.objects.filter(pk=1).values_list("time_zone", flat=True).first()
    return zone_of(named or None, zone_of(company or None, ZoneInfo("UTC")))


def is_id(term: str) -> bool:
    """Say whether the words can be an id of a row."""
    return term.isascii() and term.isdigit() and len(term) <= 18


def moment(text: str) -> datetime | None:
    """Return the moment in an address, None for what is none or lacks its offset."""
    try:
        found = datetime.fromisoformat(text)
        # Not every offset that Python takes is one to PostgreSQL.
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


@contextmanager
def bounded_reading() -> Iterator[None]:
    """Read in one transaction, no statement for longer than LIST_TIMEOUT_MS."""
    with atomic(), no_longer_than(LIST_TIMEOUT_MS):
        yield


def rendered(response: HttpResponse) -> HttpResponse:
    """Return the response with its template rendered, still within limits and zone."""
    if isinstance(response, SimpleTemplateResponse) and not response.is_rendered:
        response.render()
    return response


class BaseAdmin(ThemeAdmin):
    """A screen: times in the viewer's zone, lists that never hold the database up."""

    list_per_page = 50
    show_full_result_count = False
    # What an empty list says, and what to do next
    empty_title = ""
    empty_words = ""
    # Unfold's own
    warn_unsaved_form = True
    list_filter_sheet = False
    compressed_fields = True

    class Media:
        css = {"all": ["campaigns/admin.css"]}
        js = ["campaigns/admin.js"]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list; say so if what is searched for cannot be found in time, or at all."""
        try:
            return self._list(request, extra_context)
        except OperationalError as error:
            if not took_too_long(error) or not request.GET:
                raise
            words = TOO_SLOW
        except DataError:
            if not request.GET:
                raise
            words = UNSEARCHABLE
        messages.warning(request, words)
        return HttpResponseRedirect(request.path)

    def _list(self, request: HttpRequest, extra_context: Any) -> HttpResponse:
        bounds = bounded_reading() if request.method == "GET" else nullcontext()
        with timezone.override(viewer_zone(request)), bounds:
            return rendered(super().changelist_view(request, extra_context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show or take the form, with times in the viewer's zone."""
        with timezone.override(viewer_zone(request)):
            pk = int(object_id) if object_id is not None and is_id(object_id) else None
            extra = {**(extra_context or {}), **self.form_context(request, pk)}
            return rendered(
                super().changeform_view(request, object_id, form_url, extra)
            )

    def form_context(self, request: HttpRequest, pk: int | None) -> dict[str, Any]:
        """Return what the form's page shows around the form; `pk` is None for a new row."""
        return {}

    def posted(self, route: str, view: Callable[..., HttpResponse], name: str) -> Any:
        """Return the path of what a button does: by POST, and logged in."""
        return path(route, self.admin_site.admin_view(require_POST(view)), name=name)

    def page_of(self, pk: int) -> str:
        """Return the address of a row's page."""
        return reverse(f"admin:campaigns_{self.opts.model_name}_change", args=[pk])


class FewRows(StackedInline):
    """Rows within a form. No more are read than five times `max_num`.

    What a form claims to hold would else be made, row by row, and shown again.
    """

    extra = 0
    max_num = 20

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Return the rows' forms, bounded."""
        kwargs["absolute_max"] = 5 * self.max_num
        return super().get_formset(request, obj, **kwargs)


class KeptAdmin(BaseAdmin):
    """Rows that are never deleted, because others name them."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody deletes one by hand."""
        return False


class ReadOnlyAdmin(KeptAdmin):
    """What the engine writes: to be looked at, changed by nobody."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody adds one by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return that nobody changes one by hand."""
        return False
