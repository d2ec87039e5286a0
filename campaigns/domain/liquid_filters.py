"""Filters of our own, and what must be looked at before a filter runs."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from liquid import RenderContext
from liquid.filter import with_context

from campaigns.domain.liquid_budget import (
    MAX_VALUE_CHARS,
    Budget,
    TemplateInvalid,
    check_number,
    weigh,
)

_TAG = re.compile(r"<[^<>]*>")
_MAX_FORMAT_CHARS: Final = 100
_DIRECTIVES = re.compile(r"(?:[^%]|%-?[aAbBcdeHIjmMpSuUVwWxXyYzZ%])*\Z")

_SIGNS: Final[Mapping[str, str]] = {
    "USD": "$",
    "EUR": "€",
    "GBP": "£",
    "CAD": "CA$",
    "AUD": "A$",
    "JPY": "¥",
    "INR": "₹",
}
_NO_CENTS: Final = frozenset({"JPY", "KRW", "VND", "CLP", "ISK"})


@with_context
def date(value: object, form: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """Write a time as strftime does: `{{ trigger.occurred_at | date: "%d %B" }}`.

    `value` is ISO 8601 text or seconds since 1970 (UTC); "now" is the time that
    the context calls `now`. Widths such as %1000000d are refused: they would
    fill the memory.
    """
    if value in ("now", "today"):
        value = context.globals.get("now", "now")
    text = str(form)
    if len(text) > _MAX_FORMAT_CHARS or not _DIRECTIVES.match(text):
        raise TemplateInvalid(
            f"“{text[:40]}” is not a date format; use for example %d %B %Y."
        )
    return _moment(value).strftime(text)


def _moment(value: object) -> datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        return datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError) as error:
        raise TemplateInvalid(
            f"“{str(value)[:60]}” is not a date; write it as 2026-01-31 or "
            "2026-01-31T18:00:00Z."
        ) from error


def money(value: object, currency: object = "") -> str:
    """Write an amount: 1299.5 is "1,299.50", with "EUR" "€1,299.50"."""
    try:
        amount = Decimal(str(value).strip())
        check_number(float(amount))
    except ArithmeticError as error:
        raise TemplateInvalid(
            f"“{str(value)[:60]}” is not an amount of money; a number is needed."
        ) from error
    code = str(currency or "").strip().upper()
    cents = Decimal(1) if code in _NO_CENTS else Decimal("0.01")
    digits = f"{abs(amount).quantize(cents, rounding=ROUND_HALF_UP):,}"
    sign = "-" if amount < 0 else ""
    if not code or code in _SIGNS:
        return f"{sign}{_SIGNS.get(code, '')}{digits}"
    return f"{sign}{digits} {code}"


def strip_html(value: object) -> str:
    """Return text without tags. Linear: a tag is what has no `<` inside."""
    return _TAG.sub("", "" if value is None else str(value))


def before_replace(left: object, args: Sequence[object], _budget: Budget) -> None:
    """Refuse a replacement whose result would be too long, before making it."""
    text, seek, put = str(left), str(args[0]) if args else "", _text(args, 1)
    if len(text) + text.count(seek) * len(put) > MAX_VALUE_CHARS:
        raise _too_long()


def before_join(left: object, args: Sequence[object], _budget: Budget) -> None:
    """Refuse a join whose result would be too long, before making it."""
    count = len(left) if isinstance(left, list | tuple | range) else 1
    if weigh(left) + count * len(_text(args, 0)) > MAX_VALUE_CHARS:
        raise _too_long()


def before_uniq(left: object, _args: Sequence[object], budget: Budget) -> None:
    """Count what comparing each with each costs."""
    if isinstance(left, list | tuple | range):
        budget.spend(len(left) * weigh(left) // 1_024)


def _text(args: Sequence[object], place: int) -> str:
    return str(args[place]) if len(args) > place else ""


def _too_long() -> TemplateInvalid:
    return TemplateInvalid(
        f"This makes a text of more than {MAX_VALUE_CHARS:,} characters."
    )


OWN_FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "date": date,
    "money": money,
    "strip_html": strip_html,
}

LOOK_BEFORE: Final[Mapping[str, Callable[[object, Sequence[object], Budget], None]]] = {
    "replace": before_replace,
    "join": before_join,
    "uniq": before_uniq,
}
