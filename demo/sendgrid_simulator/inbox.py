"""The inbox for people: a list, one mail, and what a recipient can do with it."""

import http.client
import json
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from demo.sendgrid_simulator.answers import RefusedRequest, Reply, as_html, redirect
from demo.sendgrid_simulator.programs import Programs
from demo.sendgrid_simulator.store import Mail, Store
from demo.sendgrid_simulator.webhooks import Event, post

TABS: Final = ("html", "text", "headers", "source")
PAGE: Final = 200
PAGE_CSP: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; frame-src 'self';"
    " connect-src 'self'; img-src 'self' data:; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
# A mail may show pictures and its own style; it may not run, post or reach out.
MAIL_CSP: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " img-src http: https: data:; style-src 'unsafe-inline' https:; font-src https:;"
    " form-action 'none'; base-uri 'self'; frame-ancestors 'self'"
)
ASSETS: Final = {"inbox.css": "text/css", "inbox.js": "text/javascript"}
_FOLDER: Final = Path(__file__).parent / "pages"
_LINK: Final = re.compile(
    r"""(<a\b[^>]*?\shref\s*=\s*)("[^"]*"|'[^']*')""", re.IGNORECASE
)
_HEAD: Final = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
ACTIONS: Final = {"open": "open", "bounce": "bounce", "spam": "spamreport"}


def _ago(text: str) -> str:
    return f"{datetime.fromisoformat(text):%d %b, %H:%M:%S}"


def _clock(seconds: object) -> str:
    # The time of an event that a program made may be anything.
    try:
        return (
            f"{datetime.fromtimestamp(int(str(seconds)), tz=UTC):%d %b, %H:%M:%S} UTC"
        )
    except (ValueError, OverflowError, OSError):
        return str(seconds)


class Inbox:
    """The pages. What people do is told to the webhooks, as SendGrid would."""

    def __init__(self, store: Store, programs: Programs) -> None:
        self._store = store
        self._programs = programs
        self._pages = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
        )
        self._pages.filters["when"] = _ago
        self._pages.filters["clock"] = _clock

    def answer(self, method: str, path: str, query: dict[str, str]) -> Reply:
        """Answer a request of a browser; raises RefusedRequest."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if method == "POST" and len(parts) == 4 and parts[2] == "act":
            return self._act(self._mail(parts[1]), parts[3])
        if method not in {"GET", "HEAD"}:
            raise RefusedRequest(405, "method not allowed")
        if parts[0] in {"mail", "click"} and len(parts) > 1:
            return self._of_mail(self._mail(parts[1]), parts, query)
        if parts == [""]:
            return self._page(None, query)
        if parts == ["list"]:
            return self._render("list.html", None, query)
        if parts[0] == "assets" and parts[-1] in ASSETS and len(parts) == 2:
            return _asset(parts[-1])
        raise RefusedRequest(404, "not found")

    def _of_mail(self, mail: Mail, parts: list[str], query: dict[str, str]) -> Reply:
        if parts[0] == "click" and len(parts) == 3:
            return self._click(mail, parts[2])
        if parts[0] == "mail" and parts[2:] == ["html"]:
            return as_html(_tracked(mail), csp=MAIL_CSP)
        if parts[0] == "mail" and len(parts) == 2:
            return self._page(mail, query)
        raise RefusedRequest(404, "not found")

    def _mail(self, mail_id: str) -> Mail:
        mail = self._store.get(mail_id)
        if mail is None:
            raise RefusedRequest(404, "no mail has this id; it may have been deleted")
        return mail

    def _page(self, mail: Mail | None, query: dict[str, str]) -> Reply:
        if mail is not None and not mail.has("open") and query.get("tab") != "source":
            self._programs.make_event(mail, "open")
        return self._render("inbox.html", mail, query)

    def _render(self, page: str, mail: Mail | None, query: dict[str, str]) -> Reply:
        search = query.get("q", "")[:200]
        tab = query.get("tab", "")
        default = "html" if mail is None or mail.html else "text"
        text = self._pages.get_template(page).render(
            mails=self._store.mails(search=search, limit=PAGE),
            total=self._store.count(),
            mail=mail,
            selected=mail.id if mail else query.get("selected", ""),
            search=search,
            suffix="?" + urlencode({"q": search}) if search else "",
            tab=tab if tab in TABS else default,
            tabs=TABS,
            notice=query.get("notice", "")[:300],
            source=json.dumps(mail.payload, indent=2, ensure_ascii=False)
            if mail
            else "",
        )
        return as_html(text, csp=PAGE_CSP)

    def _act(self, mail: Mail, action: str) -> Reply:
        if action in ACTIONS:
            self._programs.make_event(mail, ACTIONS[action])
            notice = f"Posted the event {ACTIONS[action]}."
        elif action == "unsubscribe":
            notice = _one_click(mail)
        else:
            raise RefusedRequest(404, "no such action")
        query = urlencode({"notice": notice})
        return redirect(f"/mail/{quote(mail.id)}?{query}")

    def _click(self, mail: Mail, number: str) -> Reply:
        links = _links(mail)
        if not (number.isascii() and number.isdigit() and int(number) < len(links)):
            raise RefusedRequest(404, "the mail has no such link")
        url = links[int(number)]
        extra: Event = {
            "url": url,
            "url_offset": {"index": int(number), "type": "html"},
        }
        self._programs.make_event(mail, "click", extra)
        return redirect(url)


def _one_click(mail: Mail) -> str:
    """POST the List-Unsubscribe URL as a mailbox does (RFC 8058)."""
    url = mail.unsubscribe_url()
    if url is None:
        return "The mail has no List-Unsubscribe URL."
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        status = post(url, body=b"List-Unsubscribe=One-Click", headers=headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"The unsubscribe URL did not answer: {error}"
    return f"The unsubscribe URL answered {status}."


def _is_web(url: str) -> bool:
    printable = url.isprintable() and " " not in url and url.isascii()
    return printable and url.lower().startswith(("http://", "https://"))


def _links(mail: Mail) -> list[str]:
    found = (unescape(match[2][1:-1]).strip() for match in _LINK.finditer(mail.html))
    return [url for url in found if _is_web(url)]


def _tracked(mail: Mail) -> str:
    """Return the html with its web links led through the click counter."""
    number = iter(range(len(mail.html)))

    def through(match: re.Match[str]) -> str:
        if not _is_web(unescape(match[2][1:-1]).strip()):
            return match[0]
        return f'{match[1]}"/click/{quote(mail.id)}/{next(number)}"'

    html = _LINK.sub(through, mail.html)
    base = '<base target="_blank">'
    head = _HEAD.search(html)
    return html[: head.end()] + base + html[head.end() :] if head else base + html


def _asset(name: str) -> Reply:
    headers = {
        "Content-Type": f"{ASSETS[name]}; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    return Reply(200, (_FOLDER / name).read_bytes(), headers)
