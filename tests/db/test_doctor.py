"""Every finding of the doctor: brought about, found, and gone when it is mended."""

import socket
from base64 import b64encode
from collections import namedtuple
from datetime import timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import call_command
from django.db import OperationalError, connection

from campaigns.deciding import address_key, clock
from campaigns.ingest import partitions
from campaigns.models import (
    ClusterBeat,
    IngestState,
    Message,
    Provider,
    Sender,
    Suppression,
    WebhookBatch,
    WebhookEndpoint,
)
from campaigns.providers.sendgrid import scopes
from campaigns.watching import (
    doctor,
    doctor_database,
    doctor_host,
    doctor_pooler,
    doctor_work,
)
from campaigns.watching.findings import Level
from demo.sendgrid_simulator import Simulator
from tests.db.mail_rows import a_customer, a_mail
from tests.db.webhooks import PUBLIC, an_endpoint
from tests.db.world import Clock, World

pytestmark = pytest.mark.django_db
GOOD, WARNING, ERROR = Level


def levels(check):
    """Return (level, part) of what a check finds; each that is bad says what to do."""
    found = list(check())
    assert all(bool(f.mend) is (f.level is not GOOD) for f in found)
    assert all(f.says.endswith((".", "?")) for f in found)
    return [(f.level, f.part) for f in found]


def worst(check):
    return max(level for level, _ in levels(check))


def sql(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def live(settings):
    """As in production, with a real key."""
    settings.SIMULATED = False
    settings.SENDGRID_API_KEY = "SG.real"
    settings.PUBLIC_URL = "https://mail.acorn.shop"
    return settings


# --- The host ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("http://mail.acorn.shop", ERROR),
        ("https://localhost:8000", ERROR),
        ("https://10.1.2.3", ERROR),
        ("https://mailserver", ERROR),
        ("https://mail.corp.internal", ERROR),
        ("https://mail.acorn.shop", GOOD),
    ],
    ids=["http", "localhost", "private", "short", "internal", "good"],
)
def test_an_address_that_receivers_cannot_open_is_found(url, level, live, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [("8.8.8.8",)])
    live.PUBLIC_URL = url
    assert worst(doctor_host.public_url) == level


def test_in_a_demo_a_local_address_is_a_warning(settings):
    settings.PUBLIC_URL = "http://localhost:8000"
    assert worst(doctor_host.public_url) == WARNING


def test_a_name_that_the_dns_does_not_know_is_found(live, monkeypatch):
    def nowhere(*_):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    assert worst(doctor_host.public_url) == ERROR


@pytest.mark.parametrize(
    ("free", "level"),
    [(2**40, GOOD), (2**29, WARNING), (2**36, WARNING)],
    ids=["room", "bytes", "share"],
)
def test_a_full_disk_is_found(free, level, monkeypatch, tmp_path, settings):
    settings.VAR_DIR = tmp_path / "not" / "made"
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        doctor_host.shutil, "disk_usage", lambda _: usage(2**41, 0, free)
    )
    assert worst(doctor_host.disk) == level


