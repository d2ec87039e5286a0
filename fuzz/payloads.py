"""Calls and webhooks as real clients send them, each made anew."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any, Final

from demo.samples.events import CUSTOMER, EVENTS
from fuzz.values import changed

# Many, and each with one visitor id, as people are: joining them at random would
# make one person of all, whose history every event would have to read.
PEOPLE: Final = 50_000
# Names that rules listen to are rare: each may cost a mail.
STARTS: Final = 0.04
HARMLESS: Final = ("Button Clicked", "Page Scrolled", "Search Made", "Report Opened")
WEBHOOKS: Final = (
    "processed", "delivered", "deferred", "bounce", "dropped", "open", "click",
    "spamreport", "unsubscribe", "group_unsubscribe", "group_resubscribe", "blocked",
)  # fmt: skip
BATCHES: Final = ("/v1/batch", "/v1/import", "/v1/b")
ALIKE: Final = 0.35  # of all values nothing is changed

Call = dict[str, Any]


def _who(rng: Random) -> Call:
    number = rng.randrange(PEOPLE)
    said: Call = {"messageId": f"{rng.getrandbits(64):x}"}
    if rng.random() < 0.8:
        said["userId"] = f"fz-{number}"
    if "userId" not in said or rng.random() < 0.3:
        said["anonymousId"] = f"fa-{number}"
    if rng.random() < 0.3:
        said["timestamp"] = "2026-01-05T09:30:00.123Z"
        said["sentAt"] = "2026-01-05T09:30:01Z"
    return said


def track(rng: Random) -> Call:
    """Return a track call; a few start journeys."""
    call = _who(rng) | {"type": "track"}
    if rng.random() < STARTS:
        name, properties = rng.choice(list(EVENTS.values()))
        person = {**CUSTOMER, "email": f"fz-{rng.randrange(PEOPLE)}@example.com"}
        return call | {
            "event": name,
            "properties": copy.deepcopy(properties),
            "context": {"traits": person},
        }
    return call | {
        "event": rng.choice(HARMLESS),
        "properties": {"plan": "pro", "amount": 12.5, "tags": ["a", "b"]},
        "context": {"locale": "en-GB", "page": {"url": "https://shop.example.com/"}},
    }


def _identify(rng: Random) -> Call:
    traits = {**CUSTOMER, "email": f"fz-{rng.randrange(PEOPLE)}@example.com"}
    return _who(rng) | {"type": "identify", "traits": traits}


def _page(rng: Random) -> Call:
    name = rng.choice(("Home", "Search", ""))
    return _who(rng) | {"type": rng.choice(("page", "screen")), "name": name}


def _alias(rng: Random) -> Call:
    number = rng.randrange(PEOPLE)
    return {"type": "alias", "previousId": f"fa-{number}", "userId": f"fz-{number}"}


def _group(rng: Random) -> Call:
    return _who(rng) | {"type": "group", "groupId": "g", "traits": {"plan": "pro"}}


CALLS: Final[tuple[Callable[[Random], Call], ...]] = (
    track, track, track, track, track, _identify, _page, _alias, _group,
)  # fmt: skip


def call(rng: Random) -> tuple[str, Any]:
    """Return (path, body) of one call, mostly changed somewhere."""
    made = rng.choice(CALLS)(rng)
    path = f"/v1/{made['type']}"
    if rng.random() < 0.5:
        del made["type"]
    return path, maybe_changed(rng, made)


def batch(rng: Random) -> tuple[str, Any]:
    """Return (path, body) of a batch of a few calls, mostly changed somewhere."""
    items = [rng.choice(CALLS)(rng) for _ in range(rng.randrange(6))]
    body: Call = {"batch": items}
    if rng.random() < 0.3:
        body["context"] = {"locale": "fr", "timezone": "Europe/Paris"}
    return rng.choice(BATCHES), maybe_changed(rng, body)


def brought(path: str, body: Any) -> int:
    """Return how many events a call brings, if it can be read."""
    if path not in BATCHES:
        return 1
    items = body.get("batch") if isinstance(body, dict) else None
    return len(items) if isinstance(items, list) else 0


def maybe_changed(rng: Random, value: Any) -> Any:
    """Return the value, changed but for a few."""
    return value if rng.random() < ALIKE else changed(rng, value)


def webhook(rng: Random, known: list[Call]) -> Any:
    """Return a provider's batch, made of `known` items and of strangers', changed."""
    items = [_item(rng, known) for _ in range(1 + rng.randrange(4))]
    return maybe_changed(rng, items)


def _item(rng: Random, known: list[Call]) -> Call:
    if known and rng.random() < 0.7:
        return dict(rng.choice(known)) | {"sg_event_id": f"{rng.getrandbits(64):x}"}
    return {
        "event": rng.choice(WEBHOOKS),
        "email": f"fz-{rng.randrange(PEOPLE)}@example.com",
        "timestamp": 1_790_000_000 + rng.randrange(10**7),
        "sg_event_id": f"{rng.getrandbits(64):x}",
        "sg_message_id": "abc.recvd-1",
        "et_message": str(rng.randrange(10**6)),
        "et_token": str(rng.randrange(10**6)),
        "reason": "550 5.1.1 no such user",
        "type": "bounce",
    }
