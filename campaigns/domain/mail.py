"""One mail, as the composer makes it and a provider takes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEmail:
    """One mail, ready to be handed over. Header values hold no CR, LF or NUL.

    `headers` holds what the composer adds (List-Unsubscribe, List-Id,
    Message-ID, Auto-Submitted). `custom_args` are opaque ids (message and
    token), never personal data.
    """

    to_email: str
    to_name: str
    from_email: str
    from_name: str
    reply_to: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    custom_args: Mapping[str, str] = field(default_factory=dict)
