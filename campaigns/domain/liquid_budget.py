"""What a template may cost, counted in steps and characters, never in seconds.

A count gives the same verdict on every machine and every day, so that what was
tested is what runs, and a mail can be shown again exactly.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

MAX_SOURCE_CHARS: Final = 256_000
MAX_TAG_CHARS: Final = 1_000
MAX_TAGS: Final = 5_000
MAX_STEPS: Final = 200_000
MAX_LOOPS: Final = 10_000
MAX_RANGE: Final = 1_000
MAX_OUTPUT_BYTES: Final = 500_000
MAX_VALUE_CHARS: Final = 200_000
MAX_LOCALS_CHARS: Final = 500_000
MAX_NUMBER: Final = 10**30
MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000
MAX_DATA_CHARS: Final = 1_000_000

NODE_CHARS: Final = 8
"""What a value of no length counts, so that an empty list is not free."""

CHARS_PER_STEP: Final = 64


class TemplateInvalid(Exception):
    """The template cannot be rendered with these facts.

    `line` is where (from 1; 0 if it is nowhere in particular), `variable` the
    name that was missing ("" if another fault), `reason` the sentence alone.
    """

    def __init__(self, reason: str, *, line: int = 0, variable: str = "") -> None:
        self.reason = reason
        self.line = line
        self.variable = variable
        super().__init__(f"Line {line}: {reason}" if line else reason)


class Budget:
    """The steps that are left for one rendering."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Count `steps` off; raises TemplateInvalid when none are left."""
        self.left -= steps
        if self.left < 0:
            raise TemplateInvalid(
                "This template does too much work. Shorten its loops or print less."
            )


def weigh(value: object, *, limit: int = MAX_VALUE_CHARS) -> int:
    """Return the characters in a value and all that it holds, repeats counted.

    Stops counting above `limit`, so that a huge value costs no more than it.
    Raises TemplateInvalid for a number too large to reckon with.
    """
    total = 0
    stack: list[object] = [value]
    while stack and total <= limit:
        item = stack.pop()
        total += NODE_CHARS
        match item:
            case str():
                total += len(item)
            case bool() | None:
                pass
            case int() | float():
                check_number(item)
            case range():
                total += len(item) * NODE_CHARS
            case dict() | list() | tuple() | Mapping():
                total += len(item) * NODE_CHARS
                if total <= limit:
                    stack.extend(_parts(item))
            case _:
                pass
    return total


def check_number(number: float) -> None:
    """Raise TemplateInvalid for what is too large, infinite or no number."""
    if not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise TemplateInvalid("A number here is too large to reckon with.")


def check_size(value: object) -> int:
    """Return the weight of a value; raises TemplateInvalid above the limit."""
    # Most values are text; ABCs, which groups are told by, are slow to ask.
    weight = NODE_CHARS + len(value) if type(value) is str else weigh(value)
    if weight > MAX_VALUE_CHARS:
        raise TemplateInvalid(
            f"A value here grows beyond {MAX_VALUE_CHARS:,} characters. "
            "Cut it short, for example with the filter truncate."
        )
    return weight


def plain(value: object) -> object:
    """Return a copy that holds dict, list, str, int, float, bool and None only.

    Tuples become lists, keys text; NUL and lone surrogates become U+FFFD.
    Raises TemplateInvalid, naming the path, for anything else (a model, a date:
    turn it into text first), for more than MAX_DEPTH levels, MAX_NODES values
    or MAX_DATA_CHARS characters, and for numbers that are not finite.
    """
    return _Copy().any(value, (), 0)


class PlainData(dict[str, object]):
    """Data that plain_data has looked through: rendering need not do so again."""


def plain_data(data: Mapping[str, object]) -> PlainData:
    """Return such a copy for several renderings. Raises as `plain` does."""
    copied = plain(data)
    return PlainData(copied if isinstance(copied, dict) else {})


Path = tuple[()] | tuple["Path", str]
"""Where a value is: its parent's path and what leads on from there; () is the top."""


class _Copy:
    """One pass over the data, counting what it holds."""

    def __init__(self) -> None:
        self.nodes = 0
        self.chars = 0

    def any(self, value: object, path: Path, depth: int) -> object:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise TemplateInvalid(
                f"The data is too large or too deep at “{_spelled(path)}”."
            )
        match value:
            case str():
                return self.text(value, path)
            case bool() | None:
                return value
            case int() if value.bit_length() <= 4_096:
                return value
            case float() if value - value == 0:
                return value
            case dict() | Mapping():
                named = ((self.text(str(key), path), v) for key, v in value.items())
                return {
                    name: self.any(item, (path, f".{name}"), depth + 1)
                    for name, item in named
                }
            case list() | tuple():
                return [
                    self.any(item, (path, f"[{place}]"), depth + 1)
                    for place, item in enumerate(value)
                ]
            case _:
                raise TemplateInvalid(
                    f"“{_spelled(path).lstrip('.')}” is a {type(value).__name__}, "
                    "which a template cannot use; pass text, numbers or lists."
                )

    def text(self, text: str, path: Path) -> str:
        self.chars += len(text)
        if self.chars > MAX_DATA_CHARS:
            raise TemplateInvalid(f"The data is too large at “{_spelled(path)}”.")
        # str(), so that no subclass (such as markup held to be safe) gets in.
        return clean_text(str(text))


def clean_text(text: str) -> str:
    """Return text that every later stage can encode and PostgreSQL can keep."""
    if text.isascii() and "\0" not in text:
        return text
    return (
        text.replace("\0", "\ufffd")
        .encode("utf-16-le", "surrogatepass")
        .decode("utf-16-le", "replace")
    )


def _spelled(path: Path) -> str:
    text = ""
    while path:
        path, last = path
        text = last + text
    return text[-200:]


def _parts(value: Mapping[object, object] | Iterable[object]) -> Iterable[object]:
    if isinstance(value, Mapping):
        return chain(value.keys(), value.values())
    return value
