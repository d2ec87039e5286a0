"""Where templates are written to: counted, and if wanted with each value marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Final

from liquid.exceptions import OutputStreamLimitError
from liquid.output import LimitedStringIO

from campaigns.domain.liquid_budget import CHARS_PER_STEP, Budget

# Private use: letters to every parser, and of no meaning in a mail.
_OPEN: Final = "\ue000"
_CLOSE: Final = "\ue001"
MARK: Final = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class CountedOutput(LimitedStringIO):
    """An output that counts the cost of each write."""

    def __init__(self, limit: int, budget: Budget) -> None:
        super().__init__(limit)
        self.budget = budget

    def write(self, text: str) -> int:
        """Write; raises when the output or the budget is used up."""
        length = len(text)
        self.budget.spend(length // CHARS_PER_STEP)
        self.size += length if text.isascii() else len(text.encode())
        if self.size > self.limit:
            raise OutputStreamLimitError("output stream limit reached", token=None)
        return StringIO.write(self, text)

    def put(self, shown: str, _value: str) -> int:
        """Write what shows a value."""
        return self.write(shown)


@dataclass(frozen=True, slots=True)
class Marked:
    """What was rendered, and the same with a mark where each value stands.

    Equal values have equal marks. What wraps a value in blanks is left around its
    mark, and an empty one has none. `is_sound` unless the author's own text holds
    what could be taken for a mark.
    """

    text: str
    frame: str
    values: Sequence[str]
    is_sound: bool

    def filled(self, text: str) -> str:
        """Return a text that was made of the frame, with the values in it."""
        return MARK.sub(lambda mark: self.values[int(mark[1])], text)


class MarkedOutput(CountedOutput):
    """An output that keeps what `Marked` says."""

    def __init__(self, limit: int, budget: Budget) -> None:
        super().__init__(limit, budget)
        self._frame = StringIO()
        self._values: dict[str, int] = {}
        self._is_sound = True

    def write(self, text: str) -> int:
        """Write what is no value."""
        if _OPEN in text:
            self._is_sound = False
        self._frame.write(text)
        return super().write(text)

    def put(self, shown: str, value: str) -> int:
        """Write what shows a value, and mark the value in the frame."""
        bare = value.strip()
        if bare:
            before, _, after = value.partition(bare)
            number = self._values.setdefault(bare, len(self._values))
            value = f"{before}{_OPEN}{number}{_CLOSE}{after}"
        self._frame.write(value)
        return super().write(shown)

    def marked(self) -> Marked:
        """Return what was written."""
        return Marked(
            self.getvalue(),
            self._frame.getvalue(),
            tuple(self._values),
            self._is_sound,
        )
