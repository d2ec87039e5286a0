"""Form fields for what marketers write: lists of names, times, weekdays, conditions."""

import json
import re
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from campaigns.admin.base import CheckboxList, TextArea, TextInput
from campaigns.domain.conditions import ConditionInvalid, parse_condition
from campaigns.domain.problems import is_storable

WEEKDAYS: Final = [
    ("0", "Mon"), ("1", "Tue"), ("2", "Wed"), ("3", "Thu"), ("4", "Fri"),
    ("5", "Sat"), ("6", "Sun"),
]  # fmt: skip
_TIME: Final = re.compile(r"([01]?\d|2[0-4])[:.]?([0-5]\d)?")
MAX_NAME: Final = 200


class NamesField(forms.CharField):
    """Event names, separated by commas or lines."""

    def __init__(self, **options: Any) -> None:
        """Show one line that holds several names."""
        options.setdefault("widget", TextInput(attrs={"class": "vLargeTextField"}))
        options.setdefault("help_text", "Separate several names with commas.")
        super().__init__(**options)

    def prepare_value(self, value: Any) -> Any:
        """Return the names as they are typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare names, not their spelling with commas."""
        return self._split(self.prepare_value(initial)) != self._split(data)

    def to_python(self, value: Any) -> Any:
        """Return the names, each once, without blanks around them."""
        return self._split(value)

    def clean(self, value: Any) -> Any:
        """Return the names; refuse what cannot be kept as one."""
        found = super().clean(value)
        if not all(map(is_storable, found)):
            raise ValidationError("A name holds a character that cannot be stored.")
        long = [name for name in found if len(name) > MAX_NAME]
        if long:
            raise ValidationError(
                f"“{long[0][:40]}…” is longer than {MAX_NAME} characters."
            )
        return found

    def run_validators(self, value: Any) -> None:
        """Leave out what only suits text: the names are a list."""

    @staticmethod
    def _split(value: Any) -> list[str]:
        parts = re.split(r"[,\n]", value) if isinstance(value, str) else value or []
        return list(dict.fromkeys(p.strip() for p in parts if p.strip()))


class WeekdaysField(forms.MultipleChoiceField):
    """Weekdays as boxes; none ticked means every day."""

    def __init__(self, **options: Any) -> None:
        """Show seven boxes."""
        options.setdefault("widget", CheckboxList(attrs={"class": "et-days"}))
        options.setdefault("help_text", "None ticked means every day.")
        super().__init__(choices=WEEKDAYS, required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        """Return the days as the boxes name them."""
        return [str(v) for v in value or []]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare the days."""
        changed: bool = super().has_changed([str(v) for v in initial or []], data)
        return changed

    def clean(self, value: Any) -> Any:
        """Return the days as numbers; Monday is 0."""
        return sorted(int(day) for day in super().clean(value))


class ClockField(forms.CharField):
    """A time of day, HH:MM; "9" and "9.30" are understood."""

    def __init__(self, *, placeholder: str, **options: Any) -> None:
        """Show a short field with an example in it."""
        attrs = {"placeholder": placeholder, "size": 6, "inputmode": "numeric"}
        super().__init__(required=False, widget=TextInput(attrs=attrs), **options)

    def clean(self, value: Any) -> Any:
        """Return "HH:MM", "" for none."""
        text = str(super().clean(value) or "").strip()
        if not text:
            return ""
        found = _TIME.fullmatch(text)
        if not found or (int(found[1]) == 24 and found[2] not in (None, "00")):
            raise ValidationError(
                f"“{text[:20]}” is not a time such as 09:00 or 17:30."
            )
        return f"{int(found[1]):02}:{found[2] or '00'}"


class ConditionField(forms.CharField):
    """A condition as JSON, checked as the engine reads it."""

    def __init__(self, **options: Any) -> None:
        """Show a box for code."""
        attrs = {"class": "et-mono vLargeTextField", "rows": 4, "spellcheck": "false"}
        attrs["placeholder"] = (
            '{"field": "event.properties.total", "op": "gte", "value": 50}'
        )
        options.setdefault("widget", TextArea(attrs=attrs))
        super().__init__(required=False, **options)

    def prepare_value(self, value: Any) -> Any:
        """Return the JSON laid out."""
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare the JSON, not its layout."""
        try:
            given: object = json.loads(data) if data else None
            return bool(given != initial)
        except (ValueError, RecursionError):
            return True

    def clean(self, value: Any) -> Any:
        """Return the JSON value, None for no condition; say what is wrong, and where."""
        text = str(super().clean(value) or "").strip()
        if not text:
            return None
        parsed = read_json(text)
        try:
            parse_condition(parsed)
        except ConditionInvalid as invalid:
            raise ValidationError(
                [_sentence(str(p)) for p in invalid.problems]
            ) from None
        return parsed


def read_json(text: str) -> object:
    """Return the JSON value. Raises ValidationError, which says where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValidationError(
            f"This is not JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}."
        ) from None
    except RecursionError:
        raise ValidationError("This is nested too deep.") from None
    except ValueError:
        raise ValidationError("A number here has too many digits.") from None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
