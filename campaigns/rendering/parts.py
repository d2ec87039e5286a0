"""What a mail is made of: plain values, no rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from campaigns.domain.states import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """A template's Liquid. `version` is its id, None for a draft (never cached)."""

    version: int | None
    subject: str
    preheader: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailParts:
    """All that `compose` needs.

    `context` comes from `liquid.context_of`; `postal_address` may have several
    lines; `unsubscribe_url` is empty for transactional mail and names the token
    otherwise; `campaign` is the same for all mails of one rule ("rule-12");
    `list_domain` is our own domain, in ASCII; `token` is the opaque value that
    comes back in webhooks. Nothing here is trusted to be free of line breaks.
    """

    sources: Sources
    context: Mapping[str, object]
    kind: Kind
    message_id: int
    token: str
    to_email: str
    to_name: str
    from_email: str
    from_name: str
    reply_to: str
    company: str
    postal_address: str
    topic_id: int | None
    topic_name: str
    unsubscribe_url: str
    list_domain: str
    campaign: str = ""
    language: str = "en"
