"""Parsed templates, kept by the version that they were parsed from."""

from collections import OrderedDict
from threading import Lock
from typing import Final

from campaigns.domain.liquid import Compiled, Escaping, compile_template

MAX_PARSED: Final = 1_000
"""Parts kept; a template version has up to four."""


class TemplateCache:
    """A bounded, thread-safe cache; the part used longest ago goes first.

    Published versions are immutable, so nothing is ever outdated; the source is
    compared all the same, since a restored database may use an id again.
    """

    def __init__(self, size: int = MAX_PARSED) -> None:
        self._size = size
        self._lock = Lock()
        self._parsed: OrderedDict[tuple[int, str], tuple[str, Compiled]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._parsed)

    def get(
        self, version: int | None, part: str, source: str, escaping: Escaping
    ) -> Compiled:
        """Return the parsed part; `version` None (a draft) is parsed each time.

        Parsing runs outside the lock: two threads may parse the same part once
        each, but none waits for another's template. Raises TemplateInvalid.
        """
        if version is None:
            return compile_template(source, escaping)
        key = (version, part)
        with self._lock:
            found = self._parsed.get(key)
            if found and found[0] == source:
                self._parsed.move_to_end(key)
                return found[1]
        compiled = compile_template(source, escaping)
        with self._lock:
            self._parsed[key] = (source, compiled)
            self._parsed.move_to_end(key)
            while len(self._parsed) > self._size:
                self._parsed.popitem(last=False)
        return compiled


PARSED: Final = TemplateCache()
