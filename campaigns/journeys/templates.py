"""Publish templates: a draft that can be read becomes an immutable version."""

from collections.abc import Iterator
from datetime import datetime

from django.db.transaction import atomic

from campaigns.deciding import clock
from campaigns.domain.liquid import Escaping, TemplateInvalid, compile_template
from campaigns.domain.liquid import problems as liquid_problems
from campaigns.journeys.refusals import PublishProblem, PublishRefused
from campaigns.models import Template, TemplateVersion

PARTS = ("subject", "preheader", "html", "text")
_LABELS = {
    "subject": "Subject",
    "preheader": "Preheader",
    "html": "HTML",
    "text": "Text",
}
_ESCAPING = {"html": Escaping.HTML}

Words = tuple[str, str, str, str]


def words_of(template: Template | TemplateVersion) -> Words:
    """Return what is published: subject, preheader, html, text."""
    return (template.subject, template.preheader, template.html, template.text)


def template_refusals(template: Template) -> Iterator[PublishProblem]:
    """Find what forbids publishing the draft, each with its field."""
    for part in ("subject", "html"):
        if not getattr(template, part).strip():
            yield PublishProblem(_LABELS[part], "must not be empty.", part)
    for part, source in zip(PARTS, words_of(template), strict=True):
        yield from _unreadable(part, source)


def _unreadable(part: str, source: str) -> Iterator[PublishProblem]:
    """Read a part as it will be sent: what is escaped nowhere is parsed as text."""
    label = _LABELS[part]
    found = [p for p in liquid_problems(source) if p.severity == "error"]
    for problem in found:
        where = f"{label}, line {problem.line}" if problem.line else label
        yield PublishProblem(where, problem.message, part)
    if found:
        return
    try:
        compile_template(source, _ESCAPING.get(part, Escaping.TEXT))
    except TemplateInvalid as error:
        yield PublishProblem(label, error.reason, part)


def is_changed(template: Template) -> bool:
    """Say whether the draft differs from the newest version, or none exists."""
    newest = template.versions.first()
    return newest is None or words_of(newest) != words_of(template)


def publish_template(template_id: int, *, by: str) -> TemplateVersion:
    """Freeze the draft as a version and return it; the newest one if they are equal.

    Raises PublishRefused for a draft that cannot be read. Rules keep the
    version that they were published with until they are published again.
    """
    with atomic():
        template = Template.objects.select_for_update().get(pk=template_id)
        found = list(template_refusals(template))
        if found:
            raise PublishRefused(found)
        return frozen(template, by=by, now=clock.now())


def frozen(template: Template, *, by: str, now: datetime) -> TemplateVersion:
    """Return the version that says what the draft says; the template is locked."""
    newest = template.versions.first()
    if newest is not None and words_of(newest) == words_of(template):
        return newest
    return TemplateVersion.objects.create(
        template=template,
        number=newest.number + 1 if newest else 1,
        subject=template.subject,
        preheader=template.preheader,
        html=template.html,
        text=template.text,
        published_at=now,
        published_by=by[:150],
    )
