"""Header lines and names: one line each, nothing that starts another."""

import hashlib
import re
import unicodedata
from typing import Final

from campaigns.domain.addresses import clean_header
from campaigns.domain.liquid import TemplateInvalid
from campaigns.domain.states import Kind
from campaigns.rendering.parts import MailParts

MAX_SUBJECT_CHARS: Final = 255
MAX_LINE_OCTETS: Final = 998
MAX_NAME_CHARS: Final = 100
MAX_URL_CHARS: Final = 900
FEEDBACK_SENDER: Final = "emailtriggers"

_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~%]+\Z")
_NOT_DOMAIN = re.compile(r"[^a-z0-9.-]")
_NOT_PHRASE = re.compile(r"[^A-Za-z0-9 .'-]")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9_-]")


def headers_of(parts: MailParts) -> dict[str, str]:
    """Return the headers that are ours, in ASCII, without recipient data.

    What is not transactional can be refused by one click (RFC 8058) and names
    its list (RFC 2919), which is the same for all who get it.
    """
    domain = domain_of(parts.list_domain)
    digest = hashlib.sha256(parts.token.encode()).hexdigest()[:16]
    headers = {
        "Message-ID": f"<m{parts.message_id}.{digest}@{domain}>",
        "Auto-Submitted": "auto-generated",
        "Feedback-ID": _feedback_id(parts),
    }
    if parts.kind is not Kind.TRANSACTIONAL:
        headers["List-Unsubscribe"] = f"<{checked_url(parts.unsubscribe_url)}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        headers["List-Id"] = _list_id(parts.topic_id, parts.topic_name, domain)
    return headers


def subject_line(text: str) -> str:
    """Return a subject of one line, cut at 255 characters and 998 octets.

    Raises TemplateInvalid if nothing is left to read.
    """
    line = " ".join(clean_header(text).split())
    if not line:
        raise TemplateInvalid("The subject is empty; write one in the template.")
    if len(line) > MAX_SUBJECT_CHARS:
        line = line[: MAX_SUBJECT_CHARS - 1].rstrip() + "…"
    # "Subject: " and the ellipsis count too.
    room = MAX_LINE_OCTETS - len("Subject: ")
    if len(line.encode()) > room:
        line = line.encode()[: room - 3].decode(errors="ignore") + "…"
    return line


def name_line(text: str) -> str:
    """Return a person's or company's name as a header may carry it."""
    return " ".join(clean_header(text).split())[:MAX_NAME_CHARS].rstrip()


def address_line(text: str, whose: str) -> str:
    """Return an address as it is; raises TemplateInvalid if it could break a header.

    Whether mail can go to it is `addresses.validate`'s matter, long before.
    """
    local, at, domain = text.rpartition("@")
    unsafe = clean_header(text) != text or any(
        c.isspace() or c in '<>,;:"' for c in text
    )
    if unsafe or not (local and at and domain):
        raise TemplateInvalid(
            f"{whose} “{clean_header(text)[:80]}” is no e-mail address."
        )
    return text


def checked_url(url: str) -> str:
    """Return a link that is safe in a header; raises TemplateInvalid otherwise."""
    if len(url) > MAX_URL_CHARS or not _URL.match(url):
        raise TemplateInvalid(
            "Mail that is not transactional needs an unsubscribe link beginning "
            "with https://; set PUBLIC_URL."
        )
    return url


def domain_of(text: str) -> str:
    """Return a domain for Message-ID and List-Id."""
    domain = _NOT_DOMAIN.sub("", text.lower()).strip(".-")
    return domain[:200] or "localhost.localdomain"


def _list_id(topic_id: int | None, topic_name: str, domain: str) -> str:
    label = f"topic-{topic_id}" if topic_id else "news"
    folded = (
        unicodedata.normalize("NFKD", topic_name).encode("ascii", "ignore").decode()
    )
    phrase = " ".join(_NOT_PHRASE.sub(" ", folded).split())[:40]
    address = f"<{label}.{domain}>"
    return f'"{phrase}" {address}' if phrase else address


def _feedback_id(parts: MailParts) -> str:
    campaign = _NOT_LABEL.sub("-", parts.campaign)[:40] or "mail"
    topic = f"topic-{parts.topic_id}" if parts.topic_id else "none"
    return f"{campaign}:{parts.kind.value}:{topic}:{FEEDBACK_SENDER}"
