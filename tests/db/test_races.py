"""Two at once, on real connections: who comes first wins, and nobody wins twice."""

from collections import Counter
from functools import partial

import pytest
from django.db import connection
from django.db.transaction import atomic

from campaigns.deciding import database, transaction
from campaigns.deciding.addresses import address_hash
from campaigns.deciding.database import call
from campaigns.deciding.suppressing import suppress, unsubscribe
from campaigns.domain.answers import Accepted, Ambiguous, Refusal, Refused
from campaigns.domain.events import EventType
from campaigns.domain.states import SuppressionReason
from campaigns.journeys import publishing
from campaigns.journeys.advance import advance_due
from campaigns.models import (
    Attempt,
    Company,
    Customer,
    Event,
    Journey,
    Message,
    Suppression,
    Timer,
)
from campaigns.reports.sums import differences
from campaigns.sending import gate as gating
from campaigns.sending import settle as settling
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import Answered, rescue, settle, settle_all
from tests.db.actors import Actor, Stop, at_once, waits_for
from tests.db.world import World, lasts
from tests.keel.live import empty_database

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "ann@example.com"


@pytest.fixture
def world():
    empty_database()
    yield World()
    assert differences() == []
    empty_database()


@pytest.fixture
def queued(world):
    """A mail for ann that is due, of a rule that "Left" ends."""
    world.rule("news", "Viewed", exit={"events": ["Left"], "key": None})
    world.known("ann")
    world.does("ann", "Viewed")
    advance_due()
    return world


def the_mail():
    return Message.objects.get()


def let_lease_end():
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET lease_until = now() - interval '1 second'"
            " WHERE lease_until IS NOT NULL"
        )


def stop_before_commit(monkeypatch, writing):
    through = writing.before(transaction.changes)
    monkeypatch.setattr(transaction, "changes", through)


# --- A stop against the gate (invariant 5) -----------------------------------
def suppressed(_world):
    suppress(ADDRESS, reason=SuppressionReason.COMPLAINT, origin="test")


def unsubscribed(world):
    unsubscribe(
        world.customer("ann").pk,
        address_hash(ADDRESS),
        world.topic.pk,
        origin="test",
        wording="no more",
    )


def exited(world):
    world.does("ann", "Left")


def paused(world):
    publishing.pause(world.rules["news"], by="test")


def archived(world):
    publishing.archive(world.rules["news"], by="test")


STOPS = {
    suppressed: {("skipped", "suppressed")},
    unsubscribed: {("skipped", "suppressed")},
    exited: {("cancelled", "exited")},
    paused: {("held", "rule_paused")},
    # The gate reads the flag, or the batch that follows it takes the mail first.
    archived: {("skipped", "rule_archived"), ("cancelled", "cancelled")},
}
each_stop = pytest.mark.parametrize("stop", STOPS, ids=lambda s: s.__name__)


@each_stop
def test_a_stop_that_comes_while_the_gate_looks_waits_until_sending_is_committed(
    queued, monkeypatch, stop
):
    looking = Stop("gate")
    monkeypatch.setattr(gating, "gate", looking.before(gating.gate))
    claims = claim(limit=8)
    gate = Actor("gate", lambda: begin(claims, prepare(claims))).begin()
    looking.reached()
    stopper = Actor("stopper", partial(stop, queued)).begin()
    waits_for(stopper, gate)
    assert the_mail().state == "claimed"
    looking.go()
    (sent,) = gate.result()
    stopper.result()
    # Committed before the stop: this one mail leaves, and is settled as any.
    assert the_mail().state == "sending"
    settle(sent.customer, sent.mail, sent.token, Accepted("p1"))
    assert the_mail().state == "sent"


@each_stop
def test_a_gate_that_comes_while_a_stop_is_committing_lets_nothing_leave(
    queued, monkeypatch, stop
):
    writing = Stop("stopper")
    stop_before_commit(monkeypatch, writing)
    claims = claim(limit=8)
    prepared = prepare(claims)
    assert prepared[the_mail().pk].packed is not None
    stopper = Actor("stopper", partial(stop, queued)).begin()
    writing.reached()
    gate = Actor("gate", lambda: begin(claims, prepared)).begin()
    waits_for(gate, stopper)
    writing.go()
    assert gate.result() == []
    stopper.result()
    assert (the_mail().state, the_mail().reason) in STOPS[stop]
    assert not Attempt.objects.exists()


@each_stop
def test_a_stop_between_claim_and_gate_lets_nothing_leave(queued, stop):
    claims = claim(limit=8)
    prepared = prepare(claims)
    stop(queued)
    assert begin(claims, prepared) == []
    assert (the_mail().state, the_mail().reason) in STOPS[stop]
    assert not Attempt.objects.exists()


