"""Rules: written as a draft, published, paused, resumed, archived."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.contrib import messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from campaigns.admin.base import FewRows, actor
from campaigns.admin.details import allowed, badge, demand, register
from campaigns.admin.drafts import DraftAdmin
from campaigns.admin.lists import DecoratedChangeList
from campaigns.admin.rule_forms import RuleForm, StepForm
from campaigns.deciding import rulesets
from campaigns.domain.document_parts import MAX_STEPS
from campaigns.journeys import publishing
from campaigns.journeys.drafts import draft_document, read_draft, read_rule
from campaigns.journeys.publishing import NotAllowedNow, PublishRefused
from campaigns.models import Rule, RuleVersion, Step, Variant
from campaigns.reports.counts import rule_counts
from campaigns.reports.wording import rule_sentence

LIVE: Final = ("active", "paused")
MOVES: Final[dict[str, Callable[..., Any]]] = {
    "pause": publishing.pause,
    "resume": publishing.resume,
    "archive": publishing.archive,
}
_DONE: Final = {
    "pause": "Paused. Nobody is let in and nothing is sent until you resume it.",
    "resume": "Resumed.",
    "archive": "Archived. Nobody is let in, and what was waiting is cancelled.",
}
_LATER: Final = " Those who are waiting follow within minutes, in the background."


class StepInline(FewRows):
    """The steps, in their order, each with its mail."""

    model = Step
    form = StepForm
    max_num = MAX_STEPS
    ordering_field = "position"
    hide_ordering_field = True
    readonly_fields = ("mails",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "position",
                    ("delay_amount", "delay_unit"),
                    "wait_for",
                    "template",
                    "mails",
                    "weekdays",
                    ("send_from", "send_until"),
                    ("quiet_from", "quiet_until"),
                    ("expires_amount", "expires_unit"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        """Return the steps with their mails."""
        variants = Variant.objects.select_related("template")
        steps: QuerySet[Step] = super().get_queryset(request)
        return steps.prefetch_related(Prefetch("variants", queryset=variants))

    def mails(self, step: Step) -> SafeString | str:
        """Return the step's mails, and the way to its page."""
        if not step.pk:
            return (
                "Save first; then this step can send different mails (A/B, fallback)."
            )
        shown = ", ".join(
            f"{v.name}: {v.template.name}{' (fallback)' if v.fallback else ''}"
            for v in step.variants.all()
        )
        where = reverse("admin:campaigns_step_change", args=[step.pk])
        return format_html(
            '{} <a class="et-link" href="{}">A/B mails, conditions, fallback →</a>',
            shown or "None yet.",
            where,
        )

    mails.short_description = "Mails"  # type: ignore[attr-defined]


