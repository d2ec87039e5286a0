"""Odd values, and changes to JSON that leave it JSON."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

Json = Any  # as json.dumps takes it
DESCENDS: Final = 0.7
MOST_CHANGES: Final = 4
DUPLICATED: Final = 0.05


def _nested(depth: int) -> Json:
    value: Json = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


CHEAP: Final[tuple[Json, ...]] = (
    None, True, False, 0, -1, 42, 0.1, -0.0, "", " ", "0", "null", "\x00", "a\x00b",
    "\ud800", "x\udfffy", "\ufeff", "\ufffe", "\u202eevil", "e\u0301", "\u0130", "ß",
    "😀" * 20, "\r\nBcc: all@example.com", "%s%n%x", "${jndi:ldap://x}", "=1+1",
    "'; DROP TABLE campaigns_event; --", "<script>alert(1)</script>", "{{ 7 | times: 7 }}",
    "{% for i in (1..99999999) %}x{% endfor %}", "../../etc/passwd", "a@b", "@", "a@b@c",
    "ada@example.com\n", "ada@" + "b" * 300 + ".example", "ada@xn--a.example", "ada@[::1]",
    2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30,
    1e308, 5e-324, 1e20, -1e-7, [], {}, [[]], [None], {"": ""}, {"$ne": 1}, {"a\x00": 1},
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:60Z", "2026",
    "2026-01-01", "2026-01-01T00:00:00+99:99", "now", "1e9", -62135596800, 253402300800,
    32503680000000, 1767225600, 1767225600000, "Europe/Paris", "../UTC", "Mars/Base",
    "de_DE", "de-DE-u-co-phonebk", "constructor", "__proto__", "__class__",
)  # fmt: skip
DEAR: Final[tuple[Json, ...]] = (
    "x" * 300, "ä" * 5_000, "x" * 40_000, 10**400, _nested(31), _nested(33), _nested(200),
    [0] * 1_000, [[]] * 500, {f"k{n}": n for n in range(1_100)}, "a." * 3_000,
)  # fmt: skip
IS_DEAR: Final = 0.02
NAMES: Final = (
    "userId", "anonymousId", "event", "type", "messageId", "timestamp", "sentAt",
    "properties", "traits", "context", "email", "timezone", "locale", "groupId",
    "previousId", "batch", "writeKey", "integrations", "", "\x00", "$", "a.b", "toString",
    "originalTimestamp", "receivedAt", "cart_id", "order_id", "products", "name",
)  # fmt: skip


def odd(rng: Random) -> Json:
    """Return an odd value, which may be changed."""
    found = rng.choice(DEAR if rng.random() < IS_DEAR else CHEAP)
    return copy.deepcopy(found) if isinstance(found, dict | list) else found


def changed(rng: Random, value: Json) -> Json:
    """Change a fresh value at one to four places, in place; return it."""
    for _ in range(1 + min(rng.randrange(MOST_CHANGES), rng.randrange(MOST_CHANGES))):
        value = _changed_once(rng, value)
    return value


def _changed_once(rng: Random, value: Json) -> Json:
    node = value
    while True:
        places = _places(node)
        if not places:
            return odd(rng) if node is value else value
        place = rng.choice(places)
        child = node[place]
        if isinstance(child, dict | list) and child and rng.random() < DESCENDS:
            node = child
            continue
        rng.choice(CHANGES)(rng, node, place)
        return value


def _places(node: Json) -> list[Any]:
    if isinstance(node, dict):
        return list(node)
    return list(range(len(node))) if isinstance(node, list) else []


def _replace(rng: Random, node: Json, place: Any) -> None:
    node[place] = odd(rng)


def _remove(_rng: Random, node: Json, place: Any) -> None:
    del node[place]


def _wrap(rng: Random, node: Json, place: Any) -> None:
    node[place] = rng.choice(([node[place]], {"a": node[place]}, str(node[place])))


def _rename(rng: Random, node: Json, place: Any) -> None:
    if isinstance(node, dict):
        node[rng.choice(NAMES)] = node.pop(place)
    else:
        node.append(node[place])


def _add(rng: Random, node: Json, place: Any) -> None:
    if isinstance(node, dict):
        node[rng.choice(NAMES)] = odd(rng)
    else:
        node.insert(place, odd(rng))


def _cut(rng: Random, node: Json, place: Any) -> None:
    text = node[place]
    if isinstance(text, str) and text:
        node[place] = text[: rng.randrange(len(text))] + rng.choice('\x00\ud83d é"\\')
    else:
        node[place] = odd(rng)


CHANGES: Final[tuple[Callable[[Random, Json, Any], None], ...]] = (
    _replace, _replace, _remove, _wrap, _rename, _add, _cut,
)  # fmt: skip


def written(rng: Random, value: Json) -> bytes:
    """Return a value as JSON in one of its spellings; members may come twice."""
    as_ascii = rng.random() < 0.5
    text = json.dumps(value, ensure_ascii=as_ascii, separators=(",", ":"))
    if rng.random() < DUPLICATED and text[:1] == "{" and len(text) > 2:
        text = '{"userId":"first","properties":5,' + text[1:]
    return text.encode(errors="surrogatepass" if rng.random() < 0.02 else "replace")


def garbled(rng: Random, text: bytes) -> bytes:
    """Return bytes that are seldom JSON any more."""
    made = bytearray(text or b"{}")
    for _ in range(1 + rng.randrange(5)):
        at = rng.randrange(len(made) + 1)
        how = rng.randrange(5)
        if how == 0:
            made[at : at + 1 + rng.randrange(4)] = rng.randbytes(rng.randrange(6))
        elif how == 1:
            del made[at:]
        elif how == 2:
            made[at:at] = rng.choice((b"[" * 5_000, b'{"a":' * 2_000, b"9" * 30_000))
        elif how == 3:
            made[at:at] = rng.choice(
                (b"NaN", b"-Infinity", b"1e999999", b"\xff", b"\\u00", b"\xed\xa0\x80")
            )
        elif made:
            made[at % len(made)] ^= 1 << rng.randrange(8)
    return bytes(made)
