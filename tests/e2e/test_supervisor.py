"""The supervisor of the clusters, against real processes that are really killed."""

import http.client
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from campaigns.models import ClusterBeat, IngestState
from campaigns.queue import send
from tests.e2e.product import free_port

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
HOST = "testhost"
BEAT = f"mail@{HOST}"
WITHIN_S = 60


def wait_for(what, *, within_s=WITHIN_S):
    """Return the first true answer of `what`, asked again and again."""
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.1)
    return found


def work_goes_on():
    """Wait until a canary that is sent from now on comes back."""
    beat = ClusterBeat.objects.filter(name=BEAT).first()
    sent = beat.sent_n if beat else 0
    wait_for(lambda: ClusterBeat.objects.filter(name=BEAT, seen_n__gt=sent).exists())


class Cluster:
    """One `manage.py cluster mail`."""

    def __init__(self, url, var):
        self.var = var
        self.environment = {
            **os.environ,
            "DATABASE_URL": url,
            "SECRET_KEY": settings.SECRET_KEY,
            "VAR_DIR": str(var),
            "SENDGRID_HOST": "http://127.0.0.1:9",  # nobody is there
            "CLUSTER_HOST": HOST,
            "CLUSTER_STALE_S": "12",
        }
        self.process = None

    def start(self):
        self.process = self.open()
        return self

    def open(self, **options):
        return subprocess.Popen(
            [sys.executable, "manage.py", "cluster", "mail"],
            cwd=ROOT,
            env=self.environment,
            **options,
        )

    def part(self, name):
        """Return the processes of that part; django-q2 makes them in this order."""
        main = psutil.Process(self.process.pid).children()[0]
        sentinel = main.children()[0]
        parts = sorted(sentinel.children(), key=lambda p: (p.create_time(), p.pid))
        *workers, monitor, pusher = parts
        return {
            "main": [main],
            "sentinel": [sentinel],
            "worker": workers[:1],
            "every worker": workers,  # one of them holds the queue's lock
            "monitor": [monitor],
            "pusher": [pusher],
        }[name]

    def members(self):
        """Return every living process of this cluster but the supervisor."""
        return [p for p in psutil.process_iter() if self._is_ours(p)]

    def _is_ours(self, process):
        try:
            mark = process.environ().get("EMAILTRIGGERS_CLUSTER")
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
        return alive and mark == str(self.var)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture
def cluster(database_url, tmp_path):
    IngestState.objects.get_or_create(id=1, defaults={"rotated_at": timezone.now()})
    made = Cluster(database_url, tmp_path / "var").start()
    try:
        work_goes_on()
        yield made
    finally:
        made.stop()
        for process in made.members():
            process.kill()


@pytest.mark.parametrize(
    "part", ["worker", "every worker", "monitor", "pusher", "sentinel", "main"]
)
def test_work_goes_on_after_a_part_is_killed(cluster, part):
    for process in cluster.part(part):
        process.kill()
    work_goes_on()
    assert cluster.process.poll() is None
    assert cluster.stop() == 0
    assert cluster.members() == []


def test_a_host_without_a_web_process_serves_what_its_clusters_counted(
    database_url, tmp_path
):
    IngestState.objects.get_or_create(id=1, defaults={"rotated_at": timezone.now()})
    made = Cluster(database_url, tmp_path / "var")
    port = free_port()
    made.environment |= {"METRICS_PORT": str(port), "METRICS_TOKEN": "token"}
    try:
        made.start()
        work_goes_on()

        def counted():
            at = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            at.request("GET", "/metrics", headers={"Authorization": "Bearer token"})
            answer = at.getresponse()
            text = answer.read().decode()
            at.close()
            return answer.status == 200 and "emailtriggers_webhook_lag_seconds" in text

        wait_for(counted)
        other = Cluster(database_url, tmp_path / "other")
        other.environment |= {"METRICS_PORT": str(port)}
        refused = other.open(stderr=subprocess.PIPE, text=True)
        _, said = refused.communicate(timeout=WITHIN_S)
        assert (refused.returncode, "METRICS_PORT" in said) == (1, True)
    finally:
        made.stop()
        for process in made.members():
            process.kill()


def restarts():
    return ClusterBeat.objects.get(name=BEAT).restarts


