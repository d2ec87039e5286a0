"""What marketers write: Liquid, checked at publish and rendered for one person."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from io import StringIO
from typing import Final, Literal, NamedTuple

from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis, Variable

from campaigns.domain.liquid_budget import (
    MAX_SOURCE_CHARS,
    MAX_TAG_CHARS,
    MAX_TAGS,
    PlainData,
    TemplateInvalid,
    clean_text,
    plain,
    plain_data,
)
from campaigns.domain.liquid_engine import (
    HTML,
    RENDER_FAULTS,
    TEXT,
    Bounded,
    Context,
    dotted,
    line_of,
)
from campaigns.domain.liquid_output import Marked

__all__ = [
    "ROOTS",
    "Compiled",
    "Escaping",
    "Problem",
    "TemplateInvalid",
    "compile_template",
    "context_of",
    "plain",
    "problems",
    "render_liquid",
    "render_marked",
]

ROOTS: Final = (
    "customer",
    "event",
    "trigger",
    "journey",
    "unsubscribe_url",
    "sender",
    "company",
)
"""The names that a template may begin with."""

_ALWAYS: Final = frozenset(
    f"event.{name}"
    for name in ("name", "event_name", "occurred_at", "properties", "context")
)
_PLACES = re.compile(r"\[[^]]*\]")
_FACTS: Final = ("customer", "event", "trigger")
_OPENING = re.compile(r"\{\{|\{%")
_BLANKS = re.compile(r"\s{200}")
_VERBATIM = re.compile(r"\{%-?\s{0,20}(?:raw|doc)\b")
_MAX_VERBATIM: Final = 20
_CHARS_PER_NODE_STEP: Final = 20
_UNREADABLE_SOURCE: Final = "The template is too long or too tangled to be read."


class Escaping(StrEnum):
    """Whether what is printed becomes safe in HTML or stays as it is."""

    HTML = "html"
    TEXT = "text"


class Problem(NamedTuple):
    """One thing to mend in a template: its line (0: nowhere in particular).

    An "error" forbids publishing, a "warning" may be overruled.
    """

    line: int
    message: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A parsed template; immutable, may be rendered by many threads at once.

    `paths` are the names it reads from its facts, each with its line.
    """

    template: Bounded
    paths: tuple[tuple[str, int], ...]


def compile_template(source: str, escaping: Escaping = Escaping.HTML) -> Compiled:
    """Parse a template. Raises TemplateInvalid, with the line, if it cannot be read.

    Unknown tags and filters are found here, unknown names by `problems`.
    """
    source = clean_text(source)
    longest = _scan(source)
    environment = HTML if escaping is Escaping.HTML else TEXT
    try:
        template = environment.from_string(source)
        analysis = template.analyze(include_partials=False)
    except RENDER_FAULTS as error:
        raise _translated(error, "The template cannot be read") from error
    if not isinstance(template, Bounded):
        raise TypeError("the environment makes bounded templates only")
    template.step_cost = 1 + longest // _CHARS_PER_NODE_STEP
    _check_filters(analysis, environment.filters, source)
    paths = sorted(
        (_path(variable), _line(source, variable.span.index))
        for found in analysis.globals.values()
        for variable in found
    )
    return Compiled(template, tuple(paths))


def render_liquid(compiled: Compiled, context: Mapping[str, object]) -> str:
    """Render for one set of facts; the same facts give the same text, always.

    Raises TemplateInvalid for a missing value that is needed, for a value that
    does not suit a filter, and at every limit of `liquid_budget`; the whole
    takes about half a second at most.
    """
    scope = _scope(compiled, context)
    output = scope.get_buffer()
    _render(compiled, scope, output)
    return output.getvalue()


def render_marked(compiled: Compiled, context: Mapping[str, object]) -> Marked:
    """Render as render_liquid does, and say where in it values stand."""
    scope = _scope(compiled, context)
    output = scope.marking_buffer()
    _render(compiled, scope, output)
    return output.marked()


def _scope(compiled: Compiled, context: Mapping[str, object]) -> Context:
    facts = context if isinstance(context, PlainData) else plain_data(context)
    return Context(compiled.template, globals=facts)


def _render(compiled: Compiled, scope: Context, output: StringIO) -> None:
    try:
        compiled.template.render_with_context(scope, output)
    except RENDER_FAULTS as error:
        raise _translated(error, "The template cannot be rendered") from error


def problems(
    source: str, *, known: Mapping[str, object] | None = None
) -> list[Problem]:
    """Find what to mend before publishing, in the order of the lines.

    `known` holds the paths that were seen in events and customers, such as
    "trigger.plan_name" and "customer.first_name"; others then are warned of.
    """
    try:
        compiled = compile_template(source)
    except TemplateInvalid as error:
        return [Problem(error.line, error.reason)]
    found = {
        problem
        for path, line in compiled.paths
        if (problem := _path_problem(path, line, known))
    }
    return sorted(found)


