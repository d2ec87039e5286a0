"""One step's page: its mails, with shares, conditions and a fallback."""

from typing import Any

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns.admin.base import BaseAdmin, FewRows
from campaigns.admin.details import link, register
from campaigns.admin.rule_forms import VariantForm
from campaigns.domain.document_parts import MAX_VARIANTS
from campaigns.models import Rule, Step, Variant


class VariantInline(FewRows):
    """The mails that the step may send."""

    model = Variant
    form = VariantForm
    max_num = MAX_VARIANTS
    ordering_field = "position"
    hide_ordering_field = True
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "position",
                    "name",
                    "template",
                    ("weight", "fallback"),
                    "condition",
                )
            },
        ),
    )


@register(Step)
class StepAdmin(BaseAdmin):
    """Reached from the rule's page only."""

    fields = ("of_rule", "explained")
    readonly_fields = ("of_rule", "explained")
    inlines = (VariantInline,)
    actions = None

    def of_rule(self, step: Step) -> SafeString | str:
        """Return the way back."""
        return link(step.rule)

    def explained(self, step: Step) -> SafeString:
        """Return how one of several mails is chosen."""
        return format_html(
            "{}",
            "The first mail whose condition holds is sent; of several without a "
            "condition one is drawn by weight, the same for a person each time. The "
            "fallback is sent when the chosen one cannot be rendered.",
        )

    of_rule.short_description = "Rule"  # type: ignore[attr-defined]
    explained.short_description = "How it works"  # type: ignore[attr-defined]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Keep steps out of the menus: they belong to their rule."""
        return False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return no: steps are added on the rule's page."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return no: steps are removed on the rule's page."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change rules may change their steps."""
        user: Any = request.user
        return bool(user.has_perm("campaigns.change_rule"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see rules may see their steps."""
        user: Any = request.user
        return bool(
            user.has_perm("campaigns.view_rule")
            or user.has_perm("campaigns.change_rule")
        )

    def save_related(
        self, request: HttpRequest, form: Any, formsets: Any, change: Any
    ) -> None:
        """Save the mails, and let an editor of the rule know that it changed."""
        super().save_related(request, form, formsets, change)
        Rule.objects.filter(pk=form.instance.rule_id).update(edition=F("edition") + 1)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Go back to the rule, where it is published."""
        messages.success(request, "The step's mails are saved as a draft.")
        where = reverse("admin:campaigns_rule_change", args=[obj.rule_id])
        return HttpResponseRedirect(where)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Send whoever looks for a list of steps to the rules."""
        return HttpResponseRedirect(reverse("admin:campaigns_rule_changelist"))
