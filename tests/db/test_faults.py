"""The work ends at any line, the provider answers anything: what is left is right."""

import json
import socket
import threading
from collections import Counter
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from campaigns.deciding import clock, database, transaction
from campaigns.dispatch import drain as draining
from campaigns.dispatch.drain import drain
from campaigns.dispatch.due import anything_due
from campaigns.domain.answers import Refusal, Refused
from campaigns.domain.settle import MAX_ATTEMPTS
from campaigns.feedback.apply import drain as apply_feedback
from campaigns.ingest import fold as ingesting
from campaigns.journeys import advance as advancing
from campaigns.models import (
    Attempt,
    Company,
    Customer,
    Event,
    Journey,
    Message,
    Provider,
    Timer,
    WebhookEndpoint,
)
from campaigns.providers.registry import provider_for
from campaigns.reports.sums import differences
from campaigns.sending import deliver, gate, prepare, settle
from campaigns.sending.claim import claim
from demo.sendgrid_simulator import Simulator
from tests.db.crashing import Crash, killed, let_backoff_end, let_leases_end
from tests.db.world import World, lasts, step
from tests.keel.live import empty_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def running():
    made = Simulator(port=0).start()
    yield made
    provider_for("sendgrid", api_key="", host=made.url).close()
    made.stop()


@pytest.fixture
def simulator(running, settings):
    # A killed process has no threads left; a killed test's may still be POSTing.
    for pool in deliver._pools.values():
        pool.shutdown()
    deliver._pools.clear()
    running.faults()
    running.store.clear()
    settings.SENDGRID_HOST = running.url
    settings.SENDGRID_API_KEY = ""
    return running


def handed_over(simulator):
    """How often this test's mails were; a killed test's last call may end later."""
    ours = {str(pk) for pk in Message.objects.values_list("pk", flat=True)}
    return sum(n for mail, n in simulator.handovers().items() if mail in ours)


@pytest.fixture
def world(simulator, settings):
    settings.MIDDLEWARE = [m for m in settings.MIDDLEWARE if "whitenoise" not in m]
    empty_database()
    yield World()
    assert differences() == []
    assert all(times == 1 for times in simulator.handovers().values())
    empty_database()


@pytest.fixture
def due(world):
    """A mail for ann that is due now."""
    world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Viewed")
    return world


def the_mail():
    return Message.objects.get()


def restart():
    """Start anew after a crash, once the leases are over, and work until all is done."""
    let_leases_end()
    drain()
    let_leases_end()
    let_backoff_end()
    drain()


def reported(simulator, event="delivered"):
    """Let SendGrid report about every mail that it took, through our own door."""
    endpoint = WebhookEndpoint.objects.create(
        slug=f"hook{WebhookEndpoint.objects.count()}",
        public_keys=[simulator.public_key],
    )
    items = [simulator.event(str(m["id"]), event) for m in simulator.messages()]
    body = json.dumps(items).encode()
    stamp = str(int(clock.now().timestamp()))
    answer = Client().post(
        endpoint.path(),
        data=body,
        content_type="application/json",
        HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_SIGNATURE=simulator.key.sign(
            body, timestamp=stamp
        ),
        HTTP_X_TWILIO_EMAIL_EVENT_WEBHOOK_TIMESTAMP=stamp,
    )
    assert answer.status_code // 100 == 2
    assert apply_feedback() == 1


