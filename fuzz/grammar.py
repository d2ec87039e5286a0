"""What the readers are given: documents, conditions, facts, templates, mostly sound."""

import copy
from random import Random
from typing import Any, Final, get_args

from campaigns.domain.condition_tree import (
    LIST_OPS,
    NO_VALUE,
    RELATIVE_OPS,
    FieldOp,
)
from fuzz import payloads
from fuzz.values import changed, garbled, odd

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
    "{{ '\\ud83d' | upcase }}", "{{ '%ED%A0%80' | url_decode }}", "{{ event.name | truncate: 999999999999999999999 }}",
    "{{ event.tags | slice: -99999999999999999999, 9 }}", "{{ event.when | date: '%c%x%Z%10000d' }}",
)  # fmt: skip
# Each can be rendered alone, whatever the facts: with what is missing it deals itself.
SOUND: Final = (
    "Hello ", "é😀\u202e", "{{ customer.first_name | default: 'there' | capitalize }}",
    "{{ now | date: '%Y' }}", "{{ 'x' | times: 3 }}", "{{ event.name | default: 'x' | upcase | escape }}",
    "{% if event.products %}{% for p in event.products %}{{ p.name | default: '-' }}{% endfor %}{% endif %}",
    "{% if customer.plan == 'pro' and event.total > 5 %}a{% elsif event.total %}b{% else %}c{% endif %}",
    "{% assign a = customer.email | default: 'x@y' | split: '@' | last %}{{ a | default: '-' }}",
    "{% capture c %}{{ event.total | default: 0 }}{% endcapture %}{{ c | append: c | truncate: 9 }}",
    "{% case event.plan %}{% when 'pro' %}p{% when 5, 'x' %}q{% else %}r{% endcase %}",
    "{{ (1..10) | reverse | slice: 2, 3 | join: '-' }}", "{{ customer.a.b.c | default: 'no' | strip_html }}",
    "{{ event.products | default: '' | size }}", "{% raw %}{{ a }}{% endraw %}", "{% comment %}{% x %}{% endcomment %}",
    "{% for i in (1..50) %}{% if i > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{{ event.tags | default: 'a,b' | join: ',' | replace: 'a', 'ab' | url_encode }}",
    "{% unless customer.total %}none{% endunless %}", "{{ 'a' | sort | uniq | compact | first | size }}",
)  # fmt: skip
BOMBS: Final = (
    "{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}",
    "{% assign a = 'xxxxxxxx' %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}{{ a }}",
    "{% for i in (1..99999999999) %}{{ i }}{% endfor %}", "{{ 'x' | times: 9999999999999999999 }}",
    "{% if a %}" * 300 + "{% endif %}" * 300, "{{ a" + ".b" * 3_000 + " }}",
    "{{ 1" + " | plus: 1" * 3_000 + " }}", "{% capture a %}" * 200, "{{ 'a' | replace: '', 'aaaaaaaaaa' }}" * 50,
)  # fmt: skip
AROUND: Final = (
    ("", ""), ("{% if event.products %}{% for p in event.products %}", "{% endfor %}{% endif %}"),
    ("<p>", "</p>"), ("{% if event.total %}", "{% else %}x{% endif %}"), ("{% for i in (1..50) %}", "{% endfor %}"),
)  # fmt: skip
UNITS: Final = ("minutes", "hours", "days", "weeks")
TIMES: Final = ("00:00", "07:30", "09:00", "17:00", "22:15", "23:59")


def template(rng: Random) -> str:
    """Return a template; two of three could be rendered."""
    if (how := rng.random()) < 0.01:
        return rng.choice(BOMBS)
    pieces = PIECES if how < 0.2 else SOUND
    source = "".join(rng.choice(pieces) for _ in range(1 + rng.randrange(12)))
    if pieces is SOUND:
        opening, closing = rng.choice(AROUND)
        source = f"{opening}{source}{closing}"
    if rng.random() < 0.1:
        source = garbled(rng, source.encode(errors="replace")).decode(errors="replace")
    return source


def facts(rng: Random) -> dict[str, Any]:
    """Return what is known of an event or a person: odd under some known names."""
    made = changed(rng, payloads.track(rng))
    said = made if isinstance(made, dict) else {}
    return {**said, "plan": odd(rng), "email": odd(rng), "total": odd(rng)}


def condition(rng: Random) -> Any:
    """Return the form of a condition; two of three are right."""
    made = tree(rng, depth=3)
    return changed(rng, made) if rng.random() < 0.15 else made


def tree(rng: Random, *, depth: int) -> Any:
    """Return the form of a condition; most are right."""
    if depth and rng.random() < 0.5:
        parts = [tree(rng, depth=depth - 1) for _ in range(1 + rng.randrange(3))]
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


def document(rng: Random) -> Any:
    """Return a rule document, each a different one; two of three are right."""
    made = copy.deepcopy(DOCUMENT)
    made["name"] = _name(rng)
    made["trigger"]["events"] = rng.sample(payloads.HARMLESS, 1 + rng.randrange(3))
    made["exit"]["events"][0] += str(rng.randrange(9))
    made["cooldown"] = {
        "duration": _duration(rng),
        "key": rng.choice((None, "cart_id")),
    }
    made["holdout"] = rng.randrange(10_001)
    made["retrigger"] = rng.choice(("ignore", "restart"))
    made["condition"] = (
        tree(rng, depth=2) if rng.random() < 0.2 else copy.deepcopy(CONDITION)
    )
    made["steps"] = [_step(rng) for _ in range(1 + rng.randrange(3))]
    for name in ("exit", "cooldown", "freshness", "goal", "condition"):
        if rng.random() < 0.2:
            made[name] = None
    return changed(rng, made) if rng.random() < 0.3 else made


def _step(rng: Random) -> Any:
    made = copy.deepcopy(DOCUMENT["steps"][0])
    made["delay"] = _duration(rng)
    made["window"]["weekdays"] = sorted(rng.sample(range(7), 1 + rng.randrange(7)))
    made["window"]["start"], made["window"]["end"] = rng.sample(TIMES, 2)
    if rng.random() < 0.8:
        made["quiet"] = None
    made["variants"][0]["weight"] = 1 + rng.randrange(9)
    if rng.random() < 0.3:
        made["variants"][1]["name"] = _name(rng)
    return made


def _duration(rng: Random) -> dict[str, Any]:
    return {"amount": 1 + rng.randrange(30), "unit": rng.choice(UNITS)}


def _name(rng: Random) -> str:
    return str(odd(rng))[:100] if rng.random() < 0.1 else rng.choice(payloads.HARMLESS)
