"""The readers of documents, conditions, templates and bodies, called without a site."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from time import perf_counter
from typing import Any, Final, get_args

from campaigns.domain.condition_tree import (
    LIST_OPS,
    NO_VALUE,
    RELATIVE_OPS,
    ConditionInvalid,
    FieldOp,
    dump_condition,
    parse_condition,
)
from campaigns.domain.conditions import Facts, evaluate
from campaigns.domain.documents import DocumentInvalid, dump_document, parse_document
from campaigns.domain.history import PastEvent
from campaigns.domain.liquid import (
    Escaping,
    TemplateInvalid,
    compile_template,
    context_of,
    problems,
    render_liquid,
)
from campaigns.domain.provider_events import read_batch
from campaigns.domain.ruleset import Version
from campaigns.receive.wire import segment
from campaigns.receive.wire.base import BadBody
from fuzz import payloads
from fuzz.values import changed, garbled, odd, written

NOW: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SLOW_S: Final = 30.0  # nothing of it may hang; how long it takes is only reported
SHOWN: Final = 10

CONDITION: Final[dict[str, Any]] = {
    "all": [
        {"field": "event.properties.total", "op": "gte", "value": 50},
        {"any": [
            {"field": "customer.plan", "op": "in", "value": ["pro", "team"]},
            {"not": {"field": "customer.email", "op": "exists"}},
        ]},
        {"did": "Order Completed", "op": "exactly", "times": 0,
         "within": {"amount": 30, "unit": "days"},
         "where": {"field": "event.properties.total", "op": "gt", "value": 1}},
    ]
}  # fmt: skip
DOCUMENT: Final[dict[str, Any]] = {
    "schema": 1, "rule": 7, "version": 1, "name": "Welcome", "kind": "marketing",
    "topic": 3, "sender": 2, "salt": "abc", "topic_opt_in": True,
    "trigger": {"events": ["Cart Updated"], "sources": [1, 2], "public": True},
    "condition": CONDITION,
    "cooldown": {"duration": {"amount": 7, "unit": "days"}, "key": "cart_id"},
    "exit": {"events": ["Order Completed"], "key": "cart_id"}, "retrigger": "restart",
    "freshness": {"amount": 3, "unit": "days"}, "holdout": 500,
    "goal": {"event": "Order Completed", "window": {"amount": 1, "unit": "weeks"}},
    "steps": [
        {"delay": {"amount": 2, "unit": "hours"},
         "window": {"weekdays": [0, 4], "start": "09:00", "end": "17:00"},
         "quiet": {"start": "22:00", "end": "07:00"},
         "variants": [
             {"name": "A", "template_version": 1, "weight": 3, "condition": CONDITION},
             {"name": "B", "template_version": 2, "weight": 0},
         ],
         "expires_after": {"amount": 1, "unit": "days"}},
    ],
}  # fmt: skip
FIELDS: Final = (
    "customer.plan", "customer.email", "event.properties.total", "event.context.locale",
    "event.properties.properties.tags", "event.name", "journey.woken_by", "customer.a.b.c",
)  # fmt: skip
PIECES: Final = (
    "Hello ", "{{ customer.first_name | default: 'there' | capitalize }}", "{{ now | date: '%Y' }}",
    "{{ event.products | map: 'name' | join: ', ' }}", "{{ trigger.total | money: 'EUR' }}",
    "{% for p in event.products %}", "{{ p.name | upcase }}", "{% endfor %}", "{% else %}",
    "{% if customer.plan == 'pro' and event.total > 5 %}", "{% endif %}", "{% elsif x %}",
    "{% assign a = customer.email | split: '@' | last %}", "{{ a }}", "{% capture c %}",
    "{% endcapture %}", "{{ c | append: c }}", "{% case event.name %}", "{% when 'x' %}",
    "{% endcase %}", "{% raw %}{{{% endraw %}", "{% comment %}", "{% endcomment %}",
    "{% tablerow i in (1..5) cols: 2 %}", "{% endtablerow %}", "{{ unsubscribe_url }}",
    "{% for i in (1..999) %}", "{% break %}", "{% cycle 'a', 'b' %}", "{% increment n %}",
    "{{ customer | json }}", "{{ customer.__class__ }}", "{{ 'x' | times: 3 }}", "{{ 1 | divided_by: 0 }}",
    "{{ customer[event.key] }}", "{{ (1..10) | reverse | slice: 2, 3 }}", "{%", "{{", "%}", "}}", "|", "\x00",
    "{{ customer.first_name | replace: '', 'x' }}", "{{ event.when | date: '%s %-d %Q' }}", "é😀", "\ud800",
    "{{ 'a' | sort | uniq | compact | first | size }}", "{% include 'x' %}", "{% render 'x' %}", "{% liquid\necho 'a' %}",
)  # fmt: skip
WHOLE: Final = tuple(p for p in PIECES if p[:2] == "{{" and p[-2:] == "}}" and p[2:])
AROUND: Final = (
    ("", ""), ("{% for p in event.products %}", "{% endfor %}"), ("<p>", "</p>"),
    ("{% if event.total %}", "{% else %}x{% endif %}"), ("{% for i in (1..50) %}", "{% endfor %}"),
)  # fmt: skip


@dataclass(slots=True)
class Read:
    """How often each reader took or refused its input, and what may not be."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)