def test_a_cache_that_is_away_is_found(settings):
    assert worst(doctor_host.cache) == GOOD
    backend = "django.core.cache.backends."
    settings.CACHES = {
        **settings.CACHES,
        "shared": {"BACKEND": f"{backend}redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
    }  # fmt: skip
    assert worst(doctor_host.cache) == WARNING
    settings.CACHES = {
        **settings.CACHES,
        "shared": {"BACKEND": f"{backend}locmem.LocMemCache"},
    }
    assert worst(doctor_host.cache) == GOOD


def test_a_deployment_that_nobody_watches_is_found(live):
    assert worst(doctor_host.metrics) == WARNING
    live.METRICS_TOKEN = "guess"
    assert worst(doctor_host.metrics) == WARNING
    live.METRICS_TOKEN = "t" * 40
    assert worst(doctor_host.metrics) == GOOD
    live.METRICS_TOKEN, live.SIMULATED = "", True
    assert worst(doctor_host.metrics) == GOOD


# --- The database ------------------------------------------------------------
def test_a_database_that_may_forget_is_found(monkeypatch):
    answers = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
    monkeypatch.setattr(doctor_database, "setting", lambda name: answers[name])
    assert levels(doctor_database.durability) == [(GOOD, "durability")]
    answers["synchronous_commit"] = "off"
    assert worst(doctor_database.durability) == ERROR
    answers.update(fsync="off", full_page_writes="off")
    assert len(levels(doctor_database.durability)) == 3


def test_the_settings_of_this_very_connection_are_read():
    # The tests' server runs without fsync.
    assert (ERROR, "durability") in levels(doctor_database.durability)
    sql("SET LOCAL synchronous_commit = off")
    says = [f.says for f in doctor_database.durability()]
    assert any("synchronous_commit is off" in s for s in says)


def test_a_server_with_another_zone_is_found(monkeypatch):
    assert worst(doctor_database.time_zone) == GOOD
    monkeypatch.setattr(doctor_database, "_ask", lambda *_: ("Europe/Paris",))
    assert worst(doctor_database.time_zone) == WARNING


def test_too_few_connections_are_found(settings, monkeypatch):
    assert worst(doctor_database.connections) == GOOD
    settings.WEB_WORKERS, settings.WEB_THREADS = 64, 16
    assert worst(doctor_database.connections) == ERROR
    settings.WEB_WORKERS = settings.WEB_THREADS = 1
    monkeypatch.setattr(doctor_database, "setting", lambda _: "30")
    monkeypatch.setattr(doctor_database, "_ask", lambda *_: (29,))
    assert worst(doctor_database.connections) == WARNING


def test_a_pooler_between_is_found(monkeypatch, settings):
    assert worst(doctor_pooler.pooler) == GOOD
    settings.DATABASE_POOLED = True
    assert worst(doctor_pooler.pooler) == WARNING
    # Real ones are in tests/e2e/test_pooler.py; here no server is whose it says.
    monkeypatch.setattr(doctor_pooler, "server_of", lambda _: -1)
    assert worst(doctor_pooler.pooler) == GOOD
    settings.DATABASE_POOLED = False
    assert worst(doctor_pooler.pooler) == ERROR
    count = iter(range(10))
    monkeypatch.setattr(doctor_pooler, "server_of", lambda _: next(count))
    assert worst(doctor_pooler.pooler) == ERROR


def test_a_pooler_that_refuses_us_is_told_from_a_database_that_is_away(settings):
    said = "connection failed: FATAL:  unsupported startup parameter: options"
    refused = OperationalError(said)
    found = doctor_pooler.refused(refused)
    assert found is not None
    assert (found.level, found.part) == (ERROR, "pooler")
    assert doctor_pooler.refused(OperationalError("Connection refused")) is None
    settings.DATABASE_POOLED = True
    assert doctor_pooler.refused(refused) is None


@pytest.mark.parametrize(
    ("apart_s", "level"),
    [(0, GOOD), (5, WARNING), (300, ERROR), (-300, ERROR)],
    ids=["same", "some", "far", "behind"],
)
def test_clocks_that_differ_are_found(apart_s, level, monkeypatch):
    real = doctor_database.wall_clock
    monkeypatch.setattr(doctor_database, "wall_clock", lambda: real() + apart_s)
    assert worst(doctor_database.difference_of_clocks) == level


def test_a_transaction_that_stays_open_is_found(monkeypatch):
    assert worst(doctor_database.old_transactions) == GOOD
    monkeypatch.setattr(doctor_database, "LONG_TRANSACTION_S", -1.0)
    assert worst(doctor_database.old_transactions) == WARNING


def test_a_missing_partition_is_found():
    partitions.create_ahead(clock.now())
    assert worst(doctor_database.partitions_ahead) == GOOD
    ahead = partitions.next_month(partitions.month_of(clock.now()))
    sql(f"DROP TABLE campaigns_event_{ahead:%Y_%m}")
    partitions.forget()
    assert worst(doctor_database.partitions_ahead) == WARNING


# --- The work ----------------------------------------------------------------
@pytest.fixture
def simulator():
    made = Simulator().start()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("embedded", "level"), [(True, WARNING), (False, ERROR)], ids=["demo", "production"]
)
def test_without_a_key_it_says_that_no_real_mail_leaves(settings, embedded, level):
    settings.EMBEDDED = embedded
    assert levels(doctor_work.provider_key) == [(level, "provider key")]


def test_a_key_that_works_is_asked_without_sending(live, simulator):
    live.SENDGRID_HOST = simulator.url
    assert worst(doctor_work.provider_key) == GOOD
    assert simulator.messages() == []


def test_a_provider_that_cannot_be_reached_is_found(live):
    live.SENDGRID_HOST = "http://127.0.0.1:1"
    assert worst(doctor_work.provider_key) == ERROR


