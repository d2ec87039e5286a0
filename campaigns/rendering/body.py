"""A mail's bodies: Liquid for what marketers write, Jinja2 for what surrounds it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import css_inline
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from campaigns.domain.liquid import (
    Escaping,
    TemplateInvalid,
    render_liquid,
    render_marked,
)
from campaigns.rendering.cache import PARSED
from campaigns.rendering.parts import Sources
from campaigns.rendering.text import GAPS, STYLE, text_of_marked

MAX_HTML_BYTES: Final = 1_000_000
MAX_STYLE_WORK: Final = 20_000_000
"""Characters of CSS times elements: what inlining may cost at worst."""

_LAYOUTS: Final = Path(__file__).resolve().parents[2] / "templates" / "email"
_DOCUMENT = re.compile(r"\s*(?:<!doctype\b|<html\b)", re.IGNORECASE)

_JINJA: Final = Environment(
    loader=FileSystemLoader(_LAYOUTS),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=False,
    auto_reload=False,  # else each mail looks at the files' times
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the layout prints around a body; an empty `unsubscribe_url` prints none."""

    subject: str
    company: str
    address_lines: tuple[str, ...]
    reason: str
    unsubscribe_url: str
    language: str


@dataclass(frozen=True, slots=True)
class Bodies:
    """Both bodies, ready to send."""

    html: str
    text: str


def line(sources: Sources, part: str, context: Mapping[str, object]) -> str:
    """Render the subject or the preheader: text, nothing escaped.

    Raises TemplateInvalid, as every function here.
    """
    source = sources.subject if part == "subject" else sources.preheader
    if not source:
        return ""
    compiled = PARSED.get(sources.version, part, source, Escaping.TEXT)
    return render_liquid(compiled, context)


def bodies(sources: Sources, context: Mapping[str, object], frame: Frame) -> Bodies:
    """Render both bodies; the text is made from the html if the author wrote none."""
    own_html, own_text = _own(sources, context)
    preheader = " ".join(line(sources, "preheader", context).split())[:300]
    html = _wrapped(own_html, frame, preheader, has_link=_has_link(sources, "html"))
    if len(html.encode()) > MAX_HTML_BYTES:
        raise TemplateInvalid(
            f"The mail is larger than {MAX_HTML_BYTES // 1_000_000} MB; "
            "most mailboxes cut it at 102 KB."
        )
    shown = bool(frame.unsubscribe_url) and frame.unsubscribe_url in own_text
    text = _JINJA.get_template("base.txt").render(
        body=own_text.strip(), frame=frame, has_link=shown
    )
    return Bodies(html=html, text=GAPS.sub("\n\n", text).strip() + "\n")


def _own(sources: Sources, context: Mapping[str, object]) -> tuple[str, str]:
    """Return what the author wrote, rendered, as html and as text."""
    if not sources.html.strip():
        raise TemplateInvalid("The html part is empty; write the mail's content.")
    html = PARSED.get(sources.version, "html", sources.html, Escaping.HTML)
    if not sources.text.strip():
        marked = render_marked(html, context)
        return marked.text, text_of_marked(marked)
    text = PARSED.get(sources.version, "text", sources.text, Escaping.TEXT)
    return render_liquid(html, context), render_liquid(text, context)


def _has_link(sources: Sources, part: str) -> bool:
    compiled = PARSED.get(sources.version, part, sources.html, Escaping.HTML)
    return any(path == "unsubscribe_url" for path, _ in compiled.paths)


def _wrapped(own: str, frame: Frame, preheader: str, *, has_link: bool) -> str:
    css = "\n".join(STYLE.findall(own))
    is_document = bool(_DOCUMENT.match(own))
    if css:
        own = _inlined(own, css, is_document=is_document)
    values = {"frame": frame, "preheader": preheader, "has_link": has_link}
    if is_document:
        return _around_document(own, values)
    # Media queries cannot be inlined, so the author's rules go along in the head.
    return _JINJA.get_template("base.html").render(
        body=Markup(own),  # noqa: S704 - Liquid has escaped every value in it
        css=Markup(css.replace("</", "")),  # noqa: S704 - as above
        **values,
    )


def _around_document(own: str, values: Mapping[str, object]) -> str:
    """Put preheader and footer into a whole document that the author wrote."""
    top = _JINJA.get_template("preheader.html").render(**values)
    foot = _JINJA.get_template("footer.html").render(**values)
    opened = re.search(r"<body\b[^>]{0,2000}>", own, re.IGNORECASE)
    if opened:
        own = f"{own[: opened.end()]}{top}{own[opened.end() :]}"
    end = own.lower().rfind("</body")
    # lower() keeps the length of ASCII; a letter that grows would shift the place.
    if end < 0 or own[end : end + 6].lower() != "</body":
        return f"{own}{foot}"
    return f"{own[:end]}{foot}{own[end:]}"


def _inlined(own: str, css: str, *, is_document: bool) -> str:
    if len(css) * own.count("<") > MAX_STYLE_WORK:
        raise TemplateInvalid(
            "The style rules are too many for this much content; shorten <style>."
        )
    inliner = css_inline.CSSInliner(
        load_remote_stylesheets=False, keep_style_tags=is_document
    )
    try:
        if is_document:
            return inliner.inline(own)
        return inliner.inline_fragment(STYLE.sub("", own), css)
    except (css_inline.InlineError, ValueError) as error:
        raise TemplateInvalid(f"The style rules cannot be applied: {error}.") from error