def run(seed: int, inputs: int) -> Read:
    """Give each reader so many inputs, all made of the seed."""
    read = Read()
    for name, reader in READERS.items():
        for number in range(inputs):
            rng = Random(f"{seed}-{name}-{number}")
            began = perf_counter()
            try:
                how = reader(rng)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                how = "failed"
                _complain(read, f"{name}, input {number}: {error!r}")
            took_s = perf_counter() - began
            read.counts[f"{name}: {how}"] += 1
            read.slowest_s[name] = max(took_s, read.slowest_s.get(name, 0.0))
            if took_s > SLOW_S:
                _complain(read, f"{name}, input {number}: took {took_s:.1f} s")
    return read


def _complain(read: Read, what: str) -> None:
    if len(read.found) < SHOWN:
        read.found.append(what)


def _document(rng: Random) -> str:
    raw = changed(rng, copy.deepcopy(DOCUMENT)) if rng.random() < 0.9 else DOCUMENT
    try:
        if rng.random() < 0.5:
            document = parse_document(raw)
        else:
            text = written(rng, raw)
            document = parse_document(
                garbled(rng, text) if rng.random() < 0.2 else text
            )
    except DocumentInvalid:
        return "refused"
    if parse_document(dump_document(document)) != document:
        raise AssertionError("a document is another one once it is written and read")
    return f"taken, {min(len(Version(1, 1, document).names), 1)}"


def _condition(rng: Random) -> str:
    raw = _tree(rng, depth=3)
    if rng.random() < 0.3:
        raw = changed(rng, raw)
    try:
        condition = parse_condition(raw)
    except ConditionInvalid:
        return "refused"
    if parse_condition(dump_condition(condition)) != condition:
        raise AssertionError("a condition is another one once it is written and read")
    facts = Facts(
        event={"name": "x", "properties": _facts(rng), "context": _facts(rng)},
        customer=_facts(rng),
        journey={"woken_by": odd(rng)},
        past=_Odd(rng),
    )
    evaluate(condition, facts, now=NOW).as_json()
    return "taken"


class _Odd:
    """A past of events with odd properties."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def events(
        self, name: str, since: datetime, until: datetime
    ) -> Sequence[PastEvent]:
        return [
            PastEvent(number, name, when, _facts(self._rng))
            for number, when in enumerate((since, until))
        ]


def _tree(rng: Random, *, depth: int) -> Any:
    """Return the form of a condition; most are right."""
    if depth and rng.random() < 0.5:
        parts = [_tree(rng, depth=depth - 1) for _ in range(1 + rng.randrange(3))]
        return rng.choice(({"all": parts}, {"any": parts}, {"not": parts[0]}))
    if rng.random() < 0.2:
        return {"did": "Order Completed", "op": "at_least", "times": rng.randrange(9),
                "within": {"amount": 1 + rng.randrange(90), "unit": "days"},
                "where": {"field": "event.properties.total", "op": "gt", "value": 1}}  # fmt: skip
    op = rng.choice(get_args(FieldOp))
    made: dict[str, Any] = {"field": rng.choice(FIELDS), "op": op}
    if op in RELATIVE_OPS:
        made["value"] = {"amount": 1 + rng.randrange(90), "unit": "hours"}
    elif op in LIST_OPS:
        made["value"] = [odd(rng) for _ in range(1 + rng.randrange(3))]
    elif op not in NO_VALUE:
        made["value"] = rng.choice((odd(rng), 5, "pro", "2026-01-31"))
    return made


def _facts(rng: Random) -> dict[str, Any]:
    made = changed(rng, payloads.track(rng))
    said = made if isinstance(made, dict) else {}
    return {**said, "plan": odd(rng), "email": odd(rng), "total": odd(rng)}


def _template(rng: Random) -> str:
    pieces = WHOLE if rng.random() < 0.6 else PIECES
    source = "".join(rng.choice(pieces) for _ in range(1 + rng.randrange(12)))
    if pieces is WHOLE:
        opening, closing = rng.choice(AROUND)
        source = f"{opening}{source}{closing}"
    if rng.random() < 0.2:
        source = garbled(rng, source.encode(errors="replace")).decode(errors="replace")
    problems(source)
    escaping = rng.choice(list(Escaping))
    try:
        compiled = compile_template(source, escaping)
    except TemplateInvalid:
        return "refused"
    try:
        facts = context_of(
            customer=_facts(rng), event_name="x", properties=_facts(rng), context={},
            occurred_at=NOW, extra={"now": NOW.isoformat()},
        )  # fmt: skip
        render_liquid(compiled, facts)
    except TemplateInvalid:
        return "not rendered"
    return "rendered"


def _webhook(rng: Random) -> str:
    body = written(rng, payloads.webhook(rng, []))
    read = read_batch(garbled(rng, body) if rng.random() < 0.3 else body)
    return "taken" if read.events else "refused"


def _call(rng: Random) -> str:
    path, made = (payloads.batch if rng.random() < 0.3 else payloads.call)(rng)
    body = written(rng, made)
    body = garbled(rng, body) if rng.random() < 0.3 else body
    try:
        parsed = segment.parse(path.split("/")[-1], body, received_at=NOW)
    except BadBody:
        return "refused"
    return "taken" if parsed.events else "all rejected"


READERS: Final[dict[str, Callable[[Random], str]]] = {
    "rule documents": _document,
    "conditions": _condition,
    "templates": _template,
    "webhooks": _webhook,
    "calls": _call,
}
