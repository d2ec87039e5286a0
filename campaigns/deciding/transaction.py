"""Lock, read the clock, load, decide, write: the shape of every decision."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from time import perf_counter
from typing import Final, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.transaction import atomic

from campaigns.deciding import clock, counting, database, load, rulesets
from campaigns.deciding.database import Call, DatabaseAway, Result, call
from campaigns.deciding.ids import new_id
from campaigns.deciding.write import changes, text
from campaigns.domain.intake import Intake
from campaigns.domain.matching import Question, condition_questions, exit_questions
from campaigns.domain.people import Journey, Mail, Person, State
from campaigns.domain.ruleset import Ruleset
from campaigns.metrics import counted

DEADLOCK_TRIES: Final = 3
RESTARTS: Final = 50

T = TypeVar("T")


class Restart(Exception):
    """What the decision was built on moved before it was locked: begin again."""


class Decision:
    """One deciding transaction under way. Ask for `now` once all is locked.

    `opening` is the row of the statement that read the ruleset's number, `first` are
    the results of those that went along with it.
    """

    def __init__(
        self,
        *,
        exclusive: bool = False,
        state: Call = rulesets.STATE,
        first: Sequence[Call] = (),
    ) -> None:
        """Lock the ruleset, shared unless it is to be changed; run the rest after it."""
        lock = rulesets.lock(exclusive=exclusive)
        asked = clock.steady_s()
        _, opened, *self.first = database.run_all([lock, state, *first])
        (self.opening,) = opened.rows
        number, self.generation, self._told = self.opening[:3]
        clock.heard(self._told, asked=asked)
        self.intake = Intake(rules=rulesets.at(number), new_id=new_id)
        self.before: dict[int, State] = {}
        self._writes: list[Call] = []
        self._now: datetime | None = None

    @property
    def now(self) -> datetime:
        """The one time of this decision, read after its locks."""
        if self._now is None:
            self._now = clock.now(self._told)
        return self._now

    @property
    def rules(self) -> Ruleset:
        """The ruleset in force until the commit."""
        return self.intake.rules

    @property
    def states(self) -> dict[int, State]:
        """The people as decided so far."""
        return self.intake.states

    def lock(
        self,
        people: Iterable[int],
        *,
        addresses: Callable[[str], bytes] | None = None,
        hashes: Collection[bytes] = (),
        then: Sequence[Call] = (),
    ) -> list[Result]:
        """Lock and load these people; Restart if one was merged or is gone.

        With `addresses`, which hashes an address, theirs are locked too; `hashes` are
        of others that are. `then` are run behind these locks, in the same round trip;
        their results are returned.
        """
        wanted = set(people) - set(self.before)
        holds = [_hold(key) for key in sorted(set(hashes))]
        if not wanted:
            calls = [*holds, *then]
            return self.waiting(*calls)[len(holds) :] if calls else []
        reads = load.read_states(wanted, now=clock.now(self._told))
        lock = load.lock_people(wanted)
        if addresses is None:
            locked, *results = self.waiting(lock, *holds, *reads, *then)
            found = _all_there(locked, wanted)
        else:
            found = _all_there(self.waiting(lock)[0], wanted)
            keys = sorted({*hashes, *(addresses(p.email) for p in found if p.email)})
            holds = [_hold(key) for key in keys]
            results = self.waiting(*holds, *reads, *then)
        del results[: len(holds)]
        loaded = load.states_of(found, results)
        self.before.update(loaded)
        self.states.update(loaded)
        return results[len(reads) :]

    def lock_address(self, address_hash: bytes) -> None:
        """Hold the address until the commit, whoever it belongs to."""
        self.waiting(_hold(address_hash))

    def waiting(self, *calls: Call) -> list[Result]:
        """Run statements that may wait for locks; the time is read behind them."""
        asked = clock.steady_s()
        *results, told = database.run_all([*calls, call("clock")])
        ((self._told,),) = told.rows
        clock.heard(self._told, asked=asked)
        return results

    def load_mails(self, ids: Iterable[int]) -> dict[int, tuple[int, Mail]]:
        """Lock mails of locked people; return (person, mail) by id.

        Restart if one is of somebody else.
        """
        return self.take_mails(database.run_all([load.lock_mails(ids)])[0])

    def take_mails(self, locked: Result) -> dict[int, tuple[int, Mail]]:
        """Do so with what load.lock_mails returned.

        A mail may name a customer who was merged since, more than once: what no
        open journey waits for is not moved.
        """
        survivor = {
            member: state.person.id
            for state in self.before.values()
            for member in (state.person.id, *state.person.merged_ids)
        }
        found = {}
        for customer, mail in load.locked_mails(locked):
            person = survivor.get(customer)
            if person is None:
                raise Restart
            found[mail.id] = (person, mail)
            if mail.id not in self.states[person].mails:
                self.before[person] = self.before[person].with_mail(mail)
                self.states[person] = self.states[person].with_mail(mail)
        return found

    def ask(self, asked: Mapping[int, Iterable[Question]]) -> None:
        """Put the answers to these questions into the people's pasts."""
        known = {key: self.states[key].person for key in asked}
        for key, past in load.load_past(asked, known).items():
            state = self.states[key]
            self.states[key] = State(
                state.person,
                state.journeys,
                state.mails,
                state.cooldowns,
                state.past.joined(past),
            )

    def ask_conditions(
        self,
        versions: Iterable[tuple[int, int | None]],
        *,
        leaving: Iterable[tuple[int, Journey]] = (),
    ) -> None:
        """Answer what the conditions of these (person, version) pairs ask.

        For (person, journey) pairs that are `leaving`, their exits are asked too.
        """
        asked: dict[int, set[Question]] = {}
        for person, key in versions:
            if version := self.rules.version(key):
                wanted = condition_questions(version, now=self.now)
                asked.setdefault(person, set()).update(wanted)
        for person, journey in leaving:
            if version := self.rules.version(journey.version):
                asked.setdefault(person, set()).update(exit_questions(version, journey))
        self.ask({person: wanted for person, wanted in asked.items() if wanted})

    def later(self, name: str, /, **parameters: object) -> None:
        """Run campaigns/sql/<name>.sql at the end, together with what is written."""
        self._writes.append(Call(name, parameters))

    def note(self, kind: str, payload: object) -> None:
        """Record this decision's place in the order, for the keel's test."""
        if settings.RECORD_ORDER:
            self.later("record_order", now=self.now, kind=kind, payload=text(payload))

    def write(self, *, commit: bool) -> None:
        """Write what changed and what was put off, in one round trip."""
        merged = self.intake.merged
        writes = [
            *changes(self.before, self.states, merged, now=self.now),
            *self._writes,
        ]
        if writes or commit:
            database.run_all(writes, commit=commit)


