"""What is wrong with something that a person or a program handed in, and where."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

_WORDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (type(None), "null"),
    (bool, "true or false"),  # before numbers: Python's bool is an int
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
)

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # NUL, lone surrogates


class Problem(NamedTuple):
    """One fault: where ("steps[0].delay.amount", "" is the whole), and a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(ValueError):
    """It cannot be taken; `problems` names every fault found, at least one."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def under(path: str, key: str | int) -> str:
    """Return the path of a part: a field by its name, an entry by its number.

    What of a name cannot be stored is replaced: it could not be shown either.
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = _UNSTORABLE.sub("\ufffd", key)
    return f"{path}.{name}" if path else name


def type_word(value: object) -> str:
    """Return what a JSON value is called in a sentence ("text", "a list")."""
    for kind, word in _WORDS:
        if isinstance(value, kind):
            return word
    return f"a {type(value).__name__}"


def is_storable(text: str) -> bool:
    """Say whether PostgreSQL can keep the text: no NUL, no lone surrogate."""
    return _UNSTORABLE.search(text) is None


def unstorable(value: object, path: str = "") -> Iterator[Problem]:
    """Find every text in a JSON value that PostgreSQL could not keep."""
    match value:
        case str():
            if not is_storable(value):
                yield Problem(path, "holds a character that cannot be stored")
        case list() | tuple():
            for place, entry in enumerate(value):
                yield from unstorable(entry, under(path, place))
        case Mapping():
            for key, entry in value.items():
                if not isinstance(key, str) or not is_storable(key):
                    yield Problem(path, "has a field whose name cannot be stored")
                else:
                    yield from unstorable(entry, under(path, key))
        case _:
            return