def context_of(
    *,
    customer: Mapping[str, object],
    event_name: str,
    properties: Mapping[str, object],
    context: Mapping[str, object],
    occurred_at: datetime,
    extra: Mapping[str, object] | None = None,
) -> PlainData:
    """Build what a template sees, as plain data that can be stored as JSON.

    `customer` holds the traits and e-mail. `event` and `trigger` are the same:
    the event's name, occurred_at (ISO 8601), properties and context, and each
    property at the top too, so that trigger.plan_name works; a property called
    "name" wins over the event's name there, which stays as event_name. `extra`
    adds roots such as sender, company, unsubscribe_url and now. Raises
    TemplateInvalid for what is no plain data (see `plain`).
    """
    roots = plain_data(
        {
            "customer": customer,
            "event_name": event_name,
            "properties": properties,
            "context": context,
            "extra": extra or {},
        }
    )
    said = roots["properties"]
    event = {
        "name": roots["event_name"],
        **(said if isinstance(said, dict) else {}),
        "event_name": roots["event_name"],
        "occurred_at": occurred_at.isoformat(),
        "properties": said,
        "context": roots["context"],
    }
    more = roots["extra"]
    return PlainData(
        customer=roots["customer"],
        event=event,
        trigger=event,
        **(more if isinstance(more, dict) else {}),
    )


def _scan(source: str) -> int:
    """Return the length of the longest tag; refuse what would tie up the parser.

    The parser's regular expressions are quadratic in tags that never close and
    in long blanks, so both are turned away before it sees them.
    """
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateInvalid(
            f"The template has {len(source):,} characters; "
            f"at most {MAX_SOURCE_CHARS:,} can be sent."
        )
    if len(_VERBATIM.findall(source)) > _MAX_VERBATIM:
        raise TemplateInvalid(f"At most {_MAX_VERBATIM} raw or doc blocks can be used.")
    longest = end = count = 0
    for opening in _OPENING.finditer(source):
        start = opening.start()
        if start < end:
            continue
        count += 1
        end = _end_of_tag(source, start)
        longest = max(longest, end - start)
    if count > MAX_TAGS:
        raise TemplateInvalid(f"The template has more than {MAX_TAGS:,} tags.")
    return longest


def _end_of_tag(source: str, start: int) -> int:
    closing = "}}" if source[start + 1] == "{" else "%}"
    end = source.find(closing, start + 2, start + MAX_TAG_CHARS)
    if end < 0:
        raise TemplateInvalid(
            f"“{source[start : start + 30].strip()}” is never closed with {closing}, "
            f"or is longer than {MAX_TAG_CHARS:,} characters.",
            line=_line(source, start),
        )
    if _BLANKS.search(source, start, end):
        raise TemplateInvalid(
            "This tag holds too many blanks.", line=_line(source, start)
        )
    return end + 2


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, max(place, 0)) + 1


def _check_filters(
    analysis: TemplateAnalysis, filters: Iterable[str], source: str
) -> None:
    for name, spans in analysis.filters.items():
        if name not in filters:
            raise TemplateInvalid(
                f"There is no filter “{name}”.{_did_you_mean(name, filters)}",
                line=_line(source, spans[0].index),
            )


def _path(variable: Variable) -> str:
    parts = [part for part in variable.segments if not isinstance(part, list)]
    return dotted(list(parts)) if parts else ""


def _path_problem(
    path: str, line: int, known: Mapping[str, object] | None
) -> Problem | None:
    root, _, rest = path.partition(".")
    root = root.partition("[")[0]
    if root not in ROOTS:
        advice = _did_you_mean(root, ROOTS)
        return Problem(
            line,
            f"“{path}” is not known: names begin with customer, trigger, sender, "
            f"company or unsubscribe_url.{advice}",
        )
    if known is None or root not in _FACTS or not rest or _is_known(path, known):
        return None
    return Problem(
        line,
        f"“{path}” was not seen lately. A mail without it is held back, unless it "
        f"has a default.{_did_you_mean(path, known)}",
        "warning",
    )


def _is_known(path: str, known: Mapping[str, object]) -> bool:
    wanted = _spelled(path)
    if wanted in _ALWAYS:
        return True
    seen = {_spelled(one) for one in known}
    return any(one == wanted or one.startswith(f"{wanted}.") for one in seen)


def _spelled(path: str) -> str:
    """Return the one spelling of a path: no places in lists, event for trigger."""
    bare = _PLACES.sub("", path)
    root, dot, rest = bare.partition(".")
    if root in ("event", "trigger"):
        return f"event{dot}{rest.removeprefix('properties.')}"
    return bare


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names)[:2_000], n=1)
    return f" Did you mean “{near[0]}”?" if near else ""


def _translated(error: Exception, what: str) -> TemplateInvalid:
    match error:
        case RecursionError():
            return TemplateInvalid(_UNREADABLE_SOURCE)
        case LiquidError():
            message = error.message or "it does not fit the language"
            return TemplateInvalid(f"{what}: {message}.", line=line_of(error.token))
        case _:
            return TemplateInvalid(f"{what}: a value does not suit its place.")