class Scopes:
    """A server that answers every request alike."""

    def __init__(self, status, body):
        self.status, self.body = status, body

    def __enter__(self):
        import threading
        from http.server import BaseHTTPRequestHandler, HTTPServer

        answer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_args):
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_exc):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"{}", "refuses"),
        (403, b"{}", "refuses"),
        (500, b"oops", "no answer"),
        (200, b"not json", "no answer"),
        (200, b"[]", "no answer"),
        (200, b'{"scopes": ["stats.read"]}', "may not send"),
    ],
    ids=["unknown", "forbidden", "broken", "text", "list", "no-send"],
)
def test_a_key_that_cannot_send_is_found(status, body, says, live):
    with Scopes(status, body) as url:
        live.SENDGRID_HOST = url
        (found,) = doctor_work.provider_key()
    assert (found.level, says in found.says) == (ERROR, True)


def test_a_redirect_is_not_followed_with_the_key(live):
    with Scopes(302, b"") as url, pytest.raises(scopes.NotReached):
        scopes.scopes(api_key="SG.real", host=url)


def test_another_address_key_is_found_and_nothing_is_changed(settings):
    address_key.confirm()
    assert worst(doctor_work.address_key_fits) == GOOD
    kept = IngestState.objects.get().address_key
    settings.ADDRESS_HASH_KEYS = ("another key, of thirty-two or more",)
    assert worst(doctor_work.address_key_fits) == GOOD
    assert IngestState.objects.get().address_key == kept
    Suppression.objects.create(
        address_hash=b"1" * 16, reason="manual", origin="", created_at=clock.now()
    )
    assert worst(doctor_work.address_key_fits) == ERROR


def test_clusters_that_do_not_work_are_found(settings):
    assert set(levels(doctor_work.clusters)) == {
        (ERROR, f"cluster {name}") for name in settings.CLUSTERS
    }
    for name in settings.CLUSTERS:
        ClusterBeat.objects.create(name=f"{name}@a", sent_n=1)
        ClusterBeat.came_back(f"{name}@a", 1)
    assert worst(doctor_work.clusters) == GOOD
    old = clock.now() - timedelta(minutes=5)
    ClusterBeat.objects.create(name="mail@gone", seen_at=old)
    assert (WARNING, "cluster mail@gone") in levels(doctor_work.clusters)
    assert worst(doctor_work.clusters) == WARNING
    ClusterBeat.objects.filter(name="mail@gone").delete()
    ClusterBeat.objects.create(name="mail@starting", sent_at=clock.now())
    assert worst(doctor_work.clusters) == GOOD
    # A stop in good order empties seen_at.
    ClusterBeat.objects.create(name="mail@stopped", sent_at=old)
    assert (WARNING, "cluster mail@stopped") in levels(doctor_work.clusters)


def test_a_provider_that_takes_nothing_is_found():
    assert worst(doctor_work.providers) == ERROR
    row = Provider.objects.create(name="mail")
    assert worst(doctor_work.providers) == GOOD
    now = clock.now()
    row.paused_until, row.pause_reason = now + timedelta(minutes=1), "Too fast (429)."
    row.save()
    assert worst(doctor_work.providers) == WARNING
    row.paused_until, row.open_until = None, now - timedelta(minutes=1)
    row.save()
    assert worst(doctor_work.providers) == WARNING
    row.open_until, row.enabled = None, False
    row.save()
    assert worst(doctor_work.providers) == ERROR


def test_a_webhook_that_is_missing_or_has_no_key_is_found():
    assert levels(doctor_work.webhooks) == [(ERROR, "webhook")]
    endpoint = an_endpoint("not a key")
    assert levels(doctor_work.webhooks)[0] == (ERROR, "webhook")
    endpoint.public_keys = ["bm90IGEga2V5", PUBLIC]
    endpoint.save()
    assert worst(doctor_work.webhooks) == GOOD
    WebhookEndpoint.objects.update(enabled=False)
    assert worst(doctor_work.webhooks) == ERROR


def test_the_doctor_takes_the_keys_that_the_door_takes():
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    der = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    endpoint = an_endpoint(b64encode(der).decode())
    assert worst(doctor_work.webhooks) == ERROR
    head, tail = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
    endpoint.public_keys = [f"{head}\n{PUBLIC[:64]}\n{PUBLIC[64:]}\n{tail}\n"]
    endpoint.save()
    assert worst(doctor_work.webhooks) == GOOD


