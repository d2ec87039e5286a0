"""The forms of rules and their steps: friendly input, one editor at a time."""

import secrets
from typing import Any

from django import forms
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError

from campaigns.admin.base import CheckboxList, Select, TextArea
from campaigns.admin.fields import (
    ClockField,
    ConditionField,
    NamesField,
    WeekdaysField,
)
from campaigns.models import Rule, Step, Template, Variant
from campaigns.reports.wording import time_words


def saved_meanwhile(rule: Rule) -> str:
    """Return who saved the rule while somebody else edited it, in a sentence."""
    entry = (
        LogEntry.objects.filter(object_id=str(rule.pk), content_type__model="rule")
        .select_related("user")
        .order_by("-action_time")
        .first()
    )
    who = entry.user.get_username() if entry else "Somebody else"
    return (
        f"{who} saved this rule at {time_words(rule.updated_at)}, after you opened it. "
        "Your input is kept below and not saved. Open the rule in another tab, compare, "
        "and enter your changes there."
    )


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule's own fields. `edition` tells whether somebody saved it meanwhile."""

    edition = forms.IntegerField(widget=forms.HiddenInput, required=False)
    trigger_events = NamesField(label="Events", required=False)
    condition = ConditionField(
        label="Only if",
        help_text="A condition as JSON; empty for everybody. See docs/marketers.md.",
    )
    exit_events = NamesField(
        label="Cancel if this happens first",
        required=False,
        help_text="Event names, separated by commas.",
    )

    class Meta:
        model = Rule
        fields = (
            "name", "description", "kind", "topic", "sender", "trigger_events",
            "condition", "sources", "allow_public", "cooldown_amount",
            "cooldown_unit", "cooldown_key", "retrigger", "freshness_amount",
            "freshness_unit", "exit_events", "exit_key", "goal_event", "goal_amount",
            "goal_unit", "holdout_percent", "edition",
        )  # fmt: skip
        labels = {
            "allow_public": "Public sources too",
            "freshness_unit": "Unit",
            "cooldown_unit": "Unit",
            "goal_unit": "Unit",
            "freshness_amount": "Only events younger than",
            "cooldown_amount": "Not again within",
            "cooldown_key": "… for the same",
            "retrigger": "If it happens again while waiting",
            "exit_key": "… with the same",
            "holdout_percent": "Holdout (%)",
            "goal_amount": "Goal within",
        }
        widgets = {
            "description": TextArea(attrs={"rows": 2}),
            "sources": CheckboxList(),
        }
        help_texts = {
            "sources": "None ticked means every source.",
            "exit_key": "An event property such as cart_id; empty for any.",
            "holdout_percent": "This share gets no mail, so that its effect shows.",
            "goal_event": "What counts as a success; empty for no goal.",
            "freshness_amount": "Late news starts nothing; 0 means any age.",
        }

    def clean_edition(self) -> int:
        """Return the edition that the form was opened with; 0 for a new rule."""
        return self.cleaned_data.get("edition") or 0

    def clean(self) -> dict[str, Any] | None:
        """Lock the rule, and refuse if it was saved since the form was opened."""
        cleaned = super().clean()
        if self.instance.pk:
            now = Rule.objects.select_for_update().get(pk=self.instance.pk)
            if now.edition != (cleaned or {}).get("edition", 0):
                raise ValidationError(saved_meanwhile(now))
        return cleaned

    def save(self, commit: bool = True) -> Rule:  # noqa: FBT001, FBT002 - Django's
        """Raise the edition; a new rule gets the salt of its holdout."""
        self.instance.edition += 1
        if not self.instance.salt:
            self.instance.salt = secrets.token_hex(8)
        rule: Rule = super().save(commit)
        return rule


class StepForm(forms.ModelForm):  # type: ignore[type-arg]
    """A step with its first mail; more mails are on the step's own page."""

    template = forms.ModelChoiceField(
        Template.objects.all(), label="Send", required=False, widget=Select
    )
    wait_for = NamesField(
        required=False,
        label="Wait until",
        help_text="Event names; the wait above is then the longest. Empty: just wait.",
    )
    weekdays = WeekdaysField()
    send_from = ClockField(placeholder="09:00", label="Send from")
    send_until = ClockField(placeholder="17:00", label="until")
    quiet_from = ClockField(placeholder="21:00", label="Never from")
    quiet_until = ClockField(placeholder="08:00", label="until")

    class Meta:
        model = Step
        fields = (
            "position", "delay_amount", "delay_unit", "wait_for", "weekdays",
            "send_from", "send_until", "quiet_from", "quiet_until", "expires_amount",
            "expires_unit",
        )  # fmt: skip
        labels = {
            "position": "Order",
            "delay_amount": "Wait",
            "delay_unit": "Unit",
            "expires_amount": "Too late after",
            "expires_unit": "Unit",
        }
        help_texts = {"expires_amount": "0 means never."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Show the step's first mail; a new step goes to the end."""
        super().__init__(*args, **kwargs)
        first = self._first()
        if first is not None:
            self.initial["template"] = first.template_id
        elif not self.instance.pk and "position" in self.fields:
            self.initial.setdefault("position", 99)

    def _first(self) -> Variant | None:
        if not self.instance.pk:
            return None
        return next(iter(self.instance.variants.all()), None)

    def save(self, commit: bool = True) -> Step:  # noqa: FBT001, FBT002 - Django's
        """Save the step; its mail follows when the step has an id."""
        step: Step = super().save(commit)
        if commit:
            self.save_mail()
        return step

    def save_mail(self) -> None:
        """Give the step's first variant the chosen template."""
        template = self.cleaned_data.get("template")
        if template is None:
            return
        first = Variant.objects.filter(step=self.instance).first()
        if first is None:
            Variant.objects.create(step=self.instance, template=template)
        elif first.template_id != template.pk:
            first.template = template
            first.save(update_fields=["template"])


class VariantForm(forms.ModelForm):  # type: ignore[type-arg]
    """One of the mails of a step."""

    condition = ConditionField(
        label="Only if", help_text="The first mail whose condition holds is sent."
    )

    class Meta:
        model = Variant
        fields = ("position", "name", "template", "weight", "condition", "fallback")
        labels = {"position": "Order", "fallback": "Fallback"}
