"""What /metrics shows, to whom, and that it agrees with the rows."""

import http.client
import ipaddress
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from campaigns.deciding import clock
from campaigns.domain.answers import Ambiguous, Refusal, Refused
from campaigns.domain.events import RejectedInput
from campaigns.feedback import apply as applying
from campaigns.feedback.apply import drain
from campaigns.ingest.record import record
from campaigns.journeys.advance import advance_due
from campaigns.models import ClusterBeat, Message, Provider, WebhookBatch
from campaigns.sending.claim import claim
from campaigns.sending.deliver import send
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle
from campaigns.watching import page, server
from demo.sendgrid_simulator import Simulator
from tests.db.webhooks import an_endpoint
from tests.db.world import Clock, World, at, lasts, step

pytestmark = pytest.mark.django_db

TOKEN = "a-token-of-the-operators"


@pytest.fixture
def still():
    made = Clock()
    with clock.use(made):
        yield made


@pytest.fixture
def world(still):
    return World(still)


def samples(text=None):
    """Return all samples by (name, labels as text)."""
    text = page.text() if text is None else text
    return {
        (s.name, " ".join(f"{k}={v}" for k, v in sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


def value(name, labels=""):
    return samples().get((f"emailtriggers_{name}", labels), 0.0)


class Grown:
    """By how much a counter grew since it was made."""

    def __init__(self, name, labels=""):
        self.what = name, labels
        self.before = value(name, labels)

    def __call__(self):
        return value(*self.what) - self.before


# --- Who may read it ---------------------------------------------------------
def ask(**headers):
    return Client().get("/metrics", **headers)


def test_without_settings_there_is_nothing():
    assert ask().status_code == 404
    assert ask(HTTP_AUTHORIZATION="Bearer ").status_code == 404


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        ("Bearer wrong", 403),
        (f"Basic {TOKEN}", 403),
        ("Bearer ", 403),
        ("", 403),
        ("Bearer ü", 403),
    ],
    ids=["token", "lower", "wrong", "basic", "empty", "none", "no-ascii"],
)
def test_the_token_opens_it(given, status, settings):
    settings.METRICS_TOKEN = TOKEN
    assert ask(HTTP_AUTHORIZATION=given).status_code == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("10.1.2.3", 200),
        ("11.1.2.3", 403),
        ("::ffff:10.1.2.3", 200),
        ("::1", 200),
        ("", 403),
    ],
    ids=["inside", "outside", "mapped", "six", "unknown"],
)
def test_a_network_opens_it(address, status, settings):
    settings.METRICS_NETWORKS = (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("::1"),
    )
    assert ask(REMOTE_ADDR=address).status_code == status


@pytest.mark.parametrize("proxies", [0, 1])
@pytest.mark.parametrize(
    ("address", "claimed"),
    [("203.0.113.9", "10.0.0.1"), ("10.0.0.2", "203.0.113.9"), ("10.0.0.2", "")],
    ids=["past the proxy", "through the proxy", "empty"],
)
def test_no_network_opens_it_through_a_proxy_be_it_claimed(
    address, claimed, proxies, settings
):
    """Who reaches the port can claim any address; a proxy's own is one of ours."""
    settings.METRICS_NETWORKS = (ipaddress.ip_network("10.0.0.0/8"),)
    settings.METRICS_TOKEN = TOKEN
    settings.TRUSTED_PROXIES = proxies
    came = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": claimed}
    assert ask(**came).status_code == 403
    came["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    assert ask(**came).status_code == 200


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "host1.internal:8000"])
def test_prometheus_may_ask_by_the_name_that_it_knows(host, settings):
    settings.METRICS_TOKEN = TOKEN
    token = f"Bearer {TOKEN}"
    assert ask(HTTP_HOST=host, HTTP_AUTHORIZATION=token).status_code == 200
    assert ask(HTTP_HOST=host, HTTP_AUTHORIZATION="Bearer wrong").status_code == 403


def test_only_reading_is_possible(settings):
    settings.METRICS_TOKEN = TOKEN
    assert Client().post("/metrics").status_code == 405


# --- What is counted ---------------------------------------------------------
def test_events_are_counted_by_what_became_of_them(world):
    grown = {
        outcome: Grown("events_total", f"kind=segment outcome={outcome}")
        for outcome in ("accepted", "duplicate", "rejected")
    }
    decided = Grown("event_decision_seconds_count", "kind=segment")
    took = Grown("transaction_seconds_count", "stage=ingest")
    events = [world.event(name="Seen", user_id=f"u{n}") for n in range(3)]
    record(events, source=world.secret)
    bad = RejectedInput(code="bad", detail="no")
    record(events[:2], source=world.secret, rejected=[bad])
    assert {k: g() for k, g in grown.items()} == {
        "accepted": 3,
        "duplicate": 2,
        "rejected": 1,
    }
    assert (decided(), took()) == (1, 2)


