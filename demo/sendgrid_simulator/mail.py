"""What SendGrid checks of a mail: its official schema, and what that leaves out."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, cast

from jsonschema import Draft202012Validator, FormatChecker

from demo.sendgrid_simulator.answers import RefusedRequest

MAX_RECIPIENTS: Final = 1_000
MAX_ARGS_BYTES: Final = 10_000
MAX_AHEAD_S: Final = 72 * 3_600
FORBIDDEN_HEADERS: Final = frozenset(
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

Json = Mapping[str, object]


@lru_cache(maxsize=1)
def validator() -> Draft202012Validator:
    """Return the validator of mail/send's body, from the official OpenAPI file."""
    path = Path(__file__).parent / "openapi" / "tsg_mail_v3.json"
    document = json.loads(path.read_text("utf-8"))
    body = document["components"]["requestBodies"]["PostMailSend"]
    schema = dict(body["content"]["application/json"]["schema"])
    # The file says that the top-level custom_args are a string; SendGrid takes
    # an object there and refuses a string.
    properties = dict(schema["properties"])
    properties["custom_args"] = {"type": "object"}
    schema |= {"properties": properties, "components": document["components"]}
    return Draft202012Validator(schema, format_checker=FormatChecker(["email"]))


def check(payload: Json, *, now_s: float) -> None:
    """Raise RefusedRequest (400), with every fault found, unless SendGrid would take it."""
    faults = [
        (".".join(str(part) for part in error.absolute_path), error.message[:300])
        for error in validator().iter_errors(payload)
    ]
    # Own checks rely on the schema's types.
    faults = faults or list(_faults(payload, now_s))
    if faults:
        refused = RefusedRequest(400, faults[0][1], at=faults[0][0] or None)
        refused.errors = [
            {"message": message, "field": at or None, "help": None}
            for at, message in faults[:20]
        ]
        raise refused


def _faults(payload: Json, now_s: float) -> Iterator[tuple[str, str]]:
    people = _list(payload, "personalizations")
    if not people:
        yield (
            "personalizations",
            "The personalizations field is required and must have at least one personalization.",
        )
    if not payload.get("template_id"):
        yield from _content_faults(payload)
    yield from _header_faults(payload, "headers")
    yield from _argument_faults(payload, "custom_args")
    yield from _time_faults(payload, "send_at", now_s)
    if payload.get("reply_to") and payload.get("reply_to_list"):
        yield "reply_to", "reply_to and reply_to_list must not both be set."
    total = 0
    for index, person in enumerate(people):
        at = f"personalizations.{index}"
        total += sum(len(_list(person, kind)) for kind in ("to", "cc", "bcc"))
        yield from _person_faults(payload, person, at)
        yield from _header_faults(person, f"{at}.headers")
        yield from _argument_faults(person, f"{at}.custom_args")
        yield from _time_faults(person, f"{at}.send_at", now_s)
    if total > MAX_RECIPIENTS:
        yield "personalizations", f"At most {MAX_RECIPIENTS} recipients a request."


def _person_faults(payload: Json, person: Json, at: str) -> Iterator[tuple[str, str]]:
    if not _list(person, "to"):
        yield (
            f"{at}.to",
            "The to array is required for all personalization objects, and must have at least one email object.",
        )
    if not (
        person.get("subject") or payload.get("subject") or payload.get("template_id")
    ):
        yield (
            "subject",
            "The subject is required. You can get around this requirement if you use a template with a subject defined.",
        )
    addresses = Counter(
        str(entry.get("email", "")).strip().lower()
        for kind in ("to", "cc", "bcc")
        for entry in _list(person, kind)
    )
    for address, times in addresses.items():
        if times > 1:
            yield (
                at,
                f"Each email address in the personalization block should be unique between to, cc, and bcc. We found the first duplicate instance of [{address}].",
            )


def _content_faults(payload: Json) -> Iterator[tuple[str, str]]:
    contents = _list(payload, "content")
    if not contents:
        yield (
            "content",
            "Unless a valid template_id is provided, the content parameter is required. There must be at least one defined content block.",
        )
    for index, content in enumerate(contents):
        if not content.get("value"):
            yield (
                f"content.{index}.value",
                "The content value must be a string at least one character in length.",
            )
    kinds = [str(content.get("type")) for content in contents]
    if "text/plain" in kinds[1:]:
        yield (
            "content",
            "If present, text/plain must be the first content type, followed by text/html.",
        )


def _header_faults(holder: Json, at: str) -> Iterator[tuple[str, str]]:
    for name, value in _mapping(holder, "headers").items():
        if name.lower() in FORBIDDEN_HEADERS:
            yield f"{at}.{name}", f"The header {name} is reserved and must not be set."
        elif not isinstance(value, str) or any(
            mark in name + value for mark in "\r\n\0"
        ):
            yield f"{at}.{name}", "A header must be a string without line breaks."


def _argument_faults(holder: Json, at: str) -> Iterator[tuple[str, str]]:
    args = _mapping(holder, "custom_args")
    if any(not isinstance(value, str) for value in args.values()):
        yield at, "The custom_args values must be strings."
    if (
        len(json.dumps(args, ensure_ascii=False).encode(errors="replace"))
        > MAX_ARGS_BYTES
    ):
        yield at, f"The custom_args must not exceed {MAX_ARGS_BYTES} bytes."


def _time_faults(holder: Json, at: str, now_s: float) -> Iterator[tuple[str, str]]:
    send_at = holder.get("send_at")
    if isinstance(send_at, int) and send_at > now_s + MAX_AHEAD_S:
        yield at, "A send cannot be scheduled more than 72 hours in advance."


def _list(holder: Json, name: str) -> list[Json]:
    return cast("list[Json]", holder.get(name) or [])


def _mapping(holder: Json, name: str) -> Json:
    return cast("Json", holder.get(name) or {})