def test_a_suppression_of_an_address_just_taken_is_seen(queued, monkeypatch):
    """Whoever suppresses knows the address only; nobody had it when they began."""
    writing = Stop("stopper")
    stop_before_commit(monkeypatch, writing)

    def suppress_new():
        suppress("new@example.com", reason=SuppressionReason.MANUAL, origin="test")

    stopper = Actor("stopper", suppress_new).begin()
    writing.reached()
    queued.identify("ann", email="new@example.com")
    claims = claim(limit=8)
    gate = Actor("gate", lambda: begin(claims, prepare(claims))).begin()
    waits_for(gate, stopper)
    writing.go()
    assert gate.result() == []
    stopper.result()
    assert the_mail().detail == {"because": ["manual"]}


def test_two_gates_for_one_address_keep_its_cap(world):
    """Two customers share an address; the cap counts by address."""
    Company.objects.update(cap_messages=1, cap_days=1)
    world.rule("news", "Viewed")
    for user in ("ann", "bob"):
        world.identify(user, email=ADDRESS)
        world.does(user, "Viewed")
    advance_due()
    claims = claim(limit=8)
    prepared = prepare(claims)
    begun = at_once(*[partial(begin, [c], prepared) for c in claims])
    assert sorted(len(b) for b in begun) == [0, 1]
    assert Counter(Message.objects.values_list("state", "reason")) == {
        ("sending", ""): 1,
        ("skipped", "frequency_cap"): 1,
    }


def test_what_the_cap_no_longer_counts_is_settled_after_the_gate_that_counted_it(
    world, monkeypatch
):
    Company.objects.update(cap_messages=1, cap_days=1)
    world.rule("news", "Viewed")
    for user in ("ann", "bob"):
        world.identify(user, email=ADDRESS)
        world.does(user, "Viewed")
    advance_due()
    first, second = claim(limit=8)
    (sent,) = begin([first], prepare([first]))
    looking = Stop("gate")
    monkeypatch.setattr(gating, "gate", looking.before(gating.gate))
    gate = Actor("gate", lambda: begin([second], prepare([second]))).begin()
    looking.reached()
    answer = Refused(Refusal.INVALID, "no", 400)
    settler = Actor(
        "settler", lambda: settle(sent.customer, sent.mail, sent.token, answer)
    ).begin()
    waits_for(settler, gate)
    looking.go()
    assert gate.result() == []
    settler.result()
    assert Counter(Message.objects.values_list("state", "reason")) == {
        ("failed", "invalid"): 1,
        ("skipped", "frequency_cap"): 1,
    }


def test_who_settles_refusals_takes_addresses_sorted_and_before_any_mail(world):
    """As whoever applies a webhook does, who would else wait the other way round."""
    world.rule("news", "Viewed")
    users = ("ann", "bob", "cyd", "dan")
    for user in users:
        world.known(user)
        world.does(user, "Viewed")
    advance_due()
    claims = claim(limit=8)
    begun = begin(claims, prepare(claims))
    answer = Refused(Refusal.INVALID, "no", 400)
    keys = sorted(address_hash(f"{user}@example.com") for user in users)
    held = Stop("holder")

    def number_of(key):
        return int.from_bytes(key[:8], "big", signed=True)

    def hold(key):
        with atomic(), connection.cursor() as cursor:
            database.run_all([call("lock_address", key=number_of(key))])
            held.before(lambda: None)()
            cursor.execute("SELECT 1 FROM campaigns_message FOR UPDATE NOWAIT")

    def rest(keys):
        """Have these addresses, which nobody holds."""
        with atomic(), connection.cursor() as cursor:
            for key in keys:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number_of(key)])
                assert cursor.fetchone() == (True,)

    holder = Actor("holder", partial(hold, keys[1])).begin()
    held.reached()
    settler = Actor(
        "settler",
        lambda: settle_all(
            [Answered(b.customer, b.mail, b.token, answer) for b in begun]
        ),
    ).begin()
    waits_for(settler, holder)
    rest(keys[2:])
    held.go()
    holder.result()
    settler.result()
    assert set(Message.objects.values_list("state", flat=True)) == {"failed"}


# --- A change of rules against an event (invariant 6) --------------------------
def test_an_event_that_comes_while_a_pause_is_committing_starts_nothing(
    world, monkeypatch
):
    world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Viewed")  # this process has compiled the rules
    before = Journey.objects.count()
    writing = Stop("stopper")
    stop_before_commit(monkeypatch, writing)
    stopper = Actor("stopper", partial(paused, world)).begin()
    writing.reached()
    event = world.event(name="Viewed", user_id="ann", message_id="meanwhile")
    ingest = Actor("ingest", partial(world.post, event)).begin()
    waits_for(ingest, stopper)
    writing.go()
    stopper.result()
    assert ingest.result().accepted == 1
    assert Event.objects.get(message_id="meanwhile").decisions is None
    assert Journey.objects.count() == before


