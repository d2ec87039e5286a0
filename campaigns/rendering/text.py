"""A mail's text part, made of its html where the author wrote none."""

import re
from functools import lru_cache
from typing import Final

from html2text import HTML2Text

from campaigns.domain.liquid_output import MARK, Marked

MAX_TEXT_CHARS: Final = 200_000
MAX_KEPT_CHARS: Final = 50_000

STYLE: Final = re.compile(
    r"<style\b[^>]{0,200}>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE
)
GAPS: Final = re.compile(r"\n{3,}")
_LINK = re.compile(r"\[([^][\n]{0,300})\]\(<?([^()\s<>]{1,2000})>?\)")
_ESCAPED = re.compile(r"\\([-.+#*_()\[\]])")
# A value within one of these attributes changes nothing of how html is read.
_TAG = re.compile(r"<[^<>]*>")
_ENTITY = re.compile(rf"&#?\w{{0,30}}{MARK.pattern}")
_ATTRIBUTE = re.compile(
    r"""\b(?:href|src|alt|style|class|width|height|bgcolor|color)\s*=\s*(?:"[^"<>]*"|'[^'<>]*')""",
    re.IGNORECASE,
)


def text_of(html: str) -> str:
    """Return html as text that people read: links as "words: address"."""
    maker = HTML2Text(bodywidth=0)
    maker.ignore_images = True
    maker.ignore_tables = True
    maker.ignore_emphasis = True
    maker.single_line_break = False
    # A blank after each cell, or a table's words would run together.
    source = STYLE.sub("", html)[:MAX_TEXT_CHARS].replace("</td>", " </td>")
    plain = maker.handle(source)
    plain = _LINK.sub(_spelled, plain)
    plain = _ESCAPED.sub(r"\1", plain)
    lines = (
        one.lstrip("#").strip() if one.startswith("#") else one.rstrip()
        for one in plain.splitlines()
    )
    return GAPS.sub("\n\n", "\n".join(lines)).strip()


def text_of_marked(marked: Marked) -> str:
    """Return rendered html as text; mails of one shape are read as html once.

    Reading html takes as long as rendering the mail. So what is read is the html
    with marks for values, which mails share that took the same turns through their
    template, and each mail's values are put into that text.
    """
    read = None
    if marked.is_sound and len(marked.frame) <= MAX_KEPT_CHARS:
        read = _text_of_frame(marked.frame)
    return text_of(marked.text) if read is None else marked.filled(read)


@lru_cache(maxsize=256)
def _text_of_frame(frame: str) -> str | None:
    """Return the text, None if a value may change how the html around it is read."""
    if _ENTITY.search(frame):
        return None
    for tag in _TAG.findall(frame):
        if MARK.search(_ATTRIBUTE.sub("", tag)):
            return None
    return text_of(frame)


def _spelled(link: re.Match[str]) -> str:
    words, address = link[1].strip(), link[2]
    return address if not words or words == address else f"{words}: {address}"
