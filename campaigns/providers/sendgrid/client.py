"""SendGrid's SDK over a pooled transport: the only I/O of this provider."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import python_http_client
from sendgrid import SendGridAPIClient

from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.domain.mail import OutgoingEmail
from campaigns.providers.sendgrid.payload import body_of
from campaigns.providers.sendgrid.transport import (
    CallFailed,
    HttpAnswer,
    Transport,
)

ACCEPTED: Final = 202
SANDBOX_OK: Final = 200
RATE_LIMITED: Final = 429
# What the documentation of mail/send lists. Any other status may come from
# something on the way, so it proves nothing.
UNAUTHORISED: Final = frozenset({401, 403})
INVALID: Final = frozenset({400, 404, 405, 406, 413, 415})

MAX_RETRY_AFTER: Final = timedelta(hours=1)
MAX_DETAIL_CHARS: Final = 500
MAX_ID_CHARS: Final = 255

# At DEBUG the SDK's HTTP client logs every header, the API key with them.
logging.getLogger("python_http_client").setLevel(logging.WARNING)

NO_KEY: Final = "no-key"  # the simulator wants some key; SendGrid answers 401
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_UNPRINTABLE: Final = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses them


class PooledClient(python_http_client.Client):  # type: ignore[misc]
    """The SDK's HTTP client over our transport; never raises for a status."""

    def __init__(self, transport: Transport, **options: object) -> None:
        super().__init__(**options)
        self.transport = transport

    def _build_client(self, name: str | None = None) -> "PooledClient":
        return PooledClient(
            self.transport,
            host=self.host,
            version=self._version,
            # A copy: the SDK adds to the mapping while other threads read it.
            request_headers=dict(self.request_headers),
            url_path=[*self._url_path, name] if name else self._url_path,
            append_slash=self.append_slash,
            timeout=self.timeout,
        )

    def post(self, request_body: bytes, *, timeout: float) -> HttpAnswer:
        """POST JSON that is already encoded.

        The SDK's own makes a new urllib opener for each call, which costs more
        than to render the mail.
        """
        path = self._build_url(None).removeprefix(self.host)
        return self.transport.post(
            path,
            body=request_body,
            headers=self.request_headers,
            timeout_s=timeout,
        )


class SendGridProvider:
    """A connection to SendGrid, or to what answers like it. Safe among threads.

    Make it after a fork: pooled connections must not be shared by processes.
    """

    def __init__(
        self,
        *,
        api_key: str,
        host: str,
        sandbox: bool = False,
        ca_file: str | None = None,
    ) -> None:
        """Refuse, with ValueError, a host or key that can never work."""
        key = api_key or NO_KEY
        if not _KEY.fullmatch(key):
            # The key itself is not shown: this text reaches logs.
            raise ValueError("SENDGRID_API_KEY holds blanks or characters beyond ASCII")
        self._key = key
        self._host = host.rstrip("/")
        self._sandbox = sandbox
        self._transport = Transport(self._host, ca_file=ca_file)
        self._sending = self._client()

    def __repr__(self) -> str:
        return f"SendGridProvider(host={self._host!r})"

    def pack(self, email: OutgoingEmail) -> bytes:
        """Return the body to POST for this mail. Raises Unfit."""
        return body_of(email, sandbox=self._sandbox)

    def send(self, packed: bytes, *, timeout_s: float) -> Answer:
        """POST one mail, once, within `timeout_s` seconds in all."""
        try:
            answer = self._sending.post(packed, timeout=timeout_s)
        except CallFailed as failed:
            detail = _UNPRINTABLE.sub("\ufffd", str(failed))
            if failed.handed:
                return Ambiguous(detail)
            return Refused(Refusal.NOT_REACHED, detail)
        return read_answer(answer, sandbox=self._sandbox)

    def close(self) -> None:
        """Close the connections that rest."""
        self._transport.close()

    def _client(self) -> PooledClient:
        """Return the SDK's client of mail/send; immutable from here on."""
        sdk = SendGridAPIClient(self._key, host=self._host)
        headers = {**sdk.client.request_headers, "Content-Type": "application/json"}
        client = PooledClient(
            self._transport, host=self._host, request_headers=headers, version=3
        )
        sending = client.mail.send
        assert isinstance(sending, PooledClient)  # noqa: S101 - see _build_client
        return sending


def read_answer(answer: HttpAnswer, *, sandbox: bool = False) -> Answer:
    """Map a status to what is known about the mail (design, invariant 4)."""
    status = answer.status
    if status == ACCEPTED or (sandbox and status == SANDBOX_OK):
        said = answer.headers.get("x-message-id", "")
        return Accepted(_UNPRINTABLE.sub("\ufffd", said)[:MAX_ID_CHARS])
    detail = _detail(answer)
    if status == RATE_LIMITED:
        wait = retry_after(answer.headers)
        return Refused(Refusal.RATE_LIMITED, detail, status, wait)
    if status in UNAUTHORISED:
        return Refused(Refusal.UNAUTHORISED, detail, status)
    if status in INVALID:
        return Refused(Refusal.INVALID, detail, status)
    return Ambiguous(detail, status)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long a 429 asks to wait, at most MAX_RETRY_AFTER; None if silent.

    Retry-After holds seconds or a date, X-RateLimit-Reset Unix seconds.
    """
    asked = headers.get("retry-after", "").strip()
    if _is_number(asked):
        return _bounded(timedelta(seconds=int(asked)))
    until = _date(asked) or _unix(headers.get("x-ratelimit-reset", "").strip())
    if until is None:
        return None
    # The server's own clock, when it says it, spares us the difference.
    now = _date(headers.get("date", "")) or _now()
    return _bounded(until - now)


def _bounded(wait: timedelta) -> timedelta:
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _unix(text: str) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    return datetime.fromtimestamp(int(text), tz=UTC)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _now() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251 - how far off a header's date is


def _detail(answer: HttpAnswer) -> str:
    """Return SendGrid's own words, or the start of whatever came."""
    try:
        errors = json.loads(answer.body)["errors"]
        words = "; ".join(
            f"{error['field']}: {error['message']}"
            if error.get("field")
            else str(error["message"])
            for error in errors
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        words = answer.body[:MAX_DETAIL_CHARS].decode("utf-8", "replace")
    text = f"HTTP {answer.status}: {words}" if words else f"HTTP {answer.status}"
    return _UNPRINTABLE.sub("\ufffd", text)[:MAX_DETAIL_CHARS]
