"""Events that nothing waits for are stored while the others are decided about."""

import pytest
from django.db import connection

from campaigns.deciding.database import DatabaseAway
from campaigns.domain.intake import Intake
from campaigns.ingest import fold
from campaigns.models import Event, Journey
from tests.db.crashing import killed
from tests.db.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world():
    made = World()
    made.rule("news", "Viewed")
    made.known("ann")
    made.known("bob")
    Event.objects.all().delete()
    return made


@pytest.fixture
def batch(world):
    """More than enough events that nothing waits for, about one that starts a rule."""
    names = ["Looked"] * fold.WORTH_A_STATEMENT + ["Viewed"] + ["Looked"] * 3
    return [
        world.event(name=name, user_id="ann" if name == "Viewed" else "bob")
        for name in names
    ]


def stored():
    return list(Event.objects.order_by("id").values_list("message_id", flat=True))


def test_both_kinds_are_stored_in_the_order_of_their_arrival(world, batch, monkeypatch):
    meanwhile = []
    real = fold.database.meanwhile
    monkeypatch.setattr(
        fold.database, "meanwhile", lambda each: meanwhile.append(each) or real(each)
    )
    assert world.post(*batch).accepted == len(batch)
    assert len(meanwhile) == 1
    assert stored() == [e.message_id for e in batch]
    assert Journey.objects.count() == 1
    assert world.post(*batch).duplicates == len(batch)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_ends_meanwhile_leaves_nothing(world, batch, monkeypatch, when):
    with killed(monkeypatch, fold, "_fold", when=when):
        world.post(*batch)
    assert not stored()
    assert world.post(*batch).accepted == len(batch)
    assert stored() == [e.message_id for e in batch]


def test_an_event_that_cannot_be_decided_about_harms_no_other(
    world, batch, monkeypatch
):
    real = Intake.take

    def take(self, event, *args, **kwargs):
        if event.name == "Viewed":
            raise ValueError("nobody knows")
        return real(self, event, *args, **kwargs)

    monkeypatch.setattr(Intake, "take", take)
    found = world.post(*batch)
    assert [r.code for r in found.refused] == ["undecidable"]
    assert stored() == [e.message_id for e in batch if e.name != "Viewed"]


def test_many_that_cannot_be_decided_about_are_found_without_trying_all_for_each(
    world, monkeypatch
):
    real, tried = Intake.take, []

    def take(self, event, *args, **kwargs):
        tried.append(event)
        if event.name == "Viewed":
            raise ValueError("nobody knows")
        return real(self, event, *args, **kwargs)

    monkeypatch.setattr(Intake, "take", take)
    batch = [
        world.event(name=name, user_id="ann") for name in ["Viewed", "Bought"] * 40
    ]
    found = world.post(*batch)
    assert [r.code for r in found.refused] == ["undecidable"] * 40
    assert stored() == [e.message_id for e in batch if e.name == "Bought"]
    assert len(tried) < 10 * len(batch)


@pytest.mark.parametrize("place", [0, 20], ids=["stored meanwhile", "decided about"])
def test_an_event_that_the_database_refuses_harms_no_other(world, batch, place):
    batch[place].properties["nul"] = "\0"
    found = world.post(*batch)
    assert [r.code for r in found.refused] == ["refused_22P05"]
    assert stored() == [e.message_id for n, e in enumerate(batch) if n != place]


def test_a_connection_that_is_lost_meanwhile_is_an_outage(world, batch, monkeypatch):
    real = fold._fold

    def cut(*args):
        other = connection.copy()
        with other.cursor() as cursor:
            pid = connection.connection.info.backend_pid
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.close()
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(fold, "_fold", cut)
        with pytest.raises(DatabaseAway):
            world.post(*batch)
    assert not stored()
    assert world.post(*batch).accepted == len(batch)
