"""Answers of the simulator, and the requests that it refuses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer; an empty `body` is sent with a length of 0."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedRequest(Exception):
    """The request is not obeyed; the answer is in SendGrid's form of errors."""

    def __init__(self, status: int, message: str, *, at: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.errors = [{"message": message, "field": at, "help": None}]

    def reply(self) -> Reply:
        """Return the answer to send."""
        return as_json({"errors": self.errors}, status=self.status)


def as_json(value: object, *, status: int = 200) -> Reply:
    """Return `value` as a JSON answer."""
    return Reply(
        status, json.dumps(value).encode("ascii"), {"Content-Type": "application/json"}
    )


def as_html(text: str, *, csp: str) -> Reply:
    """Return a page, with the content security policy that bounds it."""
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": csp,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Reply(200, text.encode("utf-8", "replace"), headers)


def redirect(url: str) -> Reply:
    """Send the browser on, with GET."""
    return Reply(303, b"", {"Location": url, "Referrer-Policy": "no-referrer"})


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in `body`; raises RefusedRequest for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedRequest(
            400, f"Bad Request: the body is not JSON ({error})"[:300]
        ) from error
    if not isinstance(value, dict):
        raise RefusedRequest(400, "Bad Request: the body must be a JSON object")
    return value