def test_a_provider_that_fell_silent_is_found():
    endpoint, now = an_endpoint(), clock.now()
    mail = a_mail(a_customer())
    Message.objects.filter(pk=mail.pk).update(
        created_at=now - timedelta(hours=1), settled_at=now - timedelta(hours=1)
    )
    assert worst(doctor_work.webhooks) == WARNING
    WebhookBatch.objects.create(
        endpoint=endpoint, received_at=now - timedelta(hours=7), body=b""
    )
    assert worst(doctor_work.webhooks) == WARNING
    WebhookBatch.objects.create(
        endpoint=endpoint, received_at=now, body=b"", applied_at=now
    )
    assert worst(doctor_work.webhooks) == GOOD
    WebhookBatch.objects.create(
        endpoint=endpoint,
        received_at=now,
        body=b"",
        pending_at=now - timedelta(minutes=6),
    )
    assert worst(doctor_work.webhooks) == WARNING


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("shop@acorn.shop", GOOD),
        ("shop@acorn.example", ERROR),
        ("shop@example.com", ERROR),
        ("shop@gmail.com", ERROR),
        ("shop@localhost", ERROR),
    ],
    ids=["own", "reserved", "example", "mailbox", "local"],
)
def test_a_sender_that_nobody_believes_is_found(address, level, live):
    assert worst(doctor_work.senders) == WARNING
    sender = Sender.objects.create(
        name="shop",
        from_name="Shop",
        from_email=address,
        company_name="Acorn",
        postal_address="1 Main Street",
        provider=Provider.objects.create(name="mail"),
    )
    assert worst(doctor_work.senders) == level
    sender.postal_address = " "
    sender.save()
    assert worst(doctor_work.senders) == ERROR


@pytest.mark.parametrize("state", ["unknown", "held"])
def test_mails_that_wait_for_a_person_are_found(state):
    assert list(doctor_work.attention()) == []
    mail = a_mail(a_customer())
    Message.objects.filter(pk=mail.pk).update(state=state, reason="why")
    assert worst(doctor_work.attention) == WARNING


# --- All of it ---------------------------------------------------------------
def run(*options):
    said = StringIO()
    try:
        call_command("doctor", *options, stdout=said)
    except SystemExit as ended:
        return ended.code, said.getvalue()
    return 0, said.getvalue()


def test_the_worst_finding_is_the_exit_status(monkeypatch):
    assert run()[0] == 2
    wanted = []
    monkeypatch.setattr(doctor, "look", lambda: iter(wanted))
    assert run()[0] == 0
    wanted.append(doctor.good("one", "Well."))
    assert run("--quiet") == (0, "")
    wanted.append(doctor_work.warning("two", "Bad.", "Mend it."))
    assert run("--quiet") == (1, "WARNING two: Bad.\n        -> Mend it.\n")


def test_a_whole_world_in_good_order_has_few_findings():
    with clock.use(Clock(clock.now())):
        World()
        status, said = run()
    assert status == 2  # the tests' database runs without fsync
    assert "backups: Cannot be seen from here" in said


def test_a_database_that_is_away_is_one_finding(monkeypatch, settings):
    from django.db import OperationalError

    def away():
        raise OperationalError

    monkeypatch.setattr(doctor.server_version, "confirm", away)
    for embedded, asks in (False, "is DATABASE_URL right?"), (True, "make run"):
        settings.EMBEDDED = embedded
        found = list(doctor.look())
        assert (found[-1].level, found[-1].part) == (ERROR, "database")
        assert asks in found[-1].mend
        assert ("DATABASE_URL is not set" in found[-1].says) is embedded


def test_an_old_server_is_one_finding(monkeypatch):
    def old():
        raise doctor.server_version.ServerTooOld(14)

    monkeypatch.setattr(doctor.server_version, "confirm", old)
    assert "too old" in list(doctor.look())[-1].says


def test_missing_migrations_end_the_look(monkeypatch):
    monkeypatch.setattr(doctor, "unapplied", lambda: ["campaigns.0009_next"])
    found = list(doctor.look())
    assert (found[-1].level, found[-1].part) == (ERROR, "migrations")


def test_a_check_that_fails_hides_no_other(monkeypatch):
    def broken():
        raise ZeroDivisionError

    monkeypatch.setattr(doctor, "WITHOUT_DATABASE", (broken, doctor_host.disk))
    parts = [f.part for f in doctor.look()]
    assert parts[:2] == ["broken", "disk"]
