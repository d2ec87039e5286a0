"""Who may use this admin, in the look of the rest; and what is not shown in it."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import ManyToManyField, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest

from campaigns.admin.base import (
    AdminPasswordChangeForm,
    BaseAdmin,
    CheckboxList,
    UserChangeForm,
    UserCreationForm,
)

# The queue is only a wake-up: its rows say nothing that our own pages do not say
# better, and changing them by hand helps nobody.
for _model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
admin.site.unregister((User, Group))
admin.site.index_title = "Overview"
admin.site.site_title = admin.site.site_header = "emailtriggers"


def offered_permissions() -> QuerySet[Permission]:
    """Return the permissions about what has a page in this admin."""
    shown = ContentType.objects.get_for_models(*admin.site._registry)  # noqa: SLF001
    return (
        Permission.objects.filter(content_type__in=shown.values())
        .select_related("content_type")
        .order_by("content_type__app_label", "content_type__model", "codename")
    )


class PermissionsField(ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Permissions as boxes, each in Django's words: "Can change rule"."""

    def label_from_instance(self, obj: Any) -> str:
        """Return the permission's name without the table's."""
        return str(obj.name)


class _BoxesAdmin(BaseAdmin):
    """Groups and permissions as boxes to tick: they fit a narrow screen."""

    filter_horizontal = ()
    actions = None

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offer boxes; of the permissions only those that open a page here."""
        boxes = CheckboxList(attrs={"class": "et-boxes"})
        if db_field.remote_field.model is Permission:
            return PermissionsField(
                offered_permissions(),
                label=db_field.verbose_name.capitalize(),
                required=False,
                widget=boxes,
            )
        return super().formfield_for_manytomany(
            db_field, request, **{**kwargs, "widget": boxes}
        )


@admin.register(User)
class UserAdmin(_BoxesAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    """The people who log in here."""

    list_display = ("username", "email", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    readonly_fields = ("last_login", "date_joined")
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(_BoxesAdmin, DjangoGroupAdmin):  # type: ignore[misc]
    """Groups of them, with what each may see and do."""

    empty_title = "No group yet"
    empty_words = "A group gives several people the same permissions, such as Editors."