def _all_there(locked: Result, wanted: Collection[int]) -> list[Person]:
    """Return the people locked; Restart if one was merged or is gone."""
    found = load.locked_people(locked)
    if len(found) < len(wanted) or any(p.merged_into for p in found):
        raise Restart
    return found


def _hold(address_hash: bytes) -> Call:
    key = int.from_bytes(address_hash[:8], "big", signed=True)
    return call("lock_address", key=key)


def decide(
    work: Callable[[Decision], T],
    *,
    stage: str = "other",
    exclusive: bool = False,
    state: Callable[[], Call] = lambda: rulesets.STATE,
    first: Callable[[], Sequence[Call]] = tuple,
) -> T:
    """Run `work` in a deciding transaction, from the start again when it must be.

    `state` makes the statement that returns what rulesets.STATE does, and more; `first`
    makes others. They run right after the ruleset's lock, in the same round trip.
    `stage` names the transaction in the metrics.
    Raises DatabaseAway if the connection fails; other errors leave nothing written.
    """
    began = perf_counter()
    deadlocks = restarts = 0
    outermost = not connection.in_atomic_block
    while True:
        try:
            with atomic():
                decision = Decision(exclusive=exclusive, state=state(), first=first())
                result = work(decision)
                decision.write(commit=outermost)
        except Restart:
            restarts += 1
            if restarts > RESTARTS:
                raise
        except (DatabaseError, InterfaceError) as error:
            if database.is_away(error):
                with suppress(DatabaseError, InterfaceError):
                    connection.close()
                raise DatabaseAway(str(error)) from error
            deadlocks += 1
            if not database.is_retryable(error) or deadlocks >= DEADLOCK_TRIES:
                raise
        else:
            took = perf_counter() - began
            counted.TRANSACTIONS.labels(stage).observe(took)
            counting.count_moves(decision.before, decision.states)
            return result


def owners_of(people: Iterable[int]) -> Call:
    """Ask for (customer, survivor) rows, following merges. Takes no locks."""
    return call("roots", ids=sorted(set(people)))


def roots(people: Iterable[int]) -> dict[int, int]:
    """Return the surviving customer of each, following merges. Takes no locks."""
    return dict(database.run_all([owners_of(people)])[0].rows)