@register(Rule)
class RuleAdmin(DraftAdmin):
    """The list and the form of rules."""

    form = RuleForm
    inlines = (StepInline,)
    list_display = ("rule", "state", "entered", "sent")
    list_filter = ("status", "kind")
    empty_title = "No rule yet"
    empty_words = "A rule says: when this happens, wait, then send that mail."
    search_fields = ("name",)
    sortable_by = ()
    actions = None
    change_form_template = "admin/campaigns/rule_form.html"
    fieldsets = (
        (None, {"fields": ("name", "description", ("kind", "topic"), "sender")}),
        (
            "When this happens",
            {"fields": ("trigger_events", "condition", "sources", "allow_public")},
        ),
        (
            "How often",
            {
                "fields": (
                    ("cooldown_amount", "cooldown_unit"),
                    "cooldown_key",
                    "retrigger",
                    ("freshness_amount", "freshness_unit"),
                )
            },
        ),
        ("When to stop", {"fields": ("exit_events", "exit_key")}),
        (
            "Measure",
            {
                "fields": (
                    "goal_event",
                    ("goal_amount", "goal_unit"),
                    "holdout_percent",
                    "edition",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        """Return the rules with all that their sentence speaks of."""
        variants = Variant.objects.select_related("template")
        steps = Step.objects.prefetch_related(Prefetch("variants", queryset=variants))
        rules: QuerySet[Rule] = super().get_queryset(request)
        return rules.prefetch_related(Prefetch("steps", queryset=steps))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the list whose rows know their counts."""
        return DecoratedChangeList

    def decorated(self, page: list[Any]) -> list[Any]:
        """Return the rules with their counts, read once for all."""
        counts = rule_counts()
        for rule in page:
            rule.et_counts = {
                what: None if found is None else found.get(rule.pk, 0)
                for what, found in counts.items()
            }
        return page

    def rule(self, obj: Rule) -> SafeString:
        """Return the name and what the rule does."""
        return format_html(
            '{}<span class="et-sub">{}</span>', obj.name, rule_sentence(obj)
        )

    def state(self, obj: Rule) -> SafeString:
        """Return the status as a badge."""
        return badge(obj.status)

    def entered(self, obj: Rule) -> str:
        """Return how many journeys began in the last 7 days."""
        return self._shown("entered", obj)

    def sent(self, obj: Rule) -> str:
        """Return how many mails were sent in the last 7 days."""
        return self._shown("sent", obj)

    entered.short_description = "Entered, 7 days"  # type: ignore[attr-defined]
    sent.short_description = "Sent, 7 days"  # type: ignore[attr-defined]
    state.short_description = "Status"  # type: ignore[attr-defined]

    def _shown(self, what: str, obj: Rule) -> str:
        found = obj.et_counts[what]  # type: ignore[attr-defined]
        return "-" if found is None else f"{found:,}"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let only drafts that were never published be deleted."""
        never = obj is None or (obj.status == "draft" and obj.current_id is None)
        return never and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: Any
    ) -> None:
        """Write the form's own columns: a pause meanwhile must not be undone."""
        if not change:
            obj.save()
            return
        columns = {f.name for f in self.opts.concrete_fields}
        named = columns.intersection(form.cleaned_data) | {"edition", "updated_at"}
        obj.save(update_fields=sorted(named))

    def save_formset(
        self, request: HttpRequest, form: Any, formset: Any, change: Any
    ) -> None:
        """Save the steps, their mails, and their order without gaps."""
        formset.save()
        steps = Step.objects.filter(rule=form.instance).order_by("position", "pk")
        for place, step in enumerate(steps):
            if step.position != place:
                Step.objects.filter(pk=step.pk).update(position=place)

    def get_urls(self) -> list[Any]:
        """Add the moves of a rule's status."""
        route = "<int:rule_id>/<str:move>/go/"
        own = self.posted(route, self.move_view, "campaigns_rule_move")
        return [own, *super().get_urls()]

    def saved_words(self, obj: Any) -> str:
        """Return what is said once a draft is saved, and of what runs meanwhile."""
        if obj.status in LIVE:
            return (
                "The draft is saved. The version that runs is unchanged until you "
                "publish."
            )
        return f"The draft “{obj}” is saved."

    def form_context(self, request: HttpRequest, pk: int | None) -> dict[str, Any]:
        """Return what the page says above and below the form."""
        may = allowed(request, "publish_rule")
        if pk is None:
            return {"may_publish": may, "status": "draft"}
        rule = read_rule(pk) if Rule.objects.filter(pk=pk).exists() else None
        if rule is None:
            return {}
        return {
            "may_publish": may and rule.status != "archived",
            "status": rule.status,
            "badge": badge(rule.status),
            "sentence": rule_sentence(rule),
            "versions": rule.current,
            "unpublished": is_unpublished(rule),
            "unreadable": [u for u in rulesets.unreadable() if u.rule == rule.pk],
            "refusals": read_draft(rule.pk).refusals
            if rule.status != "archived"
            else (),
            "moves": list(_moves(rule)) if may else (),
        }

    def publish(self, request: HttpRequest, pk: int) -> None:
        """Publish the draft, or say that it cannot be yet."""
        try:
            version = publishing.publish(pk, by=actor(request))
        except PublishRefused as refused:
            count = len(refused.problems)
            things = "one thing" if count == 1 else f"{count} things"
            messages.error(
                request, f"Saved, but not published: {things} must be mended first."
            )
        except NotAllowedNow as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _published(version))

    def move_view(self, request: HttpRequest, rule_id: int, move: str) -> HttpResponse:
        """Pause, resume or archive a rule."""
        demand(request, "publish_rule")
        rule = get_object_or_404(Rule, pk=rule_id)
        if move not in MOVES:
            messages.error(request, "There is no such change of a rule.")
            return HttpResponseRedirect(self.page_of(rule_id))
        try:
            complete = MOVES[move](rule_id, by=actor(request))
        except NotAllowedNow as error:
            messages.error(request, str(error))
        else:
            later = _LATER if complete is False else ""
            messages.success(request, _DONE[move] + later)
            self.log_change(request, rule, f"{move.capitalize()}d")
        return HttpResponseRedirect(self.page_of(rule_id))


def is_unpublished(rule: Rule) -> bool:
    """Say whether the draft differs from the version that runs."""
    if rule.current is None:
        return False
    if not isinstance(rule.current.document, dict):
        return True
    runs = dict(rule.current.document)
    draft = dict(draft_document(rule))
    for document in (runs, draft):
        document.pop("version", None)
    return bool(_bare(runs) != _bare(draft))


def _bare(value: Any) -> Any:
    """Return JSON without what says nothing, so that defaults compare equal."""
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in value.items() if v is not None}
    return [_bare(v) for v in value] if isinstance(value, list) else value


def _published(version: RuleVersion) -> str:
    if version.rule.status == "paused":
        return f"Version {version.number} is published. The rule is still paused."
    return f"Version {version.number} is published and runs. New events start it."


def _moves(rule: Rule) -> Iterable[dict[str, str]]:
    offered = {"active": ("pause", "archive"), "paused": ("resume", "archive")}
    for move in offered.get(rule.status, ()):
        yield {
            "label": move.capitalize(),
            "url": reverse("admin:campaigns_rule_move", args=[rule.pk, move]),
            "confirm": f"Archive “{rule.name}” for good? Everything that waits is cancelled."
            if move == "archive"
            else "",
        }
