"""SendGrid's SDK over a pooled transport: the only I/O of this provider."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.request import Request

import python_http_client
from sendgrid import SendGridAPIClient

from campaigns.domain.answers import Accepted, Ambiguous, Answer, Refusal, Refused
from campaigns.domain.mail import OutgoingEmail
from campaigns.providers.sendgrid.payload import PayloadInvalid, payload_of
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

    def _make_request(
        self, _opener: object, request: Request, timeout: float | None = None
    ) -> "_Answered":
        body = request.data
        answer = self.transport.post(
            request.selector,
            body=body if isinstance(body, bytes) else b"",
            headers=dict(request.header_items()),
            timeout_s=timeout or self.timeout,
        )
        return _Answered(answer)


class _Answered:
    """An answer with the names that the SDK's Response asks for."""

    def __init__(self, answer: HttpAnswer) -> None:
        self._answer = answer

    def getcode(self) -> int:
        return self._answer.status

    def read(self) -> bytes:
        return self._answer.body

    def info(self) -> Mapping[str, str]:
        return self._answer.headers


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

    def __repr__(self) -> str:
        return f"SendGridProvider(host={self._host!r})"

    def problem(self, email: OutgoingEmail) -> str:
        """Return what is wrong with the payload of this mail, '' if nothing."""
        try:
            payload_of(email, sandbox=self._sandbox)
        except (PayloadInvalid, TypeError, ValueError) as error:
            return str(error)[:MAX_DETAIL_CHARS]
        return ""

    def send(self, email: OutgoingEmail, *, timeout_s: float) -> Answer:
        """POST one mail, once, within `timeout_s` seconds in all."""
        try:
            payload = payload_of(email, sandbox=self._sandbox)
        except (PayloadInvalid, TypeError, ValueError) as error:
            return Refused(Refusal.INVALID, f"not sent: {error}"[:MAX_DETAIL_CHARS])
        try:
            response = self._sdk(timeout_s).send(payload)
        except CallFailed as failed:
            detail = _UNPRINTABLE.sub("\ufffd", str(failed))
            if failed.handed:
                return Ambiguous(detail)
            return Refused(Refusal.NOT_REACHED, detail)
        answer = HttpAnswer(response.status_code, response.headers, response.body)
        return read_answer(answer, sandbox=self._sandbox)

    def close(self) -> None:
        """Close the connections that rest."""
        self._transport.close()

    def _sdk(self, timeout_s: float) -> SendGridAPIClient:
        sdk = SendGridAPIClient(self._key, host=self._host)
        sdk.client = PooledClient(
            self._transport,
            host=self._host,
            request_headers=dict(sdk.client.request_headers),
            version=3,
            timeout=timeout_s,
        )
        return sdk


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
