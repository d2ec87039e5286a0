"""Forms filled in: soundly, oddly, with rows moved, added and lied about."""

from random import Random
from typing import Any, Final

from fuzz import grammar
from fuzz.forms import EMPTY, Form, Pair
from fuzz.values import changed, garbled, odd, written

MOMENTS: Final = (
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-01-01",
    "2026-01-01T00:00:00+00:00", "2026-W01-1", "20260101T00", "2026-01-01T00:00:00+23:59:59.999999",
    "", "now",
)  # fmt: skip
TEXTS: Final = (
    "", " ", "\u202e\u2066evil\u2069", "\u200b\u200d\ufeff", "\x07\x1b[31mred\x7f", "a\x00b",
    "\u2028\u2029\x85", "\uff11\uff12", "\u00b2", "\u0663", "12:\u0663\u0660", "\uff19:\uff10\uff10",
    "24:00", "25:61", "-1", "0", "1", "7", "1.5", "1e5", "1e999", "NaN", "Infinity", "0x10", "1_000",
    "99999", "2147483648", "9223372036854775808", "9" * 30, "9" * 5_000, ",,,\n,", "a,b," * 3_000,
    "null", "true", "[]", "{}", '""', "on", "Fuzz, Fuzz", "x" * 121, "\u00e4" * 201, "x" * 60_000,
    "ada@example.com\r\nBcc: all@example.com", "<script>alert(1)</script>", "\"'><img src=x>",
    "{{ 7 | times: 7 }}", "{% for i in (1..99999999) %}x{% endfor %}", "%s%n{0.__class__}",
)  # fmt: skip
NEEDED: Final = {
    "from_name": "Shop", "from_email": "shop@example.com", "company_name": "Shop",
    "rate_per_s": "5", "burst": "5", "trigger_events": "Fuzz",
}  # fmt: skip
WORDS: Final = ("html", "text", "subject", "preheader")
MOST_ROWS: Final = 6
# As hostile drafts add up, nothing could be published any more.
MENDED: Final = {
    "kind": "transactional", "topic": "", "trigger_events": "Fuzz", "condition": "",
    "cooldown_amount": "0", "cooldown_key": "", "freshness_amount": "3", "exit_events": "",
    "exit_key": "", "goal_event": "", "goal_amount": "7", "holdout_percent": "0",
    "subject": "Hello", "html": "<p>Hello {{ event.name }}</p>", "text": "", "preheader": "",
}  # fmt: skip
MENDED_ROW: Final = {
    "delay_amount": "0", "wait_for": "", "send_from": "", "send_until": "", "quiet_from": "",
    "quiet_until": "", "expires_amount": "0", "weight": "1", "condition": "",
}  # fmt: skip


def complete(rng: Random, form: Form) -> None:
    """Fill in what a new row needs, so that some are saved."""
    for name, given in list(form.pairs):
        choices = [choice for choice in form.choices.get(name, ()) if choice]
        if not given and choices:
            form.put(name, rng.choice(choices))
        elif not given and (name in NEEDED or name in WORDS):
            form.put(name, NEEDED.get(name) or grammar.template(rng)[:400])
    form.put("name", f"{text(rng)[:60]} {rng.getrandbits(32)}")
    if "slug" in (name for name, _ in form.pairs):
        form.put("slug", f"s{rng.getrandbits(32)}")


def mend(form: Form, prefix: str, templates: list[int]) -> None:
    """Fill in what could be published, but for the name."""
    for name, given in list(form.pairs):
        if name in MENDED:
            form.put(name, MENDED[name])
        row, _, last = name.rpartition("-")
        if not row.startswith(f"{prefix}-"):
            continue
        if last in MENDED_ROW:
            form.put(name, MENDED_ROW[last])
        elif last == "weekdays":
            form.drop(name)
        elif last == "template" and not given:
            form.put(name, str(templates[0]))


def put_oddly(rng: Random, form: Form) -> None:
    """Give some field an odd value, or another of its choices."""
    names = [*form.choices, *(named for named, _ in form.pairs)]
    name = rng.choice([named for named in names if EMPTY not in named])
    choices = form.choices.get(name)
    if choices and rng.random() < 0.7:
        form.put(name, rng.choice(choices))
    else:
        form.put(name, value(rng, name))


def rearrange(rng: Random, form: Form, prefix: str, templates: list[int]) -> None:
    """Move, add and remove rows, or lie about them."""
    rows = form.rows(prefix)
    how = rng.randrange(12)
    if how < 4:
        places = [str(place) for place in range(rows)]
        rng.shuffle(places)
        for row, place in enumerate(places):
            odd_place = text(rng) if rng.random() < 0.1 else place
            form.put(f"{prefix}-{row}-position", odd_place)
    elif how < 6 and rows < MOST_ROWS:
        form.add_row(prefix, template=str(rng.choice(templates)))
    elif how < 8 and rows > 1:
        form.put(f"{prefix}-{rng.randrange(1, rows)}-DELETE", "on")
    elif how == 8:
        count = rng.choice(("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS"))
        form.put(f"{prefix}-{count}", rng.choice(("0", "1", "3", "1500", text(rng))))
    elif how == 9:
        field = rng.choice(("id", "rule", "step", "template"))
        said = rng.choice((str(1 + rng.randrange(40)), text(rng)))
        form.put(f"{prefix}-0-{field}", said)


# --- values ----------------------------------------------------------------------------


def mixed(rng: Random, pairs: list[Pair]) -> list[Pair]:
    """Return the pairs; now and then without one, with one twice, or with a flood."""
    how = rng.random()
    at = rng.randrange(len(pairs))
    if how < 0.05:
        return pairs[:at] + pairs[at + 1 :]
    if how < 0.1:
        return [*pairs, (pairs[at][0], text(rng))]
    if how < 0.102:
        return [*pairs, *((f"x{n}", "") for n in range(6_000))]
    return pairs


def value(rng: Random, name: str) -> str | bytes:
    """Return an odd value that suits a field's name more or less."""
    if rng.random() < 0.1:
        return text(rng)
    last = name.rpartition("-")[2]
    if last == "condition":
        return _json(rng, grammar.condition(rng))
    if last == "sample":
        sample = {"customer": grammar.facts(rng), "event": grammar.facts(rng)}
        sample["event"]["occurred_at"] = rng.choice((odd(rng), *MOMENTS))
        return _json(rng, changed(rng, sample) if rng.random() < 0.4 else sample)
    if last in WORDS:
        return grammar.template(rng)
    if last.endswith(("events", "wait_for")):
        return ", ".join(text(rng)[:99] for _ in range(1 + rng.randrange(4)))
    return text(rng)


def _json(rng: Random, made: Any) -> bytes:
    data = written(rng, made)
    return garbled(rng, data) if rng.random() < 0.2 else data


def text(rng: Random) -> str:
    """Return an odd text."""
    return rng.choice(TEXTS) if rng.random() < 0.6 else str(odd(rng))


def errors(rng: Random) -> str:
    """Return what becomes of lone surrogates: a question mark, or what is no UTF-8."""
    return "surrogatepass" if rng.random() < 0.2 else "replace"
