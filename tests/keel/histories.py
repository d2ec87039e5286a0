"""Histories that hypothesis makes: rules, and what happens to customers, in order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from campaigns.domain.events import EventType, IncomingEvent

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NAMES = ("Viewed", "Carted", "Bought", "Opened", "Left")
USERS = ("u0", "u1", "u2", "u3")
DEVICES = ("d0", "d1", "d2", "d3")
KEYS = ("k0", "k1")
ADDRESSES = ("a@example.com", "b@example.com", "c@example.com")


@dataclass(frozen=True)
class Post:
    """A batch of events, (number, event) each; the number makes the message id."""

    events: tuple[IncomingEvent, ...]
    public: bool = False


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    by: timedelta


@dataclass(frozen=True)
class Do:
    """One of: advance, begin, settle, a stop, or a fault."""

    what: str
    number: int = 0
    flag: bool = False


def said(moment, number, late=0):
    """When an event happened: a second before, each later than the last."""
    return moment - timedelta(minutes=late, seconds=1) + timedelta(microseconds=number)


def minutes(amount):
    return {"amount": amount, "unit": "minutes"}


DELAYS = st.sampled_from([0, 0, 0, 10, 60, 120]).map(minutes)
CONDITIONS = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.sampled_from(
        [
            {"field": "event.properties.total", "op": "gte", "value": 50},
            {"field": "customer.plan", "op": "ne", "value": "gold"},
            {"did": "Viewed", "op": "at_least", "times": 2, "within": minutes(180)},
            {"did": "Bought", "op": "at_most", "times": 1, "within": minutes(600)},
        ]
    ),
)


@st.composite
def steps(draw, template):
    waits = draw(st.sampled_from([None, None, None, "Opened", "Left"]))
    own = draw(CONDITIONS)
    variants = [_variant("A", own, template)]
    if draw(st.booleans()):
        variants.append(_variant("B", None, template))
    if draw(st.booleans()):
        variants.append({**_variant("F", None, template), "fallback": True})
    return {
        "delay": minutes(0) if waits else draw(DELAYS),
        "wait_for": {
            "events": [waits],
            "timeout": minutes(draw(st.sampled_from([10, 60]))),
        }
        if waits
        else None,
        "window": draw(
            st.sampled_from(
                [
                    None,
                    None,
                    {"weekdays": [0, 1, 2, 3, 4], "start": "09:00", "end": "17:00"},
                ]
            )
        ),
        "quiet": None,
        "variants": variants,
        "expires_after": draw(st.sampled_from([None, None, minutes(30)])),
    }


def _variant(name, condition, template):
    return {
        "name": name,
        "condition": condition,
        "weight": 1,
        "template_version": template,
        "fallback": False,
    }


@st.composite
def documents(draw, *, rule, topic, sender, template):
    marketing = draw(st.booleans())
    trigger = draw(st.sampled_from(["Viewed", "Viewed", "Carted", "Bought"]))
    leaves = draw(st.sampled_from([None, "Bought", "Left", "Left"]))
    return {
        "schema": 1,
        "rule": rule,
        "version": 1,
        "name": f"rule {rule}",
        "kind": "marketing" if marketing else "transactional",
        "topic": topic if marketing else None,
        "topic_opt_in": False,
        "sender": sender,
        "salt": f"salt{rule}",
        "trigger": {
            "events": [trigger],
            "sources": None,
            "public": draw(st.booleans()),
        },
        "condition": draw(CONDITIONS),
        "cooldown": draw(
            st.sampled_from(
                [
                    None,
                    {"duration": minutes(60), "key": None},
                    {"duration": minutes(90), "key": "cart"},
                ]
            )
        ),
        "exit": {"events": [leaves], "key": draw(st.sampled_from([None, "cart"]))}
        if leaves and leaves != trigger
        else None,
        "retrigger": draw(st.sampled_from(["ignore", "restart", "restart", "restart"])),
        "freshness": draw(st.sampled_from([None, minutes(240)])),
        "holdout": draw(st.sampled_from([0, 3000, 6000])) if marketing else 0,
        "goal": draw(
            st.sampled_from([None, {"event": "Bought", "window": minutes(300)}])
        ),
        "steps": draw(st.lists(steps(template), min_size=1, max_size=2)),
    }


@st.composite
def events(draw, moment, number):
    kind = draw(st.sampled_from(["track"] * 8 + ["identify"] * 3 + ["alias"]))
    user = draw(st.sampled_from(USERS))
    device = draw(st.sampled_from(DEVICES))
    who = draw(st.sampled_from(["user", "device", "device", "both"]))
    late = draw(st.sampled_from([0, 0, 0, 5, 45, 130, 300]))
    occurred = said(moment, number, late)
    common = {
        "message_id": f"m{number}",
        "occurred_at": occurred,
        "user_id": user if who != "device" or kind == "alias" else None,
        "anonymous_id": device if who != "user" and kind != "alias" else None,
    }
    if kind == "alias":
        previous = draw(st.sampled_from(USERS + DEVICES))
        return IncomingEvent(type=EventType.ALIAS, previous_id=previous, **common)
    if kind == "identify":
        traits = {"plan": draw(st.sampled_from(["gold", "free"]))}
        if draw(st.booleans()):
            traits["email"] = draw(st.sampled_from(ADDRESSES))
        if draw(st.booleans()):
            traits["time_zone"] = "Asia/Tokyo"
        return IncomingEvent(type=EventType.IDENTIFY, traits=traits, **common)
    return IncomingEvent(
        type=EventType.TRACK,
        name=draw(st.sampled_from(NAMES)),
        properties={
            "cart": draw(st.sampled_from(KEYS)),
            "total": draw(st.sampled_from([10, 60])),
        },
        **common,
    )


STOPS = ("pause", "pause", "resume", "resume", "suppress", "choose", "archive")
KINDS = (
    ("post",) * 6
    + ("again",) * 3
    + ("twice",) * 4
    + ("leave",) * 4
    + ("pass_by",) * 3
    + ("stop",) * 2
)
# Leases are let end by hand, which is exact only where nobody else works.
FAULTS = ("evidence", "crash", "lift", "crash")
FAULTS_AT_ONCE = ("evidence", "lift")


WISHES = ("restart", "exit", "holdout", "merge", "pause", "late")
PLAIN = {
    "trigger": {"events": ["Viewed"], "sources": None, "public": False},
    "condition": None,
    "cooldown": None,
    "exit": None,
    "freshness": None,
    "holdout": 0,
}


def wished(document, wish):
    """Return the rule as the wish's episode needs it, most of it as drawn."""
    made = {**document, **PLAIN, "retrigger": "restart"}
    first = {**made["steps"][0], "delay": minutes(0), "wait_for": None, "window": None}
    match wish:
        case "restart":
            first["delay"] = minutes(0)
        case "exit":
            made["exit"] = {"events": ["Left"], "key": None}
            first["delay"] = minutes(60)
        case "holdout":
            made |= {"kind": "marketing", "topic": 1, "holdout": 10_000}
        case _:
            return document
    return {**made, "steps": [first, *made["steps"][1:]]}