# --- Many at once (invariants 2 and 3) -----------------------------------------
def test_fifty_posts_of_one_event_count_once(world):
    world.rule("news", "Viewed")
    world.known("ann")
    event = world.event(name="Viewed", user_id="ann", message_id="once")
    shares = [4] * 2 + [3] * 14  # 50 posts by 16 threads

    def post(times):
        return [world.post(event) for _ in range(times)]

    answers = [a for some in at_once(*[partial(post, n) for n in shares]) for a in some]
    assert len(answers) == 50
    assert sum(a.accepted for a in answers) == 1
    assert sum(a.duplicates for a in answers) == 49
    world.work()
    assert Event.objects.filter(message_id="once").count() == 1
    assert Journey.objects.count() == 1
    assert list(Message.objects.values_list("state", flat=True)) == ["sent"]


def test_a_cooldown_admits_one_of_sixteen_events_at_once(world):
    world.rule("news", "Viewed", cooldown={"duration": lasts(1, "days"), "key": None})
    world.known("ann")
    events = [world.event(name="Viewed", user_id="ann") for _ in range(16)]
    at_once(*[partial(world.post, e) for e in events])
    assert Counter(d[2] for d in world.decisions()) == {"entered": 1, "cooldown": 15}
    world.work()
    assert list(Message.objects.values_list("state", flat=True)) == ["sent"]


def test_sixteen_first_words_of_somebody_unknown_are_one_customer(world):
    world.rule("news", "Viewed", cooldown={"duration": lasts(1, "days"), "key": None})
    events = [
        world.event(
            EventType.IDENTIFY if n % 2 else EventType.TRACK,
            "" if n % 2 else "Viewed",
            user_id="ann" if n % 4 else None,
            anonymous_id="phone",
        )
        for n in range(16)
    ]
    answers = at_once(*[partial(world.post, e) for e in events])
    assert sum(a.accepted for a in answers) == 16
    assert Customer.objects.filter(merged_into=None).count() == 1
    assert Counter(d[2] for d in world.decisions()) == {"entered": 1, "cooldown": 7}


def test_merges_across_each_other_end_in_one_customer_without_a_deadlock(world):
    users = [f"u{n}" for n in range(6)]
    for user in users:
        world.known(user)
    pairs = [(a, b) for a in users for b in users if a != b][:16]
    events = [world.event(EventType.ALIAS, user_id=a, previous_id=b) for a, b in pairs]
    answers = at_once(*[partial(world.post, e) for e in events])
    assert sum(a.accepted for a in answers) == len(events)
    assert Customer.objects.filter(merged_into=None).count() == 1


# --- Claims and leases (invariant 4) -------------------------------------------
def many_due(world, amount):
    world.rule("news", "Viewed")
    for number in range(amount):
        user = f"u{number}"
        world.post(
            world.event(
                EventType.IDENTIFY,
                user_id=user,
                traits={"email": f"{user}@example.com"},
            ),
            world.event(name="Viewed", user_id=user),
        )


def test_advancers_never_share_a_timer(world):
    many_due(world, 40)

    def advance():
        done = 0
        while worked := advance_due(limit=7):
            done += worked
        return done

    done = at_once(*[advance] * 6)
    while advance_due(limit=50):  # what each passed over because another held it
        pass
    assert sum(done) <= 40
    assert Message.objects.count() == 40
    assert len(set(Message.objects.values_list("journey_id", flat=True))) == 40
    assert not Timer.objects.exists()


def test_claimers_never_share_a_message(world):
    many_due(world, 40)
    advance_due(limit=50)

    def claim_all():
        found = []
        while claims := claim(limit=3):
            found += claims
        return found

    claims = [c for some in at_once(*[claim_all] * 6) for c in some]
    while more := claim(limit=8):
        claims += more
    assert len(claims) == len({c.id for c in claims}) == 40
    assert set(Message.objects.values_list("state", "attempt")) == {("claimed", 1)}


def test_who_lost_the_lease_before_the_gate_may_not_send(queued):
    late = claim(limit=8)
    prepared = prepare(late)
    let_lease_end()
    assert begin(late, prepared) == []
    assert rescue() == 1
    assert the_mail().state == "queued"
    assert begin(late, prepared) == []
    (again,) = claim(limit=8)
    assert begin(late, prepared) == []
    assert again.token != late[0].token
    assert len(begin([again], prepare([again]))) == 1
    assert (the_mail().state, the_mail().attempt) == ("sending", 2)


def test_a_lease_that_would_end_during_the_call_is_not_used(queued):
    claims = claim(limit=8)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_message SET"
            " lease_until = clock_timestamp() + interval '9 seconds'"
        )
    assert begin(claims, prepare(claims)) == []
    assert the_mail().state == "claimed"


