"""The broker: what it hands to django-q2, and what it keeps from it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core import signing
from django.core.checks import run_checks
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.signing import SignedPackage

from campaigns import queue, tasks
from campaigns.management.supervisor import Watched
from campaigns.models import ClusterBeat

pytestmark = pytest.mark.django_db

DUE = []


def probe():
    """Answer what the test put in DUE, raising what is an error."""
    answer = DUE.pop(0) if DUE else False
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture(autouse=True)
def clusters(settings, monkeypatch):
    DUE.clear()
    settings.CLUSTER_HOST = "here"
    settings.CLUSTERS = {
        "mail": {"probe": f"{__name__}.probe", "task": "some.task", "every": {}}
    }
    monkeypatch.setattr(queue, "QUEUE_TICK_S", 0.0)
    monkeypatch.setattr(queue, "AWAY_S", 0.0)


def paths(packages):
    return [SignedPackage.loads(signed)["func"] for _, signed in packages]


def test_two_hosts_of_one_name_are_noticed(caplog):
    one, two = (Watched("mail", Path("manage.py")) for _ in range(2))
    for _ in range(3):
        one.send_canary()
    ClusterBeat.objects.all().delete()  # by an operator
    one.send_canary()
    assert caplog.messages == []
    two.send_canary()
    for _ in range(3):
        one.send_canary()
        two.send_canary()
    said = [m for m in caplog.messages if "another supervisor" in m]
    assert len(said) == 2  # each of them, once
    assert all("mail@here" in m and "CLUSTER_HOST" in m for m in said)


def test_nothing_due_is_nothing_to_do():
    assert queue.DueBroker("mail").dequeue() == []


def test_a_task_that_we_did_not_sign_is_never_unpickled():
    """A task is a pickle: whoever writes rows must not have their code run by it."""
    _, signed = queue.package("some.task")
    forged = signing.dumps(
        {"func": "os.system"}, key="x" * 50, salt=Conf.PREFIX, serializer=Tripwire
    )
    for text in (forged, f"A{signed[1:]}", signed.partition(":")[0], ""):
        with pytest.raises(signing.BadSignature):
            SignedPackage.loads(text)


class Tripwire:
    """Packs what cannot be unpacked without being noticed."""

    def dumps(self, _value):
        return b"cpytest\nfail\n(S'it was unpickled'\ntR."


def test_due_rows_become_one_task_that_is_never_repeated_or_saved():
    DUE.append(True)
    ((ack_id, signed),) = queue.DueBroker("mail").dequeue()
    task = SignedPackage.loads(signed)
    assert (ack_id, task["func"], task["save"]) == (0, "some.task", False)
    assert OrmQ.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_an_empty_answer(caplog):
    DUE.extend([OperationalError("gone"), OperationalError("gone"), True])
    broker = queue.DueBroker("mail")
    assert broker.dequeue() == []
    assert broker.dequeue() == []
    assert paths(broker.dequeue()) == ["some.task"]
    said = [r.getMessage() for r in caplog.records if r.name == "campaigns.queue"]
    assert said == ["mail: the database is away: gone", "mail: the database is back"]


def test_periodic_tasks_come_at_once_and_then_not_before_their_time(settings):
    settings.CLUSTERS["mail"]["every"] = {"a.minute": 60}
    broker = queue.DueBroker("mail")
    assert paths(broker.dequeue()) == ["a.minute"]
    assert broker.dequeue() == []
    broker._ran["a.minute"] -= 60
    assert paths(broker.dequeue()) == ["a.minute"]


def test_queued_tasks_are_taken_once_and_come_again_if_nobody_acknowledges():
    queue.send("some.door", 1, queue="mail")
    ours, other = queue.DueBroker("mail"), queue.DueBroker("mail")
    ((ack_id, _),) = ours.dequeue()
    assert other.dequeue() == []
    OrmQ.objects.update(lock=Now() - timedelta(seconds=1))
    assert [pk for pk, _ in other.dequeue()] == [ack_id]
    other.acknowledge(ack_id)
    assert OrmQ.objects.count() == 0


def test_a_canary_is_for_this_host_alone():
    queue.send("campaigns.tasks.canary", "mail@there", 1, queue="mail@there")
    assert queue.DueBroker("mail").dequeue() == []
    queue.send("campaigns.tasks.canary", "mail@here", 1, queue=queue.own_queue("mail"))
    assert paths(queue.DueBroker("mail").dequeue()) == ["campaigns.tasks.canary"]
    assert queue.purge("mail@there") == 1


def test_a_late_canary_does_not_undo_a_newer_one():
    beat = ClusterBeat.objects.create(name="mail@here", sent_n=2)
    for n in (2, 1):
        tasks.canary("mail@here", n)
    beat.refresh_from_db()
    assert beat.seen_n == 2
    assert beat.seen_at is not None


def test_a_canary_of_an_earlier_run_shows_no_work_of_this_one():
    tasks.canary("mail@here", 1)  # nobody has sent it
    ClusterBeat.objects.create(name="mail@here", sent_n=7, seen_n=6, seen_at=Now())
    ClusterBeat.objects.create(name="mail@there", sent_n=7, seen_n=6, seen_at=Now())
    ClusterBeat.begin("mail@here")
    tasks.canary("mail@here", 7)
    here = ClusterBeat.objects.get(name="mail@here")
    assert (here.seen_n, here.seen_at) == (7, None)
    assert ClusterBeat.objects.get(name="mail@there").seen_at is not None
    tasks.canary("mail@here", 8)
    here.refresh_from_db()
    assert (here.seen_n, here.seen_at is None) == (8, False)


def test_old_notes_of_failures_are_dropped():
    now = timezone.now()
    for key, age in (("old", 8), ("new", 1)):
        stopped = now - timedelta(days=age)
        Task.objects.create(
            id=key, name=key, func="f", started=stopped, stopped=stopped, success=False
        )
    assert queue.forget_failures(before=now - timedelta(days=7)) == 1
    assert Task.objects.get().pk == "new"


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("POST_DEADLINE_S", 10, "campaigns.E101"),
        ("LEASE_S", 17, "campaigns.E101"),
        ("TASK_TIMEOUT_S", 20, "campaigns.E102"),
        ("TASK_RETRY_S", 45, "campaigns.E102"),
    ],
)
def test_times_that_could_send_twice_stop_the_start(settings, name, value, error):
    assert run_checks() == []
    setattr(settings, name, value)
    assert error in [e.id for e in run_checks()]
