"""Hostile requests to every public path, made of a number and a seed alone."""

import base64
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.sendgrid_simulator.keys import SigningKey
from fuzz import payloads, staff
from fuzz.heads import Kind, Request, basic, chunked, head, name, post, word
from fuzz.staff import Staff
from fuzz.values import garbled, odd, written

CHUNK: Final = 100  # requests made of one seed
MANY_SEEDS: Final = 1_000_003
SIGNATURE: Final = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP: Final = "X-Twilio-Email-Event-Webhook-Timestamp"
BOMB: Final = gzip.compress(b"0" * 20_000_000, mtime=0)


# How many of a hundred thousand.
WEIGHTS: Final = {
    Kind.EVENTS: 77_000,
    Kind.DJANGO: 3_500,
    Kind.PUBLIC: 1_000,
    Kind.BROKEN: 4_000,
    Kind.STRANGER: 2_500,
    Kind.WEBHOOK: 2_500,
    Kind.FORGED: 1_000,
    Kind.LINK: 1_500,
    Kind.LOOK: 2_500,
    Kind.LOGIN: 500,
    Kind.STAFF: 1_900,
    Kind.HOST: 100,
    Kind.RAW: 2_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the product's operator would know of it."""

    port: int
    key: str
    public_key: str
    webhook: str  # its path
    signing_key: bytes  # PEM
    signed_at: int  # Unix seconds, near the run's time
    links: list[str]  # paths of unsubscribe links
    items: list[dict[str, Any]]  # that the provider reported
    metrics_token: str
    metrics_port: int  # of the clusters' own server
    staff: Staff


@dataclass(slots=True)
class Maker:
    """Makes requests for one target."""

    target: Target
    _signer: SigningKey = field(init=False)
    _login: str = field(init=False)

    def __post_init__(self) -> None:
        key = load_pem_private_key(self.target.signing_key, None)
        self._signer = SigningKey(key)  # type: ignore[arg-type]
        self._login = basic(self.target.key)

    def chunk(self, seed: int, number: int) -> Iterator[Request]:
        """Return the requests of one chunk; the same seed and number, the same ones."""
        rng = Random(seed * MANY_SEEDS + number)
        kinds = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=CHUNK)
        for kind in kinds:
            yield MAKERS[kind](self, rng)

    # --- events -----------------------------------------------------------------

    def events(self, rng: Random) -> Request:
        """Return what mostly passes key and parser, in the loop."""
        path, body = (payloads.batch if rng.random() < 0.15 else payloads.call)(rng)
        data = post(path, written(rng, body), ("Authorization", self._login))
        return Request(Kind.EVENTS, data, events=payloads.brought(path, body))

    def odd_head(self, rng: Random) -> Request:
        """Return events whose head has Django answer."""
        path, body = payloads.call(rng)
        text = written(rng, body)
        login = ("Authorization", self._login)
        how = rng.randrange(7)
        if how == 0:
            data = post(
                path,
                gzip.compress(text, 1, mtime=0),
                login,
                ("Content-Encoding", "gzip"),
            )
        elif how == 1:
            data = post(f"{path}?writeKey={self.target.key}&a=%00%ff", text)
        elif how == 2:
            data = post(path, text, login, ("Origin", word(rng)))
        elif how == 3:
            data = post(path, text, login, ("Cookie", word(rng)))
        elif how == 4:
            data = post(
                path, text, login, ("X-Forwarded-For", word(rng)),
                ("X-Forwarded-Proto", rng.choice(("https", "http", "ftp", "https,http"))),
            )  # fmt: skip
        elif how == 5:
            data = post(path, text, login, ("Content-Type", word(rng)))
        else:
            data = chunked(rng, path, text, login)
        return Request(Kind.DJANGO, data, events=1)

    def public(self, rng: Random) -> Request:
        """Return events by a public key, mostly over its rate."""
        path, body = payloads.call(rng)
        login = ("Authorization", basic(self.target.public_key))
        # Each from an address of its own, as the proxy in front would say.
        address = ("X-Forwarded-For", f"10.{rng.randrange(4)}.{rng.randrange(99)}.1")
        data = post(path, written(rng, body), login, address)
        return Request(Kind.PUBLIC, data, events=1)

    def broken(self, rng: Random) -> Request:
        """Return a body that cannot be read, under a right key."""
        path, body = payloads.call(rng)
        text = garbled(rng, written(rng, body))
        headers = [("Authorization", self._login)]
        if rng.random() < 0.2:
            headers.append(("Content-Encoding", rng.choice(("gzip", "br", "x-gzip"))))
            text = rng.choice(
                (text, gzip.compress(text, mtime=0)[:-3], gzip.compress(text, mtime=0))
            )
        if rng.random() < 0.002:
            text, headers = BOMB, [*headers[:1], ("Content-Encoding", "gzip")]
        return Request(Kind.BROKEN, post(path, text, *headers))

    def stranger(self, rng: Random) -> Request:
        """Return events without a right key."""
        path, body = payloads.call(rng)
        said = rng.choice(
            (
                basic(word(rng)),
                "Basic " + word(rng),
                "Bearer x",
                "",
                "Basic " + "QUFB" * 3000,
                basic(self.target.key[:-1]),
            )
        )
        if isinstance(body, dict) and rng.random() < 0.3:
            body["writeKey"] = odd(rng)
        return Request(
            Kind.STRANGER, post(path, written(rng, body), ("Authorization", said))
        )

    # --- the provider -------------------------------------------------------------

    def webhook(self, rng: Random) -> Request:
        """Return a signed batch of hostile items, or signed bytes that are none."""
        body = written(rng, payloads.webhook(rng, self.target.items))
        if rng.random() < 0.15:
            body = garbled(rng, body)
        at = str(self.target.signed_at)
        sign = self._signer.sign(body, timestamp=at)
        return Request(
            Kind.WEBHOOK,
            post(self.target.webhook, body, (SIGNATURE, sign), (TIMESTAMP, at)),
        )

    def forged(self, rng: Random) -> Request:
        """Return a webhook whose signature, time or path is wrong."""
        body = written(rng, payloads.webhook(rng, self.target.items))
        at = rng.choice((str(self.target.signed_at), "0", "-1", "9" * 12, word(rng)))
        sign = rng.choice((word(rng), "", base64.b64encode(rng.randbytes(71)).decode()))
        path = self.target.webhook if rng.random() < 0.7 else f"/webhooks/{word(rng)}"
        return Request(
            Kind.FORGED, post(path, body, (SIGNATURE, sign), (TIMESTAMP, at))
        )

    # --- people and machines --------------------------------------------------------

    def link(self, rng: Random) -> Request:
        """Return a look at, or a POST to, an unsubscribe link that may be changed."""
        path = rng.choice(self.target.links or ["/u/x"])
        if rng.random() < 0.7:
            at = rng.randrange(3, len(path) + 1)
            path = path[:at] + word(rng) + path[at + rng.randrange(3) :]
        path += rng.choice(
            ("", "", "/", "?scope=all", "?scope=%00", "?scope=" + "x" * 99)
        )
        method = rng.choice(("GET", "POST", "HEAD", "OPTIONS", "PUT"))
        body = b"List-Unsubscribe=One-Click" if method == "POST" else b""
        return Request(Kind.LINK, head(method, path, body), is_head=method == "HEAD")

    def look(self, rng: Random) -> Request:
        """Return a request for what is not events: health, files, settings, nothing."""
        path = rng.choice(
            (
                "/healthz",
                "/readyz",
                "/static/admin/css/base.css",
                "/static/" + word(rng),
                "/static/../../" + word(rng),
                "/static/%2e%2e/%2e%2e/etc/passwd",
                f"/v1/projects/{self.target.key}/settings",
                f"/v1/projects/{word(rng)}/settings",
                "/" + word(rng),
                f"/v1/{word(rng)}",
                "/favicon.ico",
                "/?" + word(rng),
            )
        )
        headers = [(name(rng), word(rng)) for _ in range(rng.randrange(3))]
        if rng.random() < 0.03:
            path = "/metrics"
            token = rng.choice((self.target.metrics_token, word(rng)))
            headers = [("Authorization", f"Bearer {token}")]
        method = rng.choice(("GET", "GET", "GET", "HEAD", "POST", "DELETE", "BREW"))
        return Request(
            Kind.LOOK, head(method, path, b"", *headers), is_head=method == "HEAD"
        )

    def login(self, rng: Random) -> Request:
        """Return a stranger's try at the admin; few get as far as a password's hash."""
        path = rng.choice(
            (
                "/admin/login/",
                "/admin/",
                f"/admin/{word(rng)}",
                "/admin/campaigns/rule/",
            )
        )
        if rng.random() < 0.6:
            return Request(Kind.LOGIN, head("GET", path, b"", ("Cookie", word(rng))))
        token = "a" * 32
        cookie = f"csrftoken={token if rng.random() < 0.003 else word(rng)}"
        form = f"csrfmiddlewaretoken={token}&username={word(rng)}&password=x".encode()
        kind = "application/x-www-form-urlencoded"
        if rng.random() < 0.1:
            kind = "multipart/form-data; boundary=" + rng.choice(("x", "", "\x01"))
            form = garbled(
                rng, b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"
            )
        headers = (("Cookie", cookie), ("Content-Type", kind))
        return Request(Kind.LOGIN, head("POST", "/admin/login/", form, *headers))

    def signed_in(self, rng: Random) -> Request:
        """Return what somebody who is signed in asks of the admin."""
        return staff.request(self.target.staff, rng)

    def host(self, rng: Random) -> Request:
        """Return a question to the metrics of a host without a web process."""
        path = rng.choice(("/metrics", "/metrics", f"/metrics?{word(rng)}", word(rng)))
        method = rng.choice(("GET", "GET", "GET", "HEAD", "POST", "BREW"))
        said = rng.choice((f"Bearer {self.target.metrics_token}", word(rng)))
        data = head(method, path, b"x" * rng.randrange(9), ("Authorization", said))
        if rng.random() < 0.3:
            data = garbled(rng, data)
        port = self.target.metrics_port
        return Request(Kind.HOST, data, steady=False, port=port)

    # --- below HTTP -------------------------------------------------------------------

    def raw(self, rng: Random) -> Request:
        """Return what is no HTTP, or HTTP that hardly anybody sends."""
        path, body = payloads.call(rng)
        text = written(rng, body)
        login = ("Authorization", self._login)
        good = post(path, text, login)
        if (how := rng.randrange(9)) < 4:
            flood = tuple((f"X-{n}", word(rng)) for n in range(rng.choice((90, 300))))
            data = (
                rng.randbytes(1 + rng.randrange(400)),
                garbled(rng, good),
                good[: rng.randrange(len(good))],
                post(path, text, login, *flood),
            )[how]
        else:
            wrong = str(len(text) + 5)
            data = (
                post(path, text, login, ("X-Long", "y" * rng.choice((9_000, 99_000)))),
                post(path, text, login, ("Content-Length", wrong)),
                post(path, text, login, ("Transfer-Encoding", "chunked")),
                good.replace(b"localhost", word(rng).encode(errors="replace"), 1),
                chunked(rng, path, text, login)[:-7],
            )[how - 4]
        return Request(Kind.RAW, data, steady=False)


MAKERS: Final[dict[Kind, Callable[[Maker, Random], Request]]] = {
    Kind.EVENTS: Maker.events,
    Kind.DJANGO: Maker.odd_head,
    Kind.PUBLIC: Maker.public,
    Kind.BROKEN: Maker.broken,
    Kind.STRANGER: Maker.stranger,
    Kind.WEBHOOK: Maker.webhook,
    Kind.FORGED: Maker.forged,
    Kind.LINK: Maker.link,
    Kind.LOOK: Maker.look,
    Kind.LOGIN: Maker.login,
    Kind.STAFF: Maker.signed_in,
    Kind.HOST: Maker.host,
    Kind.RAW: Maker.raw,
}