def test_a_mail_is_counted_from_its_event_to_the_answer(world, still):
    moves = {
        state: Grown("message_moves_total", f"reason= state={state}")
        for state in ("queued", "sending", "sent")
    }
    late = Grown("mail_lateness_seconds_sum", "lane=marketing")
    answered = Grown("trigger_response_seconds_sum", "lane=marketing")
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    still.time += timedelta(seconds=3)
    world.work()
    assert {k: g() for k, g in moves.items()} == {"queued": 1, "sending": 1, "sent": 1}
    assert (late(), answered()) == (3, 3)


def test_a_mail_that_was_to_wait_is_no_answer_to_its_event(world, still):
    late = Grown("mail_lateness_seconds_sum", "lane=marketing")
    answered = Grown("trigger_response_seconds_count", "lane=marketing")
    advanced = Grown("timer_lateness_seconds_sum", "lane=marketing")
    world.rule("welcome", "Signed Up", steps=[step(delay=lasts(60))])
    world.known("ann")
    world.does("ann", "Signed Up")
    still.time += timedelta(seconds=3605)
    world.work()
    assert (late(), answered(), advanced()) == (5, 0, 5)


def test_what_is_skipped_says_why(world):
    skipped = Grown("message_moves_total", "reason=no_address state=skipped")
    world.rule("welcome", "Signed Up")
    world.identify("ann")
    world.does("ann", "Signed Up")
    world.work()
    assert skipped() == 1


def test_calls_to_the_provider_are_counted_by_their_answer(world, settings):
    simulator = Simulator().start()
    try:
        settings.SENDGRID_HOST = simulator.url
        simulator.faults({"kind": "status", "status": 400, "times": 1})
        world.rule("welcome", "Signed Up")
        for user in ("ann", "bob"):
            world.known(user)
            world.does(user, "Signed Up")
        advance_due()
        key = f"provider={world.provider.pk}"
        calls = Grown("provider_call_seconds_count", key)
        for each in claim(limit=8):
            send([each])
    finally:
        simulator.stop()
    answers = {
        labels.partition(" ")[0]: n
        for (name, labels), n in samples().items()
        if name == "emailtriggers_provider_answers_total" and labels.endswith(key)
    }
    assert answers == {"answer=refused_invalid": 1, "answer=accepted": 1}
    assert calls() == 2


def test_webhooks_are_counted_when_they_are_applied(still):
    applied = Grown("webhook_lag_seconds_sum")
    WebhookBatch.objects.create(
        endpoint=an_endpoint(),
        received_at=still.time - timedelta(seconds=40),
        pending_at=still.time,
        body=b"[]",
    )
    shown = samples()
    assert shown["emailtriggers_webhooks_pending", ""] == 1
    assert shown["emailtriggers_webhooks_pending_age_seconds", ""] == 40
    assert shown["emailtriggers_webhooks_last_age_seconds", ""] == 40
    drain()
    assert applied() == 40
    assert value("webhooks_pending") == 0


def test_a_webhook_that_is_given_up_is_counted_once(still, monkeypatch):
    given_up = Grown("webhooks_given_up_total")
    WebhookBatch.objects.create(
        endpoint=an_endpoint(),
        received_at=still.time,
        pending_at=still.time,
        body=b"[]",
    )
    monkeypatch.setattr(applying, "read_batch", lambda body: 1 / 0)
    for _ in range(8):
        drain()
        still.time += timedelta(hours=1)
    assert given_up() == 1
    assert value("webhooks_pending") == 0


# --- What the rows say -------------------------------------------------------
def test_waiting_and_overdue_timers_are_shown_by_lane(world, still):
    world.rule("slow", "Signed Up", steps=[step(delay=lasts(10))])
    world.rule("fast", "Signed Up", kind="transactional", steps=[step(delay=lasts(30))])
    world.known("ann")
    world.does("ann", "Signed Up")
    still.time = at("09:12")
    shown = samples()
    for name, marketing, transactional in (
        ("timers", 1, 1),
        ("timers_overdue", 1, 0),
        ("timers_overdue_age_seconds", 120, 0),
    ):
        assert shown[f"emailtriggers_{name}", "lane=marketing"] == marketing
        assert shown[f"emailtriggers_{name}", "lane=transactional"] == transactional


def test_unknown_and_held_mails_are_shown_with_their_age(world, still):
    broken = world.template(html="<p>{{ event.missing }}</p>")
    world.rule("mended", "Broke", steps=[step(variants=[{"template_version": broken}])])
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Broke")
    world.work()
    world.does("ann", "Signed Up")
    advance_due()
    assert value("messages_queued", "lane=marketing") == 1
    claims = claim(limit=1)
    assert value("messages", "state=in_hand") == 1
    (sent,) = begin(claims, prepare(claims))
    settle(sent.customer, sent.mail, sent.token, Ambiguous("cut off"))
    still.time += timedelta(hours=2)
    shown = samples()
    assert shown["emailtriggers_messages", "state=unknown"] == 1
    assert shown["emailtriggers_messages", "state=held"] == 1
    assert shown["emailtriggers_messages", "state=in_hand"] == 0
    assert shown["emailtriggers_messages_unknown_age_seconds", ""] == 7200


