"""What a template would look like, for its editor: never raises, names every fault."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Final

from campaigns.domain.liquid import (
    Problem,
    TemplateInvalid,
    context_of,
    problems,
)
from campaigns.rendering.body import Frame, bodies, line
from campaigns.rendering.headers import subject_line
from campaigns.rendering.parts import Sources

UNSUBSCRIBE_URL: Final = "https://example.com/unsubscribe/preview"
OCCURRED_AT: Final = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Preview:
    """Both bodies and the subject ("" where a part failed), and what is wrong.

    `ms` is how long rendering took, in milliseconds. Problems name their part:
    "Html: “customer.name” is missing here. ...".
    """

    subject: str
    html: str
    text: str
    problems: tuple[Problem, ...]
    ms: float


def preview(
    subject: str,
    preheader: str,
    html: str,
    text: str,
    sample_event: Mapping[str, object],
    sample_customer: Mapping[str, object],
) -> Preview:
    """Render a draft with sample facts.

    `sample_event` has name, properties, context and occurred_at (ISO 8601), all
    optional; a mapping without properties is taken for the properties.
    """
    started = perf_counter()
    sources = Sources(
        version=None, subject=subject, preheader=preheader, html=html, text=text
    )
    shown = _Shown(sources, sample_event, sample_customer)
    return replace(shown.result(), ms=round((perf_counter() - started) * 1_000, 2))


class _Shown:
    """One preview in the making; a fault in one part spares the others."""

    def __init__(
        self,
        sources: Sources,
        event: Mapping[str, object],
        customer: Mapping[str, object],
    ) -> None:
        self.sources = sources
        self.found: list[Problem] = []
        self.context: dict[str, object] = {}
        try:
            self.context = _context(event, customer)
        except TemplateInvalid as error:
            self._note("Sample data", error)

    def result(self) -> Preview:
        parts = {
            "Subject": self.sources.subject,
            "Preheader": self.sources.preheader,
            "Html": self.sources.html,
            "Text": self.sources.text,
        }
        for part, source in parts.items():
            self.found += [
                p._replace(message=f"{part}: {p.message}") for p in problems(source)
            ]
        subject = self._subject()
        html, text = self._bodies(subject)
        unique = tuple(dict.fromkeys(self.found))
        return Preview(subject, html, text, unique, 0.0)

    def _subject(self) -> str:
        try:
            return subject_line(line(self.sources, "subject", self.context))
        except TemplateInvalid as error:
            self._note("Subject", error)
            return ""

    def _bodies(self, subject: str) -> tuple[str, str]:
        frame = _frame(subject)
        html = text = ""
        bare = replace(self.sources, text="")
        try:
            line(self.sources, "preheader", self.context)
        except TemplateInvalid as error:
            self._note("Preheader", error)
            bare = replace(bare, preheader="")
        try:
            html = bodies(bare, self.context, frame).html
        except TemplateInvalid as error:
            self._note("Html", error)
        if self.sources.text.strip():
            spare = replace(bare, html="-", text=self.sources.text)
        else:
            spare = bare
        try:
            text = bodies(spare, self.context, frame).text
        except TemplateInvalid as error:
            self._note("Text" if spare is not bare else "Html", error)
        return html, text

    def _note(self, part: str, error: TemplateInvalid) -> None:
        self.found.append(Problem(error.line, f"{part}: {error.reason}"))


def _context(
    event: Mapping[str, object], customer: Mapping[str, object]
) -> dict[str, object]:
    properties = event.get("properties", event)
    context = event.get("context")
    return context_of(
        customer=customer,
        event_name=str(event.get("name", "Sample Event")),
        properties=properties if isinstance(properties, Mapping) else {},
        context=context if isinstance(context, Mapping) else {},
        occurred_at=_time(event.get("occurred_at")),
        extra={
            "unsubscribe_url": UNSUBSCRIBE_URL,
            "sender": {"name": "Sample Sender", "address": "1 Sample Street"},
            "company": "Sample Company",
            "journey": {"woken_by": None},
            "now": OCCURRED_AT.isoformat(),
        },
    )


def _time(value: object) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return OCCURRED_AT


def _frame(subject: str) -> Frame:
    return Frame(
        subject=subject,
        company="Sample Company",
        address_lines=("1 Sample Street", "Sample Town"),
        reason="You get this e-mail because you are on the list of Sample Company.",
        unsubscribe_url=UNSUBSCRIBE_URL,
        language="en",
    )
