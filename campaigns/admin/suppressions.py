"""Suppressions: added by hand, lifted with a reason, never deleted."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns.admin.base import Select, TextArea, TextInput, actor, is_id
from campaigns.admin.details import Panel, allowed, badge, demand, link, register, when
from campaigns.admin.lists import BigListAdmin
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.suppressing import lift, suppress
from campaigns.domain.addresses import AddressInvalid, validate
from campaigns.domain.states import SuppressionReason
from campaigns.models import Suppression, Topic


class SuppressionForm(forms.Form):
    """An address that must not be mailed, and about what."""

    address = forms.CharField(
        label="E-mail address", max_length=320, widget=TextInput()
    )
    topic = forms.ModelChoiceField(
        Topic.objects.all(),
        required=False,
        empty_label="Everything, receipts too",
        label="Do not mail about",
        widget=Select(),
    )
    note = forms.CharField(
        label="Why", max_length=150, widget=TextInput(), help_text="For the record."
    )

    def clean_address(self) -> str:
        """Return the address; say what is wrong with one that is none."""
        try:
            return validate(self.cleaned_data["address"])
        except AddressInvalid as error:
            raise ValidationError(f"This address {error}.") from None


class LiftForm(forms.Form):
    """Why an address may be mailed again."""

    why = forms.CharField(
        label="Why may it be mailed again?",
        max_length=500,
        widget=TextArea(attrs={"rows": 3}),
    )


@register(Suppression)
class SuppressionAdmin(BigListAdmin):
    """Suppressions, the newest first."""

    empty_title = "No address is suppressed"
    empty_words = "Bounces, spam reports and unsubscribes appear here; an address can be added by hand."
    list_display = ("who", "about", "because", "since", "state")
    list_filter = ("reason", "scope")
    list_select_related = ("topic",)
    search_help_text = "A whole e-mail address or an id."

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let those add who may."""
        return allowed(request, "add_suppression")

    def who(self, obj: Suppression) -> str:
        """Return the address; an erased one is known by its hash alone."""
        return obj.address or "erased address"

    def about(self, obj: Suppression) -> str:
        """Return how far it reaches."""
        return str(obj.topic or "everything")

    def because(self, obj: Suppression) -> SafeString:
        """Return the reason."""
        return badge(obj.reason)

    def since(self, obj: Suppression) -> Any:
        """Return when it began."""
        return when(obj.created_at)

    def state(self, obj: Suppression) -> SafeString:
        """Return whether it holds."""
        return badge("lifted") if obj.lifted_at else badge("in force", "warn")

    who.short_description = "Address"  # type: ignore[attr-defined]
    because.short_description = "Reason"  # type: ignore[attr-defined]

    def search(self, term: str) -> Q:
        """Find by address, as the gate does: by its hash."""
        found = Q(address_hash=address_hash(term))
        return found | Q(pk=int(term)) if is_id(term) else found

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Suppress an address from now on."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = SuppressionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._suppress(request, form.cleaned_data)
        intro = "From then on no mail to this address begins, whoever has it."
        return self._page(request, form, "Suppress an address", intro)

    def _suppress(self, request: HttpRequest, given: dict[str, Any]) -> HttpResponse:
        topic = given["topic"]
        new = suppress(
            given["address"],
            reason=SuppressionReason.UNSUBSCRIBED
            if topic
            else SuppressionReason.MANUAL,
            origin=f"{actor(request)}: {given['note']}",
            topic=topic.pk if topic else None,
        )
        if new:
            messages.success(request, f"{given['address']} is suppressed from now on.")
        else:
            messages.warning(request, f"{given['address']} was suppressed so already.")
        return HttpResponseRedirect(reverse("admin:campaigns_suppression_changelist"))

    def panels(self, request: HttpRequest, obj: Suppression) -> Iterable[Panel]:
        """Return why it stands, and how it ended."""
        yield Panel(
            "Suppression",
            facts=[
                ("Address", self.who(obj)),
                ("About", link(obj.topic) if obj.topic else "everything"),
                ("Reason", badge(obj.reason)),
                ("From", obj.origin),
                ("Since", when(obj.created_at)),
                ("Until", when(obj.ends_at) if obj.ends_at else "lifted by hand"),
                ("State", self.state(obj)),
            ],
        )
        if obj.lifted_at:
            yield Panel(
                "Lifted",
                facts=[
                    ("At", when(obj.lifted_at)),
                    ("By", obj.lifted_by),
                    ("Because", obj.lifted_reason),
                ],
            )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show it, with the way to lift it for those who may."""
        extra = dict(extra_context or {})
        if allowed(request, "change_suppression") and is_id(object_id):
            holds = Suppression.objects.filter(pk=object_id, lifted_at=None).exists()
            where = reverse("admin:campaigns_suppression_lift", args=[object_id])
            extra["lift"] = (where, LiftForm()) if holds else None
        return super().change_view(request, object_id, form_url, extra)

    detail_template = "admin/campaigns/suppression.html"

    def get_urls(self) -> list[Any]:
        """Add the lifting."""
        own = self.posted(
            "<int:pk>/lift/", self.lift_view, "campaigns_suppression_lift"
        )
        return [own, *super().get_urls()]

    def lift_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lift a suppression, with a reason."""
        demand(request, "change_suppression")
        form = LiftForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Say why the address may be mailed again.")
        elif lift(pk, by=actor(request), why=form.cleaned_data["why"]):
            messages.success(request, "Lifted. The address may be mailed again.")
        else:
            messages.warning(request, "This suppression was lifted before.")
        return HttpResponseRedirect(self.page_of(pk))

    def _page(
        self, request: HttpRequest, form: forms.Form, title: str, intro: str
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "intro": intro,
            "form": form,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/campaigns/form.html", context)
