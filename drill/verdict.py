"""What a drill found: the clients' ledger held against the simulator's log. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from drill.inbox import Handover
from drill.story import Kind, Story, Wanted
from tests.e2e.load import BATCH, Ledger

Mails = Mapping[tuple[str, Kind], Sequence[str]]


class Breach(StrEnum):
    """A promise that was not kept."""

    EVENT_LOST = "an acknowledged event is not there"
    EVENT_TWICE = "an event is there twice"
    EVENT_REFUSED = "an event was refused or never acknowledged"
    MAIL_LOST = "a mail was neither handed over nor kept as unknown"
    MAIL_TWICE = "a mail was handed over twice"
    MAIL_AFTER_STOP = "a mail was handed over after its stop"
    MAIL_INVENTED = "a mail counts as sent that was never taken"
    UNKNOWN_LEFT = "a mail is unknown though it was taken"
    SUMS = "the sums do not reconcile"
    UNFINISHED = "work was left undone"
    SPARED = "most strikes found nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen from outside.

    `handovers` are what the simulator took; `left` says by address when the request
    of a customer who unsubscribes was answered.
    """

    handovers: Sequence[Handover]
    left: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the product's own rows say at the end, where nothing else can.

    `stored` counts event ids; `states` are the states of the messages by address
    and kind; `differences` is what manage.py check_sums found; `unfinished` is what
    was still under way when the drill waited no longer.
    """

    stored: Mapping[str, int]
    states: Mails
    differences: Sequence[str] = ()
    unfinished: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Seconds from when a mail was due, or acknowledged if later, to its hand-over."""

    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All figures, and by breach what broke it, each told apart by a line."""

    events: int
    acknowledged: int
    repeated: int
    retries: int
    wanted: int
    handed_over: int
    unknown: int
    stops: int
    lateness: Lateness
    breaches: Mapping[Breach, Sequence[str]]


def judge(
    story: Story,
    ledger: Ledger,
    seen: Seen,
    books: Books,
    *,
    grace_s: float,
    is_silent: bool = False,
) -> Verdict:
    """Return what was kept and what was not.

    Mails that came of events whose answer never reached the client may be there or not. Of a
    provider that `is_silent` nobody learns what became of unknown mails.
    """
    log = _by_mail(story, seen.handovers)
    wanted = list(story.wanted())
    acknowledged_at = ledger.acknowledged_at
    surely = [w for w in wanted if w.number // BATCH in acknowledged_at]
    stops = {
        (w.address, w.kind): at + timedelta(seconds=grace_s)
        for w in wanted
        if (at := _stopped_at(w, acknowledged_at, seen.left)) is not None
    }
    unknown = {key for key, states in books.states.items() if "unknown" in states}
    required = {(w.address, w.kind) for w in surely if not _may_be_stopped(w)}
    found: dict[Breach, list[str]] = {
        Breach.EVENT_LOST: sorted(
            e for e in ledger.acknowledged if not books.stored.get(e)
        ),
        Breach.EVENT_TWICE: sorted(e for e, n in books.stored.items() if n > 1),
        Breach.EVENT_REFUSED: [*ledger.refused, *sorted(ledger.given_up)],
        Breach.MAIL_LOST: _lines(required - log.keys() - unknown, books.states),
        Breach.MAIL_TWICE: _lines(
            (key for key, taken in log.items() if len(taken) > 1),
            {key: [t.attempt for t in taken] for key, taken in log.items()},
        ),
        Breach.MAIL_AFTER_STOP: _lines(
            key
            for key, end in stops.items()
            if any(taken.at > end for taken in log.get(key, ()))
        ),
        Breach.MAIL_INVENTED: _lines(
            key
            for key, states in books.states.items()
            if "sent" in states and key not in log
        ),
        Breach.UNKNOWN_LEFT: [] if is_silent else _lines(unknown & log.keys()),
        Breach.SUMS: list(books.differences),
        Breach.UNFINISHED: list(books.unfinished),
    }
    return Verdict(
        events=story.total,
        acknowledged=len(ledger.acknowledged),
        repeated=ledger.repeated,
        retries=ledger.retries,
        wanted=len(surely),
        handed_over=sum(map(len, log.values())),
        unknown=len(unknown),
        stops=len(stops),
        lateness=_lateness(surely, ledger, log),
        breaches={breach: lines for breach, lines in found.items() if lines},
    )


def _by_mail(
    story: Story, handovers: Iterable[Handover]
) -> dict[tuple[str, Kind], list[Handover]]:
    """Return the hand-overs of this story by address and kind."""
    log: dict[tuple[str, Kind], list[Handover]] = defaultdict(list)
    for each in handovers:
        if each.address.startswith(f"{story.name}-"):
            log[(each.address, each.kind)].append(each)
    return dict(log)


def _may_be_stopped(wanted: Wanted) -> bool:
    return wanted.leaves or wanted.stopped_by is not None


def _stopped_at(
    wanted: Wanted,
    acknowledged_at: Mapping[int, datetime],
    left: Mapping[str, datetime],
) -> datetime | None:
    """Return when the product had confirmed the stop of that mail, if it had."""
    if wanted.leaves:
        return left.get(wanted.address)
    if wanted.stopped_by is not None:
        return acknowledged_at.get(wanted.stopped_by // BATCH)
    return None


def _lateness(
    wanted: Iterable[Wanted],
    ledger: Ledger,
    log: Mapping[tuple[str, Kind], Sequence[Handover]],
) -> Lateness:
    late = []
    for each in wanted:
        taken = log.get((each.address, each.kind))
        if not taken:
            continue
        batch = each.number // BATCH
        due = ledger.posted_at[batch] + timedelta(seconds=each.delay_s)
        due = max(due, ledger.acknowledged_at[batch])
        late.append((taken[0].at - due).total_seconds())
    late.sort()
    if not late:
        return Lateness(p50=0.0, p99=0.0, longest=0.0)
    return Lateness(
        p50=max(0.0, late[len(late) // 2]),
        p99=max(0.0, late[len(late) * 99 // 100]),
        longest=max(0.0, late[-1]),
    )


def _lines(keys: Iterable[tuple[str, Kind]], told: Mails | None = None) -> list[str]:
    said = told or {}
    return sorted(
        " ".join([kind, "for", address, *map(str, said.get((address, kind), ()))])
        for address, kind in keys
    )


def restarts_in(*logs: str) -> Counter[str]:
    """Return how often the supervisors' logs tell of a restart, by what it was."""
    told = {
        "clusters that had ended": "; restarting",
        "clusters without work": "; replacing it",
        "database": "the database ended; starting it again",
        "web": "web ended (",
        "supervisor": "clusters ended (",
        "workers": "reincarnated worker",
        "monitors": "reincarnated monitor",
        "pushers": "reincarnated pusher",
    }
    return Counter(
        {name: sum(log.count(t) for log in logs) for name, t in told.items()}
    )
