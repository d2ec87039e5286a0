"""Company, senders, topics and providers: what every mail has in common."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns.admin.base import KeptAdmin
from campaigns.admin.details import (
    Panel,
    allowed,
    badge,
    demand,
    register,
    when,
)
from campaigns.deciding import clock
from campaigns.domain.addresses import AddressInvalid, check_display_name, validate
from campaigns.journeys.publishing import (
    PublishRefused,
    change_settings,
    company_refusals,
    set_company,
)
from campaigns.models import Company, Provider, Sender, Topic
from campaigns.providers.registry import KINDS


class CompanyForm(forms.ModelForm):  # type: ignore[type-arg]
    """What holds for every rule."""

    class Meta:
        model = Company
        fields = ("name", "time_zone", "cap_messages", "cap_days")

    def clean(self) -> dict[str, Any] | None:
        """Refuse what no decision could use, at its field."""
        cleaned = super().clean() or {}
        for found in company_refusals(
            cleaned.get("time_zone", "UTC"),
            cleaned.get("cap_messages"),
            cleaned.get("cap_days", 7),
        ):
            self.add_error(found.field, found.message)
        return cleaned


@register(Company)
class CompanyAdmin(KeptAdmin):
    """The one company: the list leads straight to it."""

    form = CompanyForm

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return no: there is one."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Go to the one row, made if it is missing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row, _ = Company.objects.get_or_create(pk=1)
        return HttpResponseRedirect(self.page_of(row.pk))

    def save_model(
        self, request: HttpRequest, obj: Company, form: Any, change: Any
    ) -> None:
        """Change it so that the next decision sees it."""
        try:
            set_company(
                name=obj.name,
                time_zone=obj.time_zone,
                cap_messages=obj.cap_messages,
                cap_days=obj.cap_days,
            )
        except PublishRefused as refused:
            messages.error(request, str(refused))


class SenderForm(forms.ModelForm):  # type: ignore[type-arg]
    """A From line that mailboxes take."""

    class Meta:
        model = Sender
        fields = (
            "name", "from_name", "from_email", "reply_to", "company_name",
            "postal_address", "provider",
        )  # fmt: skip
        labels = {"name": "Name in this admin"}

    def clean_from_name(self) -> str:
        """Return the name; refuse one that could start a header."""
        try:
            return check_display_name(self.cleaned_data["from_name"])
        except AddressInvalid as error:
            raise ValidationError(str(error)) from None

    def clean_from_email(self) -> str:
        """Return the address as it will be sent."""
        try:
            return validate(self.cleaned_data["from_email"])
        except AddressInvalid as error:
            raise ValidationError(f"This address {error}.") from None


@register(Sender)
class SenderAdmin(KeptAdmin):
    """Who mail comes from; former versions of rules, too, name theirs."""

    form = SenderForm
    list_display = ("name", "from_name", "from_email", "provider", "address")
    list_select_related = ("provider",)
    empty_title = "No sender yet"
    empty_words = "A sender is the From line of mails, with the postal address that marketing needs."
    search_fields = ("name", "from_email")
    sortable_by = ()
    actions = None

    def address(self, obj: Sender) -> SafeString:
        """Return whether marketing mail may be sent with it."""
        if obj.postal_address.strip():
            return badge("complete", "good")
        return badge("no postal address", "warn")

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Save it so that the next decision sends through its provider."""
        save = super().save_model
        change_settings(lambda: save(request, obj, form, change))


@register(Topic)
class TopicAdmin(KeptAdmin):
    """What a customer can be mailed about; people's choices and proofs hang on it."""

    list_display = ("name", "slug", "consent", "description")
    empty_title = "No topic yet"
    empty_words = "A topic is what people can subscribe to and unsubscribe from."
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    sortable_by = ()
    actions = None

    def consent(self, obj: Topic) -> SafeString:
        """Return whether it needs a yes, or ends with a no."""
        return badge("opt-in", "busy") if obj.opt_in else badge("opt-out")

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Save it so that no mail leaves by what it said before."""
        save = super().save_model
        change_settings(lambda: save(request, obj, form, change))


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """A connection and its rate."""

    class Meta:
        model = Provider
        fields = ("name", "kind", "enabled", "rate_per_s", "burst")
        labels = {"rate_per_s": "Mails a second"}

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS])


def health(provider: Provider) -> SafeString:
    """Return in a word how the connection is."""
    now = clock.now()
    if not provider.enabled:
        return badge("switched off")
    if provider.paused_until and provider.paused_until > now:
        return badge("paused")
    if provider.open_until and provider.open_until > now:
        return badge("not answering", "bad")
    return badge("healthy")


@register(Provider)
class ProviderAdmin(KeptAdmin):
    """The connections that mail leaves through; one is switched off, not deleted."""

    form = ProviderForm
    list_display = ("name", "kind", "state", "why", "rate_per_s")
    sortable_by = ()
    actions = None
    empty_title = "No provider yet"
    empty_words = "A provider is the connection that mail leaves through."
    change_form_template = "admin/campaigns/provider_form.html"

    def state(self, obj: Provider) -> SafeString:
        """Return its health."""
        return health(obj)

    def why(self, obj: Provider) -> str:
        """Return why it is paused."""
        return obj.pause_reason or "-"

    state.short_description = "Health"  # type: ignore[attr-defined]

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Write the form's own columns: its health belongs to the senders."""
        if change:
            obj.save(update_fields=sorted(form.fields))
        else:
            obj.save()

    def get_urls(self) -> list[Any]:
        """Add the resuming."""
        route = "<int:pk>/resume/"
        own = self.posted(route, self.resume_view, "campaigns_provider_resume")
        return [own, *super().get_urls()]

    def form_context(self, request: HttpRequest, pk: int | None) -> dict[str, Any]:
        """Return the connection's health, and the way to resume it."""
        found = Provider.objects.filter(pk=pk).first() if pk is not None else None
        if found is None:
            return {}
        extra: dict[str, Any] = {"panel": Panel("Health", facts=_health_facts(found))}
        held = found.paused_until or found.open_until
        if held and allowed(request, "change_provider"):
            where = reverse("admin:campaigns_provider_resume", args=[found.pk])
            extra["resume_url"] = where
        return extra

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Let mail leave again at once, whatever paused it."""
        demand(request, "change_provider")
        found = Provider.objects.filter(pk=pk)
        found.update(paused_until=None, pause_reason="", open_until=None, failures=0)
        for provider in found:
            self.log_change(request, provider, "Resumed")
        messages.success(request, "Mail leaves through it again.")
        return HttpResponseRedirect(self.page_of(pk))


def _health_facts(obj: Provider) -> list[tuple[str, object]]:
    return [
        ("State", health(obj)),
        ("Paused until", when(obj.paused_until)),
        ("Because", obj.pause_reason or "-"),
        ("Failures in a row", obj.failures),
        ("Not tried until", when(obj.open_until)),
    ]