# --- Killed at a line (invariants 4 and 11) --------------------------------------
# Each line: what is called there, the mail's state that is left, and what becomes of
# it: the end, how often it was handed over, and which attempt it was.
LINES = {
    "before advance commits": (transaction, "changes", "before", None, "sent", 1, 1),
    "after advance committed": (draining, "advance_due", "after", "queued", "sent", 1, 1),
    "after the claim": (deliver, "claim", "after", "claimed", "sent", 1, 2),
    "while rendering": (prepare, "compose", "after", "claimed", "sent", 1, 2),
    "after rendering": (deliver, "prepare", "after", "claimed", "sent", 1, 2),
    "while the gate looks": (gate, "gate", "after", "claimed", "sent", 1, 2),
    "before sending commits": (gate, "_open_attempts", "after", "claimed", "sent", 1, 2),
    "after sending committed": (deliver, "begin", "after", "sending", "unknown", 0, 1),
    "before the POST": (deliver, "steady_s", "after", "sending", "unknown", 0, 1),
    "after the POST": (deliver, "settle_all", "before", "sending", "unknown", 1, 1),
    "while settling": (settle, "apply_answer", "after", "sending", "unknown", 1, 1),
    "after the attempt": (settle, "_end_attempts", "after", "sending", "unknown", 1, 1),
    "before settle commits": (settle, "_note_health", "after", "sending", "unknown", 1, 1),
    "after settle committed": (deliver, "settle_all", "after", "sent", "sent", 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_mail_is_handed_over_at_most_once_wherever_the_worker_ends(
    due, simulator, monkeypatch, line
):
    module, name, when, left, end, handed, attempt = LINES[line]
    with killed(monkeypatch, module, name, when=when):
        drain()
    assert list(Message.objects.values_list("state", flat=True)) == [left] * bool(left)
    assert Timer.objects.count() == (left is None)
    restart()
    mail = the_mail()
    assert (mail.state, mail.attempt) == (end, attempt)
    assert handed_over(simulator) == handed
    assert Journey.objects.get().state == "finished"
    assert not Attempt.objects.filter(state="open").exists()
    if end == "unknown":
        assert (mail.reason, claim(limit=8)) == ("no_answer", [])
        reported(simulator)
        assert the_mail().state == ("sent" if handed else "unknown")
        attempts = list(Attempt.objects.values_list("state", flat=True))
        assert attempts == ["accepted" if handed else "ambiguous"]


def test_of_eight_mails_posted_at_once_none_is_posted_again_after_a_crash(
    world, simulator, monkeypatch
):
    world.rule("news", "Viewed")
    for number in range(8):
        world.known(f"u{number}")
        world.does(f"u{number}", "Viewed")
    monkeypatch.setattr(deliver, "SETTLED_AT_ONCE", 1)
    with killed(monkeypatch, deliver, "settle_all", when="before", ordinal=3):
        drain()
    # A killed process would have no threads left; here the POSTs under way end.
    deliver._pool().shutdown()
    deliver._pools.clear()
    restart()
    assert handed_over(simulator) == 8
    assert Counter(Message.objects.values_list("state", flat=True)) == {
        "sent": 2,
        "unknown": 6,
    }
    reported(simulator)
    assert set(Message.objects.values_list("state", flat=True)) == {"sent"}


def test_the_first_mails_leave_while_the_others_are_rendered(
    world, simulator, settings
):
    world.rule("news", "Viewed")
    for n in range(settings.CLUSTER_THREADS):
        world.known(f"p{n}")
        world.does(f"p{n}", "Viewed")
    advancing.advance_due()
    flight = deliver.Flight()
    first = flight.send_due()
    waiting = Message.objects.filter(state="queued").count()
    flight.land()
    while flight.send_due() or flight.wait(0.1):
        pass
    part = settings.CLUSTER_THREADS // deliver.FIRST_PART
    assert 0 < part < settings.CLUSTER_THREADS
    assert (first, waiting) == (part, settings.CLUSTER_THREADS - part)
    assert handed_over(simulator) == settings.CLUSTER_THREADS


def test_evidence_that_comes_before_the_lease_ends_is_used_by_the_rescue(
    due, simulator, monkeypatch
):
    with killed(monkeypatch, deliver, "settle_all", when="before"):
        drain()
    reported(simulator)
    mail = the_mail()
    assert mail.state == "sending"
    assert mail.evidence_at is not None
    restart()
    assert the_mail().state == "sent"
    assert Attempt.objects.get().state == "accepted"
    assert Journey.objects.get().state == "finished"


def test_nothing_gives_back_a_mail_that_has_evidence(due, simulator, monkeypatch):
    """SendGrid reported it, then something on the way said 429."""
    with killed(monkeypatch, deliver, "settle_all", when="before"):
        drain()
    reported(simulator)
    mail = the_mail()
    refused = Refused(Refusal.RATE_LIMITED, "slower", 429, timedelta(seconds=1))
    settle.settle(mail.customer_id, mail.pk, mail.token, refused)
    assert the_mail().state == "sent"


def test_a_mail_that_was_refused_and_then_reported_as_taken_is_not_sent_again(
    due, simulator, monkeypatch
):
    with killed(monkeypatch, deliver, "settle_all", when="before"):
        drain()
    mail = the_mail()
    refused = Refused(Refusal.RATE_LIMITED, "slower", 429, timedelta(seconds=1))
    settle.settle(mail.customer_id, mail.pk, mail.token, refused)
    assert the_mail().state == "queued"
    reported(simulator)
    Provider.objects.update(paused_until=None)
    restart()
    assert handed_over(simulator) == 1
    mail = the_mail()
    assert (mail.state, mail.reason) == ("skipped", "delivered_already")
    assert Journey.objects.get().state == "finished"


def test_an_event_whose_worker_ends_before_the_commit_is_not_there(world, monkeypatch):
    world.rule("news", "Viewed")
    world.known("ann")
    event = world.event(name="Viewed", user_id="ann", message_id="once")
    for name in ("_fold", "_columns", "_write_counts"):
        with killed(monkeypatch, ingesting, name, when="after"):
            world.post(event)
    with killed(monkeypatch, transaction, "changes", when="after"):
        world.post(event)
    assert not Event.objects.filter(message_id="once").exists()
    assert not Journey.objects.exists()
    # The client had no answer and comes again.
    assert world.post(event).accepted == 1
    assert world.post(event).duplicates == 1
    drain()
    assert [m[3] for m in world.mails()] == ["sent"]


def test_what_record_acknowledged_is_committed_durably(world):
    world.does("ann", "Viewed")
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
        other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM campaigns_event")
            assert cursor.fetchone() == (1,)
    finally:
        other.close()


# --- A mail that kills whoever touches it -----------------------------------------
def test_a_poisonous_mail_harms_none_of_its_neighbours(world, simulator, monkeypatch):
    world.rule("news", "Viewed")
    for number in range(16):
        world.known(f"u{number}")
        world.does(f"u{number}", "Viewed")
    compose = prepare.compose

    def kills(parts):
        if parts.to_email == "u5@example.com":
            raise Crash
        return compose(parts)

    monkeypatch.setattr(prepare, "compose", kills)
    crashes = 0
    while anything_due():
        try:
            drain()
        except Crash:
            crashes += 1
            assert crashes <= 5
            let_leases_end()
    assert crashes == 5
    assert handed_over(simulator) == 15
    reported(simulator)  # of what was under way when the worker ended
    ends = Counter(Message.objects.values_list("state", "reason"))
    assert ends == {("sent", ""): 15, ("failed", "too_many_attempts"): 1}
    # Neighbours suffered at most the two attempts before it was left alone.
    sent = Message.objects.filter(state="sent").values_list("attempt", flat=True)
    assert max(sent) <= 3
    assert Journey.objects.exclude(state="finished").count() == 0


def test_a_mail_claimed_five_times_in_vain_is_given_up_and_its_journey_goes_on(world):
    world.rule("news", "Viewed", steps=[step(), step(delay=lasts(1, "days"))])
    world.known("ann")
    world.does("ann", "Viewed")
    draining.advance_due()
    for attempt in range(1, 6):
        assert [c.id for c in claim(limit=8)] == [the_mail().pk]
        assert the_mail().attempt == attempt
        let_leases_end()
        assert settle.rescue() == 1
    mail = the_mail()
    assert (mail.state, mail.reason) == ("failed", "too_many_attempts")
    assert mail.detail == {"attempts": 5}
    assert not Attempt.objects.exists()
    assert Journey.objects.get().step == 1
    assert Timer.objects.count() == 1


# --- What the provider answers (invariant 4) ---------------------------------------
ANSWERS = {
    # fault: (state, reason, attempt counted, handed over, attempt's end)
    "429": ({"kind": "status", "status": 429, "retry_after": 7}, "queued", "", 0, 0, "refused"),
    "401": ({"kind": "status", "status": 401}, "queued", "", 0, 0, "refused"),
    "403": ({"kind": "status", "status": 403}, "queued", "", 0, 0, "refused"),
    "400": ({"kind": "status", "status": 400}, "failed", "invalid", 1, 0, "refused"),
    "413": ({"kind": "status", "status": 413}, "failed", "invalid", 1, 0, "refused"),
    "500": ({"kind": "status", "status": 500}, "unknown", "no_answer", 1, 0, "ambiguous"),
    "503": ({"kind": "status", "status": 503}, "unknown", "no_answer", 1, 0, "ambiguous"),
    "500 but taken": (
        {"kind": "status", "status": 500, "after_accept": True},
        "unknown", "no_answer", 1, 1, "ambiguous",
    ),
    "teapot": ({"kind": "status", "status": 418}, "unknown", "no_answer", 1, 0, "ambiguous"),
    "nonsense": ({"kind": "nonsense"}, "unknown", "no_answer", 1, 1, "ambiguous"),
    "dropped before": ({"kind": "drop_before_accept"}, "unknown", "no_answer", 1, 0, "ambiguous"),
    "dropped after": ({"kind": "drop_after_accept"}, "unknown", "no_answer", 1, 1, "ambiguous"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_only_what_was_surely_not_taken_comes_again(due, simulator, name):
    fault, state, reason, attempt, handed, ended = ANSWERS[name]
    simulator.faults(fault | {"times": 1})
    drain()
    mail = the_mail()
    tried = list(Attempt.objects.values_list("state", "status", "detail"))
    found = (mail.state, mail.reason, mail.attempt)
    assert found == (state, reason, attempt), (mail.detail, tried)
    assert handed_over(simulator) == handed
    assert [a[0] for a in tried] == [ended]
    Provider.objects.update(paused_until=None)
    restart()
    again = state == "queued"
    assert the_mail().state == ("sent" if again else state)
    assert handed_over(simulator) == handed + again
    assert Journey.objects.get().state == "finished"
    if handed and state == "unknown":
        reported(simulator)
        assert the_mail().state == "sent"


def test_an_answer_that_does_not_come_in_time_is_unknown(due, simulator, settings):
    settings.POST_DEADLINE_S = 1
    simulator.faults({"kind": "delay", "delay_ms": 1500, "times": 1})
    drain()
    assert (the_mail().state, the_mail().reason) == ("unknown", "no_answer")
    restart()
    assert the_mail().state == "unknown"
    assert handed_over(simulator) <= 1


def test_a_provider_that_cannot_be_reached_gets_the_mail_later(
    due, simulator, settings
):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.SENDGRID_HOST = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        before = clock.now()
        drain()
    mail = the_mail()
    assert (mail.state, mail.attempt) == ("queued", 1)
    assert mail.detail["refusal"] == "not_reached"
    assert mail.not_before >= before + timedelta(seconds=5)
    assert Provider.objects.get().failures == 1
    settings.SENDGRID_HOST = simulator.url
    let_backoff_end()
    drain()
    assert (the_mail().state, the_mail().attempt) == ("sent", 2)
    assert Provider.objects.get().failures == 0


def test_a_mail_that_never_reaches_its_provider_fails_after_five_attempts(
    due, settings
):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.SENDGRID_HOST = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for _ in range(5):
            drain()
            let_backoff_end()
    assert (the_mail().state, the_mail().reason) == ("failed", "not_reached")
    assert Attempt.objects.filter(state="refused").count() == 5
    assert Journey.objects.get().state == "finished"


@pytest.mark.parametrize(
    ("fault", "pause"),
    [
        ({"status": 429, "retry_after": 7}, timedelta(seconds=7)),
        ({"status": 401}, timedelta(minutes=5)),
        ({"status": 403}, timedelta(minutes=5)),
    ],
    ids=["429", "401", "403"],
)
def test_a_provider_that_asks_for_a_pause_is_asked_for_nothing_more(
    world, simulator, fault, pause
):
    world.rule("news", "Viewed")
    for user in ("ann", "bob"):
        world.known(user)
    world.does("ann", "Viewed")
    simulator.faults({"kind": "status", "times": 1} | fault)
    before = clock.now()
    drain()
    provider = Provider.objects.get()
    assert before + pause <= provider.paused_until <= clock.now() + pause
    assert str(fault["status"]) in provider.pause_reason
    let_backoff_end()
    world.does("bob", "Viewed")
    drain()
    assert Counter(Message.objects.values_list("state", "attempt")) == {
        ("queued", 0): 2
    }
    assert not anything_due()
    assert Attempt.objects.count() == 1


def test_a_mail_that_waited_for_its_turn_too_long_is_not_tried_and_loses_nothing(
    world, simulator, monkeypatch
):
    world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Viewed")
    Provider.objects.update(failures=3)
    with monkeypatch.context() as stalled:
        stalled.setattr(deliver, "FROZEN_S", -1.0)
        for _ in range(2 * MAX_ATTEMPTS):
            drain()
            let_backoff_end()
    mail = Message.objects.get()
    assert (mail.state, mail.attempt) == ("queued", 0)
    assert mail.detail["refusal"] == "not_tried"
    assert Provider.objects.get().failures == 3
    drain()
    mail.refresh_from_db()
    assert mail.state == "sent"
    assert handed_over(simulator) == 1


def break_provider(world, simulator, people):
    world.rule("news", "Viewed")
    simulator.faults({"kind": "status", "status": 500})
    for number in range(people):
        world.known(f"u{number}")
        world.does(f"u{number}", "Viewed")
        drain()


def let_breaker_half_open():
    Provider.objects.update(open_until=clock.now())


def test_the_breaker_opens_after_five_failures_and_then_nothing_is_claimed(
    world, simulator
):
    break_provider(world, simulator, 4)
    assert Provider.objects.get().open_until is None
    break_five = ("u4", "u5", "u6")
    for user in break_five:
        world.known(user)
        world.does(user, "Viewed")
        drain()
    provider = Provider.objects.get()
    assert provider.failures == 5
    assert provider.open_until > clock.now() + timedelta(seconds=25)
    assert Counter(Message.objects.values_list("state", "attempt")) == {
        ("unknown", 1): 5,
        ("queued", 0): 2,
    }
    assert not anything_due()


def test_a_half_open_breaker_lets_one_through(world, simulator):
    break_provider(world, simulator, 5)
    for user in ("ann", "bob", "cid"):
        world.known(user)
        world.does(user, "Viewed")
    draining.advance_due()
    let_breaker_half_open()
    probe = claim(limit=8)
    assert len(probe) == 1
    deliver.send(probe)  # fails like the others: open again
    assert Provider.objects.get().open_until > clock.now()
    assert claim(limit=8) == []
    simulator.faults()
    let_breaker_half_open()
    probe = claim(limit=8)
    assert len(probe) == 1
    deliver.send(probe)
    provider = Provider.objects.get()
    assert (provider.failures, provider.open_until) == (0, None)
    assert len(claim(limit=8)) == 1


def test_what_failed_for_good_does_not_count_for_the_cap(world, simulator):
    """It never reached anybody, so it must not cost the next mail."""
    Company.objects.update(cap_messages=1, cap_days=1)
    world.rule("news", "Viewed")
    world.known("ann")
    simulator.faults({"kind": "status", "status": 400, "times": 1})
    for _ in range(2):
        world.does("ann", "Viewed")
        drain()
    assert [m[3:] for m in world.mails()] == [("failed", "invalid"), ("sent", "")]


def test_what_is_unknown_counts_for_the_cap(world, simulator):
    Company.objects.update(cap_messages=1, cap_days=1)
    world.rule("news", "Viewed")
    world.known("ann")
    simulator.faults({"kind": "drop_after_accept", "times": 1})
    for _ in range(2):
        world.does("ann", "Viewed")
        drain()
    assert [m[3:] for m in world.mails()] == [
        ("unknown", "no_answer"),
        ("skipped", "frequency_cap"),
    ]


class Answering(BaseHTTPRequestHandler):
    """A provider that accepts all, one of them with an id that no text may hold."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        odd = b"u3@example.com" in body
        made = "a\x00b" if odd else f"id-{len(body)}"
        self.wfile.write(
            f"HTTP/1.1 202 Accepted\r\nX-Message-Id: {made}\r\n"
            "Content-Length: 0\r\n\r\n".encode("latin-1")
        )

    def log_message(self, *_args):
        pass


@pytest.fixture
def odd_provider(settings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}
    )
    thread.start()
    settings.SENDGRID_HOST = f"http://127.0.0.1:{server.server_port}"
    yield
    provider_for("sendgrid", api_key="", host=settings.SENDGRID_HOST).close()
    server.shutdown()
    thread.join()
    server.server_close()


def eight_due(world):
    world.rule("news", "Viewed")
    for number in range(8):
        world.known(f"u{number}")
        world.does(f"u{number}", "Viewed")


def test_an_id_that_no_text_may_hold_harms_nothing(world, odd_provider):
    eight_due(world)
    drain()
    assert set(Message.objects.values_list("state", flat=True)) == {"sent"}


def test_an_answer_that_cannot_be_written_leaves_the_others_settled(
    world, simulator, monkeypatch
):
    eight_due(world)
    apply_answer = settle.apply_answer

    def fails(state, *rest, **named):
        if state.person.id == world.customer("u3").pk:
            raise RuntimeError("a fault of ours")
        return apply_answer(state, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(settle, "apply_answer", fails)
        drain()
    ends = Counter(Message.objects.values_list("state", flat=True))
    assert ends == {"sent": 7, "sending": 1}
    restart()
    ends = Counter(Message.objects.values_list("state", flat=True))
    assert ends == {"sent": 7, "unknown": 1}
    assert handed_over(simulator) == 8


def test_a_journey_that_cannot_be_advanced_is_put_off_and_stops_no_other(
    world, monkeypatch
):
    eight_due(world)
    advance = advancing.advance
    guilty = Journey.objects.get(customer=world.customer("u3")).pk

    def fails(journey, *rest, **named):
        if journey.id == guilty:
            raise RuntimeError("a fault of ours")
        return advance(journey, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(advancing, "advance", fails)
        drain()
    assert list(Message.objects.values_list("state", flat=True)) == ["sent"] * 7
    timer = Timer.objects.get()
    assert timer.pk == guilty
    assert timer.due_at > clock.now() + timedelta(minutes=4)
    assert not anything_due()
    Timer.objects.update(due_at=clock.now())  # its time comes, the fault is mended
    drain()
    assert list(Message.objects.values_list("state", flat=True)) == ["sent"] * 8


# --- What is wrong with one thing stops no other -----------------------------------


def test_a_customer_deleted_by_hand_stops_nobody_else_s_mail(world):
    """The mails of those who are gone are ended, wherever they were."""
    world.rule("news", "Viewed")
    for user in ("ann", "bea", "bob"):
        world.known(user)
        world.does(user, "Viewed")
    advancing.advance_due()
    gone = Customer.objects.filter(user_id__in=["ann", "bea"])
    ids = list(gone.values_list("pk", flat=True))
    ann, bea = Message.objects.filter(customer__in=ids).order_by("pk")
    claims = [c for c in claim(limit=9) if c.id == bea.pk]
    assert len(gate.begin(claims, prepare.prepare(claims))) == 1  # under way
    kept = Message.objects.exclude(pk__in=[ann.pk, bea.pk])
    gone.delete()
    let_leases_end()
    drain()
    let_leases_end()
    drain()
    ann.refresh_from_db()
    bea.refresh_from_db()
    assert (ann.state, ann.reason) == ("cancelled", "customer_gone")
    assert (bea.state, bea.reason) == ("unknown", "no_answer")
    assert Attempt.objects.get(message=bea).state == "ambiguous"
    assert kept.get().state == "sent"
    ended = Journey.objects.filter(customer__in=ids, ended_at__isnull=False)
    assert list(ended.values_list("state", flat=True)) == ["cancelled"] * 2
    empty_database()  # whose sums would tell of those who are gone


def test_a_provider_that_is_set_up_wrong_is_waited_for_and_stops_no_other(
    due, simulator, caplog
):
    """By hand in the database: the admin offers the kinds that there are."""
    world, usual = due, Provider.objects.get()
    other = Provider.objects.create(
        name="backup", kind="smtp", rate_per_s=1e6, burst=10**6, tokens=10**6
    )
    advancing.advance_due()
    Message.objects.update(provider=other)
    world.known("bob")
    world.does("bob", "Viewed")
    for _ in range(7):
        drain()
        Message.objects.filter(state="queued").update(not_before=clock.now())
    stuck = Message.objects.get(provider=other)
    assert (stuck.state, stuck.attempt) == ("queued", 0)
    assert Message.objects.get(provider=usual).state == "sent"
    assert "there is no provider of the kind 'smtp'" in caplog.text
    Provider.objects.filter(pk=other.pk).update(kind="sendgrid")
    drain()
    stuck.refresh_from_db()
    assert stuck.state == "sent"


@pytest.mark.parametrize("where", ["preparing", "gate", "for good"])
def test_outages_behind_the_claim_use_up_no_attempts(due, monkeypatch, where):
    """Said by what runs then; where the claims cannot be given back, their leases end."""

    def is_full(*_arguments, **_options):
        raise OperationalError("could not extend file: No space left on device")

    def is_closed(*_arguments, **_options):
        raise InterfaceError("connection already closed")

    with monkeypatch.context() as patched:
        module, name = (
            (prepare, "owners_of") if where == "preparing" else (gate, "_lock")
        )
        patched.setattr(module, name, is_full)
        if where == "for good":
            patched.setattr(deliver, "give_back", is_closed)
        for _ in range(1 if where == "for good" else MAX_ATTEMPTS + 2):
            with pytest.raises((database.DatabaseAway, OperationalError)):
                drain()
    if where == "for good":
        assert the_mail().state == "claimed"
        let_leases_end()
        drain()
        return
    assert (the_mail().state, the_mail().attempt) == ("queued", 0)
    drain()
    assert the_mail().state == "sent"
