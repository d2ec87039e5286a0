"""The JSON of SendGrid's v3 Mail Send, made with the SDK's own classes. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from sendgrid.helpers.mail import (
    Category,
    Content,
    CustomArg,
    Email,
    From,
    Header,
    Mail,
    MailSettings,
    Personalization,
    ReplyTo,
    SandBoxMode,
    Subject,
    SubscriptionTracking,
    To,
    TrackingSettings,
)

from campaigns.domain.mail import OutgoingEmail
from campaigns.providers.base import Unfit

MAX_TOTAL_BYTES: Final = 30_000_000
MAX_CUSTOM_ARGS_BYTES: Final = 10_000
MAX_CATEGORIES: Final = 10
MAX_CATEGORY_CHARS: Final = 255
MAX_ADDRESS_CHARS: Final = 320
# SendGrid sets these itself and refuses a mail that brings its own.
RESERVED_HEADERS: Final = frozenset(
    {
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    }
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE_BREAK: Final = re.compile("[\r\n\x00]")
_ADDRESS: Final = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


class PayloadInvalid(Unfit):
    """SendGrid would refuse this mail; the message says which part and why."""


def mail_of(email: OutgoingEmail, *, sandbox: bool = False) -> Mail:
    """Return the SDK's Mail for `email`. Raises PayloadInvalid."""
    _check(email)
    recipient = Personalization()
    recipient.add_to(_named(To, email.to_email, email.to_name))
    for name, value in email.custom_args.items():
        # Here, not at the top, where the official schema wants one string.
        recipient.add_custom_arg(CustomArg(name, value))
    mail = Mail()
    mail.from_email = _named(From, email.from_email, email.from_name)
    mail.subject = Subject(email.subject)
    mail.add_personalization(recipient)
    if email.reply_to:
        mail.reply_to = _named(ReplyTo, email.reply_to, "")
    for kind, body in (("text/plain", email.text), ("text/html", email.html)):
        if body:
            mail.add_content(Content(kind, body))
    for name, value in email.headers.items():
        mail.add_header(Header(name, value))
    for category in reversed(email.categories):  # the SDK puts each one first
        mail.add_category(Category(category))
    _settle_options(mail, sandbox=sandbox)
    return mail


def payload_of(email: OutgoingEmail, *, sandbox: bool = False) -> dict[str, object]:
    """Return the JSON object to POST for `email`. Raises PayloadInvalid."""
    payload: dict[str, object] = mail_of(email, sandbox=sandbox).get()
    return payload


def body_of(email: OutgoingEmail, *, sandbox: bool = False) -> bytes:
    """Return the body to POST for `email`. Raises PayloadInvalid."""
    try:
        body = msgspec.json.encode(payload_of(email, sandbox=sandbox))
    except PayloadInvalid:
        raise
    except (TypeError, ValueError) as error:
        raise PayloadInvalid(str(error)) from error
    if len(body) > MAX_TOTAL_BYTES:
        raise PayloadInvalid(
            f"the mail has {len(body)} bytes, {MAX_TOTAL_BYTES} are allowed"
        )
    return body


def _settle_options(mail: Mail, *, sandbox: bool) -> None:
    tracking = TrackingSettings()
    # SendGrid's own tracking would add a second List-Unsubscribe and a footer.
    tracking.subscription_tracking = SubscriptionTracking(enable=False)
    mail.tracking_settings = tracking
    if sandbox:
        settings = MailSettings()
        settings.sandbox_mode = SandBoxMode(enable=True)
        mail.mail_settings = settings


def _named(kind: type[Email], address: str, name: str) -> Email:
    # Without a name the SDK parses the address as a whole header line, which
    # a comment or quote could bend; set after making, it stays as it is.
    made = kind()
    made.email = address
    if name:
        made.name = name
    return made


def _check(email: OutgoingEmail) -> None:
    for field in ("to_email", "from_email"):
        _check_address(field, getattr(email, field))
    if email.reply_to:
        _check_address("reply_to", email.reply_to)
    for field in ("subject", "to_name", "from_name"):
        if _LINE_BREAK.search(getattr(email, field)):
            raise PayloadInvalid(f"{field} holds a line break or NUL")
    if not email.subject.strip():
        raise PayloadInvalid("subject is empty")
    if not (email.html or email.text):
        raise PayloadInvalid("html and text are both empty")
    _check_headers(email.headers)
    _check_categories(email.categories)
    _check_custom_args(email.custom_args)


def _check_address(field: str, address: str) -> None:
    if len(address) > MAX_ADDRESS_CHARS or not _ADDRESS.fullmatch(address):
        raise PayloadInvalid(f"{field} is no e-mail address: {address[:100]!r}")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name.lower() in RESERVED_HEADERS:
            raise PayloadInvalid(f"headers: SendGrid sets {name} itself")
        if not _HEADER_NAME.fullmatch(name):
            raise PayloadInvalid(f"headers: {name[:100]!r} is no header name")
        if _LINE_BREAK.search(value):
            raise PayloadInvalid(f"headers: {name} holds a line break or NUL")


def _check_categories(categories: tuple[str, ...]) -> None:
    if len(categories) > MAX_CATEGORIES:
        raise PayloadInvalid(f"categories: at most {MAX_CATEGORIES}")
    if len(set(categories)) != len(categories):
        raise PayloadInvalid("categories: one is named twice")
    for category in categories:
        if not category or len(category) > MAX_CATEGORY_CHARS:
            raise PayloadInvalid(
                f"categories: 1 to {MAX_CATEGORY_CHARS} characters each"
            )


def _check_custom_args(custom_args: Mapping[str, str]) -> None:
    size = len(
        json.dumps(dict(custom_args), ensure_ascii=False).encode(errors="replace")
    )
    if size > MAX_CUSTOM_ARGS_BYTES:
        raise PayloadInvalid(
            f"custom_args: {size} bytes, {MAX_CUSTOM_ARGS_BYTES} are allowed"
        )
