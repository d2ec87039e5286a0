"""Forms of the admin: read from their page, filled in, and written as browsers do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import quote_plus

BOUNDARY: Final = "fuzz-boundary"
URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = f"multipart/form-data; boundary={BOUNDARY}"
EMPTY: Final = "-__prefix__-"  # in the names of the form that new rows are copied from
TICKED: Final = ("checkbox", "radio")
NOT_POSTED: Final = ("submit", "button", "image", "reset", "file")

Pair = tuple[str, str | bytes]


@dataclass(slots=True)
class Form:
    """What a browser would post, in its order, and what each list offers to choose."""

    pairs: list[Pair] = field(default_factory=list)
    choices: dict[str, list[str]] = field(default_factory=dict)
    empty: list[Pair] = field(default_factory=list)

    def value(self, name: str) -> str:
        """Return the first value of a field, "" if it has none."""
        found = (str(value) for named, value in self.pairs if named == name)
        return next(found, "")

    def put(self, name: str, value: str | bytes) -> None:
        """Give a field one value."""
        self.drop(name)
        self.pairs.append((name, value))

    def drop(self, name: str) -> None:
        """Leave a field out."""
        self.pairs = [pair for pair in self.pairs if pair[0] != name]

    def add_row(self, prefix: str, **values: str) -> None:
        """Add a row to the inline forms of that prefix."""
        number = self.rows(prefix)
        self.put(f"{prefix}-TOTAL_FORMS", str(number + 1))
        begin = f"{prefix}{EMPTY}"
        for name, value in self.empty:
            if name.startswith(begin):
                self.put(f"{prefix}-{number}-{name.removeprefix(begin)}", value)
        for name, value in values.items():
            self.put(f"{prefix}-{number}-{name}", value)

    def rows(self, prefix: str) -> int:
        """Return how many inline forms of that prefix there are."""
        return int(self.value(f"{prefix}-TOTAL_FORMS") or 0)


class NoForm(Exception):
    """A page lacks the form that it is there for."""


def read_form(page: bytes, ident: str) -> Form:
    """Return the form of that id in a page. Raises NoForm."""
    parser = _Parser(ident)
    parser.feed(page.decode(errors="replace"))
    if not parser.was_there:
        raise NoForm(ident)
    return parser.form


def urlencoded(pairs: Sequence[Pair], *, errors: str = "replace") -> bytes:
    """Return pairs as a form's body; `errors` is what becomes of lone surrogates."""
    return "&".join(
        f"{_quoted(name, errors)}={_quoted(value, errors)}" for name, value in pairs
    ).encode()


def multipart(pairs: Sequence[Pair], *, errors: str = "replace") -> bytes:
    """Return pairs as the body of a form with files."""
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (
            BOUNDARY.encode(),
            name.encode(errors=errors),
            value if isinstance(value, bytes) else value.encode(errors=errors),
        )
        for name, value in pairs
    ]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def _quoted(text: str | bytes, errors: str) -> str:
    return quote_plus(text if isinstance(text, bytes) else text.encode(errors=errors))


class _Parser(HTMLParser):
    """Collects the fields of one form."""

    def __init__(self, ident: str) -> None:
        super().__init__()
        self.form = Form()
        self.was_there = False
        self._ident = ident
        self._inside = False
        self._area = self._list = ""
        self._text: list[str] = []
        self._chosen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("id") == self._ident
            self.was_there = self.was_there or self._inside
        elif self._inside and tag in ("input", "textarea", "select", "option"):
            getattr(self, f"_{tag}")(given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self._area:
            self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "textarea" and self._area:
            self._keep(self._area, "".join(self._text).removeprefix("\n"))
            self._area = ""
        elif tag == "select" and self._list:
            chosen = self._chosen or self.form.choices[self._list][:1]
            for value in chosen:
                self._keep(self._list, value)
            self._list = ""

    def _input(self, given: dict[str, str]) -> None:
        name, kind = given.get("name", ""), given.get("type", "text")
        if not name or kind in NOT_POSTED:
            return
        value = given.get("value", "on" if kind in TICKED else "")
        if kind in TICKED:
            self.form.choices.setdefault(name, []).append(value)
            if "checked" not in given:
                return
        self._keep(name, value)

    def _textarea(self, given: dict[str, str]) -> None:
        self._area, self._text = given.get("name", ""), []

    def _select(self, given: dict[str, str]) -> None:
        self._list, self._chosen = given.get("name", ""), []
        self.form.choices.setdefault(self._list, [])

    def _option(self, given: dict[str, str]) -> None:
        value = given.get("value", "")
        self.form.choices.setdefault(self._list, []).append(value)
        if "selected" in given:
            self._chosen.append(value)

    def _keep(self, name: str, value: str) -> None:
        pairs = self.form.empty if EMPTY in name else self.form.pairs
        pairs.append((name, value))