def test_a_queue_that_nobody_works_off_ages(world, still):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    still.time += timedelta(seconds=90)
    assert value("messages_queued_age_seconds", "lane=marketing") == 90


def test_a_provider_shows_pause_breaker_and_bucket(world, still):
    key = f"provider={world.provider.pk}"
    assert value("provider_breaker_open", key) == 0
    Provider.objects.filter(pk=world.provider.pk).update(
        paused_until=still.time + timedelta(seconds=30),
        open_until=still.time + timedelta(seconds=10),
        tokens=1,
        tokens_at=still.time - timedelta(seconds=2),
        rate_per_s=5,
        burst=100,
    )
    assert value("provider_paused_seconds", key) == 30
    assert value("provider_breaker_open", key) == 1
    assert value("provider_tokens", key) == 11
    still.time += timedelta(seconds=15)
    assert value("provider_breaker_open", key) == 0.5


def test_a_refusal_for_the_rate_pauses_the_provider(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up")
    advance_due()
    claims = claim(limit=1)
    (sent,) = begin(claims, prepare(claims))
    answer = Refused(Refusal.RATE_LIMITED, "slower", 429)
    settle(sent.customer, sent.mail, sent.token, answer)
    assert value("provider_paused_seconds", f"provider={world.provider.pk}") == 2


def test_clusters_show_their_canary_and_restarts():
    ClusterBeat.objects.create(name="mail@a", restarts=3)
    ClusterBeat.objects.create(name="mail@b", sent_n=2)
    ClusterBeat.came_back("mail@b", 1)
    shown = samples()
    name = "emailtriggers_canary_age_seconds"
    assert (name, "cluster=mail host=a") not in shown
    assert 0 <= shown[name, "cluster=mail host=b"] < 60
    restarts = "emailtriggers_cluster_restarts_total"
    assert shown[restarts, "cluster=mail host=a"] == 3
    ready = "emailtriggers_cluster_ready"
    assert shown[ready, "cluster=mail"] == 1
    assert shown[ready, "cluster=feedback"] == 0


def test_a_host_that_stopped_in_good_order_is_seen_to_stay_away(settings):
    name = "emailtriggers_canary_age_seconds"
    stopped, starting = "cluster=mail host=stopped", "cluster=mail host=starting"
    row = ClusterBeat.objects.create(name="mail@stopped", sent_at=clock.now())
    ClusterBeat.objects.create(name="mail@starting", sent_at=clock.now())
    assert (name, stopped) not in samples()
    away = timedelta(seconds=settings.CLUSTER_STALE_S + 60)
    ClusterBeat.objects.filter(pk=row.pk).update(sent_at=clock.now() - away)
    shown = samples()
    assert away.total_seconds() <= shown[name, stopped] < away.total_seconds() + 60
    # That a canary was sent does not say that it came back.
    assert (name, starting) not in shown


# --- Trouble ----------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_without_a_database_it_says_so_and_shows_what_was_counted():
    at_now = connection.settings_dict
    usual = at_now["HOST"]
    connection.close()
    at_now["HOST"] = "/nowhere"
    try:
        shown = samples()
    finally:
        connection.close()
        at_now["HOST"] = usual
    assert shown["emailtriggers_database_up", ""] == 0
    assert ("emailtriggers_timers", "lane=marketing") not in shown
    assert ("emailtriggers_webhook_lag_seconds_count", "") in shown


# --- A host without a web process --------------------------------------------
def test_a_host_with_clusters_only_serves_its_own_counts(settings):
    settings.METRICS_TOKEN = TOKEN
    serving = server.serve("127.0.0.1", 0)
    try:
        port = serving.server_address[1]

        def get(path, token, **more):
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            sent = {"Authorization": f"Bearer {token}", **more}
            asked.request("GET", path, headers=sent)
            answer = asked.getresponse()
            read = answer.status, answer.read()
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            asked.close()
            return read

        status, text = get("/metrics", TOKEN)
        assert get("/metrics", "wrong")[0] == 403
        assert get("/", TOKEN)[0] == 404
        settings.METRICS_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"),)
        assert get("/metrics", "wrong")[0] == 200
        through = {"X-Forwarded-For": "127.0.0.1"}
        assert get("/metrics", "wrong", **through)[0] == 403
    finally:
        serving.shutdown()
        serving.server_close()
    assert status == 200
    assert ("emailtriggers_webhook_lag_seconds_count", "") in samples(text)
    assert b"emailtriggers_timers{" not in text


def test_no_label_holds_what_people_sent(world):
    world.rule("welcome", "Signed Up")
    world.known("ann")
    world.does("ann", "Signed Up", properties={"plan": "gold"})
    world.work()
    text = page.text().decode()
    for said in ("ann", "example.com", "gold", "Signed Up", "welcome", "backend"):
        assert said not in text
    assert Message.objects.get().state == "sent"