@st.composite
def operations(draw, *, size, wish, faults):
    """Return a list of operations, times after START; work is done between them.

    The wish's episode comes first, so that every kind of history is among many.
    """
    history = _History(draw)
    for user, address in zip(USERS[:3], ADDRESSES, strict=True):
        history.made.append(
            Post((_identified(user, address, history.moment, history.next()),))
        )
    history.grant(wish)
    for place in range(size):
        getattr(history, draw(st.sampled_from(KINDS)))()
        history.work()
        if place % 4 == 3:
            history.fault(faults[place // 4 % len(faults)])
    return history.made


class _History:
    """A history in the making."""

    def __init__(self, draw):
        self.draw = draw
        self.moment = START
        self.number = 0
        self.made = []
        self.posted = []

    def next(self):
        self.number += 1
        return self.number

    def post(self):
        batch = []
        for _ in range(self.draw(st.integers(1, 3))):
            if self.posted and self.draw(st.integers(0, 7)) == 0:
                batch.append(self.draw(st.sampled_from(self.posted)))
            else:
                batch.append(self.draw(events(self.moment, self.next())))
        self.posted += batch
        self.made.append(Post(tuple(batch), self.draw(st.integers(0, 5)) == 0))

    def _like_last(self, name):
        tracked = [e for e in self.posted if e.type is EventType.TRACK]
        if not tracked:
            return self.post()
        number = self.next()
        event = replace(
            tracked[-1],
            name=name or tracked[-1].name,
            message_id=f"m{number}",
            occurred_at=said(self.moment, number),
        )
        self.posted.append(event)
        self.made.append(Post((event,)))
        return None

    def track(self, name, *, user=None, device=None, late=0):
        number = self.next()
        event = IncomingEvent(
            type=EventType.TRACK,
            message_id=f"m{number}",
            name=name,
            user_id=user,
            anonymous_id=device,
            properties={"cart": "k0", "total": 60},
            occurred_at=said(self.moment, number, late),
        )
        self.posted.append(event)
        self.made.append(Post((event,)))

    def grant(self, wish):
        match wish:
            case "restart":
                self.track("Viewed", user="u0")
                self.made.append(Do("advance"))
                self.track("Viewed", user="u0")
            case "exit":
                self.track("Viewed", user="u0")
                self.track("Left", user="u0")
            case "holdout":
                self.track("Viewed", user="u0")
            case "merge":
                self.track("Carted", device="d3")
                self.track("Viewed", user="u0", device="d3")
            case "pause":
                self.made.append(Do("pause"))
            case "late":
                self.track("Viewed", user="u0")
                self.track("Bought", user="u0", late=45)

    def again(self):
        self._like_last("")

    def twice(self):
        """A trigger, queued by the dispatcher, and the same trigger again."""
        name = self.draw(st.sampled_from(["Viewed", "Viewed", "Carted"]))
        self._like_last(name)
        self.made.append(Do("advance"))
        self._like_last(name)

    def leave(self):
        self._like_last(self.draw(st.sampled_from(["Bought", "Left", "Opened"])))

    def pass_by(self):
        by = timedelta(minutes=self.draw(st.sampled_from([1, 15, 70, 130, 700])))
        self.moment += by
        self.made.append(Pass(by))

    def stop(self):
        what = self.draw(st.sampled_from(STOPS))
        number = self.draw(st.integers(0, 5))
        self.made.append(Do(what, number, self.draw(st.booleans())))

    def fault(self, what):
        """A fault where it hurts: beside a mail under way, or a suppression."""
        number = self.draw(st.integers(0, 20))
        flag = self.draw(st.booleans())
        before = [Do("suppress", number, flag)] if what == "lift" else []
        self.made += [*before, Do("advance"), Do("begin"), Do(what, number, flag)]

    def work(self):
        done = self.draw(st.sampled_from([0, 1, 1, 3, 3, 7, 7]))
        answer = self.draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 5]))
        if done & 1:
            self.made.append(Do("advance"))
        if done & 2:
            self.made.append(Do("begin"))
        if done & 4:
            self.made.append(Do("settle", answer))


def _identified(user, address, moment, number):
    return IncomingEvent(
        type=EventType.IDENTIFY,
        message_id=f"m{number}",
        user_id=user,
        traits={"email": address},
        occurred_at=said(moment, number),
    )