def test_a_restart_is_counted_and_a_start_is_not(cluster):
    work_goes_on()
    assert restarts() == 0
    (main,) = cluster.part("main")
    main.kill()
    wait_for(lambda: restarts() == 1)
    work_goes_on()
    assert restarts() == 1


def test_a_second_supervisor_of_the_same_folder_is_refused(cluster):
    with cluster.open(stderr=subprocess.PIPE, text=True) as second:
        _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert "run already" in said


def test_orphans_of_a_killed_supervisor_are_ended_by_the_next(cluster):
    orphans = cluster.members()
    cluster.part("main")[0].suspend()  # it cannot even heed its parent's death
    cluster.process.kill()
    cluster.process.wait()
    cluster.start()
    wait_for(lambda: not any(p.is_running() and is_alive(p) for p in orphans))
    work_goes_on()


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_supervisor_takes_its_clusters_along(cluster):
    cluster.process.kill()
    cluster.process.wait()
    wait_for(lambda: not cluster.members())
    cluster.start()
    work_goes_on()


def test_only_a_canary_of_this_run_shows_work(cluster):
    cluster.process.kill()
    cluster.process.wait()
    wait_for(lambda: not cluster.members())
    before = ClusterBeat.objects.get(name=BEAT)
    assert before.seen_at is not None
    cluster.start()
    after = wait_for(
        lambda: (
            ClusterBeat.objects.filter(name=BEAT)
            .exclude(seen_at=before.seen_at)
            .first()
        )
    )
    assert after.seen_at is None or after.seen_n > before.sent_n
    work_goes_on()
    assert cluster.stop() == 0
    assert ClusterBeat.objects.get(name=BEAT).seen_at is None


def test_sigterm_lets_running_work_finish(cluster):
    send("time.sleep", 2, queue="mail")
    task = OrmQ.objects.get(key="mail")
    wait_for(lambda: OrmQ.objects.filter(pk=task.pk, lock__gt=timezone.now()).exists())
    started = time.monotonic()
    assert cluster.stop() == 0
    assert time.monotonic() - started > 1, "the task was cut short"
    assert not OrmQ.objects.filter(pk=task.pk).exists(), "the task was not acknowledged"
    assert cluster.members() == []


@pytest.fixture
def empty_database(database_url):
    """A database without tables on the same server."""
    name = f"{connection.settings_dict['NAME']}_empty"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield f"{database_url.rpartition('/')[0]}/{name}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_clusters_are_started_once_the_tables_are_there(empty_database, tmp_path):
    """Before that they would only die, one restart after the other."""
    made = Cluster(empty_database, tmp_path / "var")
    log = tmp_path / "log"
    with log.open("wb") as written:
        made.process = made.open(stderr=written)
    try:
        wait_for(lambda: "run manage.py migrate" in log.read_text())
        assert made.members() == []
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env=made.environment,
            check=True,
        )

        def seen():
            with psycopg.connect(empty_database) as asked:
                return asked.execute(
                    "SELECT restarts FROM campaigns_clusterbeat"
                    " WHERE seen_at > now() - interval '10 seconds'"
                ).fetchall()

        assert wait_for(seen) == [(0,)]
        said = log.read_text()
        assert said.count("run manage.py migrate") == 1
        assert "restarting" not in said
    finally:
        made.stop()
        for process in made.members():
            process.kill()


class HangsUp(socketserver.BaseRequestHandler):
    """A database server that is starting, or going: it ends each connection."""

    asked = 0

    def handle(self):
        type(self).asked += 1


def test_without_a_database_no_cluster_is_started_and_that_is_said_once(tmp_path):
    away = type("Away", (HangsUp,), {})
    log = tmp_path / "log"
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), away) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        port = server.server_address[1]
        made = Cluster(f"postgresql://u@127.0.0.1:{port}/mail", tmp_path / "var")
        with log.open("wb") as written:
            made.process = made.open(stderr=written)
        try:
            wait_for(lambda: "the database is away" in log.read_text())
            before = away.asked
            wait_for(lambda: away.asked >= before + 3)  # it goes on asking
            assert made.members() == []
            assert made.stop() == 0
        finally:
            made.stop()
            for process in made.members():
                process.kill()
            server.shutdown()
            thread.join()
    said = log.read_text()
    assert said.count("the database is away") == 1
    assert "restarting" not in said
