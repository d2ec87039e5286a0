"""What a journey or a mail waits for, and until when, in the customer's own time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from campaigns.domain.documents import Document, DocumentInvalid, parse_document
from campaigns.domain.timing import zone_of
from campaigns.models import (
    Company,
    Customer,
    Journey,
    RuleVersion,
    TemplateVersion,
    Timer,
)
from campaigns.reports.wording import names, time_words

_UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Until when a journey sleeps, and a sentence on what ends its sleep."""

    until: datetime
    words: str


def customer_zone(customer: Customer) -> tzinfo:
    """Return the zone in which the customer's send windows are counted."""
    company = Company.objects.filter(pk=1).values_list("time_zone", flat=True).first()
    return zone_of(customer.time_zone or None, zone_of(company or None, _UTC))


def until_words(until: datetime, zone: tzinfo) -> str:
    """Return the time for the customer: "until 22 Nov 2026, 09:00:00 EST, …"."""
    return f"until {time_words(until, zone)}, the customer's time"


def waiting_journeys(
    journeys: Iterable[Journey], zone: tzinfo
) -> Mapping[int, Waiting]:
    """Return what those that sleep wait for, by the journey's id."""
    asleep = [j for j in journeys if j.state == "waiting"]
    if not asleep:
        return {}
    due = dict(
        Timer.objects.filter(pk__in=[j.pk for j in asleep]).values_list("pk", "due_at")
    )
    rows = RuleVersion.objects.filter(pk__in={j.version_id for j in asleep})
    documents = {pk: _document(doc) for pk, doc in rows.values_list("pk", "document")}
    templates = _templates([d for d in documents.values() if d is not None])
    return {
        j.pk: Waiting(
            due[j.pk], _words(j, documents.get(j.version_id), templates, due, zone)
        )
        for j in asleep
        if j.pk in due
    }


def _document(raw: Mapping[str, object]) -> Document | None:
    try:
        return parse_document(raw)
    except DocumentInvalid:
        return None


def _templates(documents: Sequence[Document]) -> Mapping[int, str]:
    wanted = {
        v.template_version for d in documents for s in d.steps for v in s.variants
    }
    rows = TemplateVersion.objects.filter(pk__in=wanted)
    return dict(rows.values_list("pk", "template__name"))


def _words(
    journey: Journey,
    document: Document | None,
    templates: Mapping[int, str],
    due: Mapping[int, datetime],
    zone: tzinfo,
) -> str:
    until = until_words(due[journey.pk], zone)
    if document is None or journey.step >= len(document.steps):
        return until
    step = document.steps[journey.step]
    mails = dict.fromkeys(
        templates.get(v.template_version, "a mail")
        for v in step.variants
        if not v.fallback
    )
    wait = until
    if step.wait_for and journey.woken_by is None:
        wait = f"for {names(list(step.wait_for.events))}, at most {until}"
    sentence = f"{wait}; then {names(list(mails))} is sent"
    if document.exit is not None:
        sentence += f", unless {names(list(document.exit.events))} comes first"
    return sentence