@pytest.mark.parametrize(
    "answer",
    [
        Accepted("late"),
        Ambiguous("late"),
        Refused(Refusal.INVALID, "late", 400),
        Refused(Refusal.RATE_LIMITED, "late", 429),
    ],
    ids=["accepted", "ambiguous", "invalid", "rate limited"],
)
def test_an_old_token_settles_nothing(queued, answer):
    """Refused for now, sent again: the first worker's word is no longer heard."""
    first = claim(limit=8)
    (old,) = begin(first, prepare(first))
    settle(old.customer, old.mail, old.token, Refused(Refusal.NOT_REACHED, "down"))
    Message.objects.update(not_before=the_mail().created_at)
    (again,) = claim(limit=8)
    before = Message.objects.values().get()
    settle(old.customer, old.mail, old.token, answer)
    assert Message.objects.values().get() == before
    (new,) = begin([again], prepare([again]))
    settle(old.customer, old.mail, old.token, answer)
    assert the_mail().state == "sending"
    settle(new.customer, new.mail, new.token, Accepted("p2"))
    assert (the_mail().state, the_mail().provider_message_id) == ("sent", "p2")
    assert Attempt.objects.filter(state="accepted").count() == 1


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Accepted("p1"), "sent"),
        (Ambiguous("late"), "unknown"),
        (Refused(Refusal.INVALID, "late", 400), "unknown"),
        (Refused(Refusal.NOT_REACHED, "late"), "unknown"),
        (Refused(Refusal.RATE_LIMITED, "late", 429), "unknown"),
    ],
    ids=["accepted", "ambiguous", "invalid", "not reached", "rate limited"],
)
def test_of_late_answers_only_an_acceptance_settles_unknown(queued, answer, state):
    claims = claim(limit=8)
    (sent,) = begin(claims, prepare(claims))
    let_lease_end()
    assert rescue() == 1
    assert (the_mail().state, the_mail().reason) == ("unknown", "no_answer")
    assert Journey.objects.get().state == "finished"
    settle(sent.customer, sent.mail, sent.token, answer)
    assert the_mail().state == state
    assert Journey.objects.get().state == "finished"
    assert claim(limit=8) == []


def test_a_rescue_during_the_gate_waits_for_it(queued, monkeypatch):
    looking = Stop("gate")
    monkeypatch.setattr(gating, "gate", looking.before(gating.gate))
    claims = claim(limit=8)
    gate = Actor("gate", lambda: begin(claims, prepare(claims))).begin()
    looking.reached()
    # Rows locked by the gate are not to be had, so the claim is looked up by hand.
    owners = {c.id: c.customer for c in claims}
    rescuer = Actor(
        "rescuer",
        lambda: transaction.decide(
            lambda d: settling._rescue(d, dict(owners)),
            first=lambda: [transaction.owners_of(owners.values())],
        ),
    ).begin()
    waits_for(rescuer, gate)
    looking.go()
    assert len(gate.result()) == 1
    assert rescuer.result() == 0
    assert the_mail().state == "sending"
    assert database.run("expired_leases", limit=10) == []


@pytest.mark.parametrize(
    "work",
    [
        lambda world: world.does("ann", "Viewed"),
        suppressed,
        unsubscribed,
    ],
    ids=["an event", "a suppression", "an unsubscribe"],
)
def test_who_waited_reads_the_clock_when_the_wait_is_over(world, work):
    """Else a later decision about somebody carries an earlier time."""
    world.rule("news", "Viewed")
    world.known("ann")
    times = []

    def waits(decision):
        nonlocal times
        decision.lock([world.customer("ann").pk], addresses=address_hash)
        times.append(decision.now)
        waiter.begin()
        waits_for(waiter, holder)
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            times += cursor.fetchone()

    waiter = Actor("waiter", lambda: work(world))
    holder = Actor("holder", lambda: transaction.decide(waits)).begin()
    holder.result()
    waiter.result()
    rows = [Event.objects.filter(name="Viewed").values_list("received_at", flat=True)]
    rows.append(Suppression.objects.values_list("created_at", flat=True))
    (told,) = {row for found in rows for row in found}
    assert times[0] < times[1] < told


def test_a_rate_shared_by_many_claimers_is_kept(world):
    many_due(world, 30)
    advance_due(limit=50)
    world.provider.rate_per_s, world.provider.burst = 0.001, 10
    world.provider.tokens = 10
    world.provider.save()
    claims = at_once(*[partial(claim, limit=4)] * 6)
    assert sum(len(c) for c in claims) == 10
    assert claim(limit=4) == []


def test_suppressing_one_address_many_times_at_once_makes_one_row(world):
    done = at_once(*[partial(suppressed, world)] * 8)
    assert len(done) == 8
    assert Suppression.objects.count() == 1
