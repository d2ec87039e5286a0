"""What is held by another is passed over or waited for, and every end says why."""

import pytest
from django.db import connection, transaction

from campaigns.deciding import transaction as deciding
from campaigns.domain.answers import Accepted
from campaigns.journeys.advance import advance_due
from campaigns.journeys.publishing import archive
from campaigns.models import Company, Journey, Message, Timer
from campaigns.reports.sums import differences
from campaigns.sending.claim import claim
from campaigns.sending.gate import begin
from campaigns.sending.prepare import prepare
from campaigns.sending.settle import settle
from tests.db.actors import Actor, Stop, waits_for
from tests.db.world import World, lasts, step
from tests.keel.live import empty_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world():
    empty_database()
    yield World()
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    assert differences() == []
    empty_database()


def held(statement):
    """Let another connection hold the rows of a statement until told to go."""
    holding = Stop("holder")
    after = holding.before(lambda: None)

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            after()

    holder = Actor("holder", hold).begin()
    holding.reached()
    return holding, holder


def impatient():
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '3s'")


def two_due(world):
    world.rule("news", "Viewed")
    for user in ("ann", "bob"):
        world.known(user)
        world.does(user, "Viewed")


def test_a_claimer_passes_over_a_mail_that_another_holds(world):
    two_due(world)
    advance_due()
    first = Message.objects.order_by("not_before", "pk").first().pk
    holding, holder = held(
        f"SELECT 1 FROM campaigns_message WHERE id = {first} FOR UPDATE"
    )
    impatient()
    claims = claim(limit=8)
    holding.go()
    holder.result()
    assert [c.id for c in claims] == [Message.objects.exclude(pk=first).get().pk]
    assert [c.id for c in claim(limit=8)] == [first]


@pytest.mark.parametrize("table", ["campaigns_timer", "campaigns_customer"])
def test_an_advancer_passes_over_what_another_holds(world, table):
    two_due(world)
    first = Timer.objects.order_by("due_at").first()
    key = first.pk if table == "campaigns_timer" else first.customer_id
    column = "journey_id" if table == "campaigns_timer" else "id"
    holding, holder = held(f"SELECT 1 FROM {table} WHERE {column} = {key} FOR UPDATE")
    impatient()
    advanced = advance_due()
    holding.go()
    holder.result()
    assert advanced == 1
    assert Timer.objects.get() == first
    assert advance_due() == 1


def test_an_exit_waits_for_a_settle_and_ends_the_journey_where_it_left_it(
    world, monkeypatch
):
    world.rule(
        "news",
        "Viewed",
        exit={"events": ["Left"], "key": None},
        steps=[step(), step(delay=lasts(1, "hours"))],
    )
    world.known("ann")
    world.does("ann", "Viewed")
    advance_due()
    claims = claim(limit=8)
    (sent,) = begin(claims, prepare(claims))
    writing = Stop("settler")
    monkeypatch.setattr(deciding, "changes", writing.before(deciding.changes))
    settler = Actor(
        "settler", lambda: settle(sent.customer, sent.mail, sent.token, Accepted("p"))
    ).begin()
    writing.reached()
    leaver = Actor("leaver", lambda: world.does("ann", "Left")).begin()
    waits_for(leaver, settler)
    writing.go()
    settler.result()
    assert leaver.result().rejected == 0
    journey = Journey.objects.get()
    assert (journey.state, journey.step) == ("exited", 1)
    assert journey.cause["reason"] == "exit_event"
    assert not Timer.objects.exists()


def test_receipts_do_not_use_up_the_cap(world):
    Company.objects.update(cap_messages=1, cap_days=1)
    world.rule("receipt", "Bought", kind="transactional")
    world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Bought")
    world.work()
    world.does("ann", "Viewed")
    world.work()
    assert world.mails() == [("receipt", 0, 0, "sent", ""), ("news", 0, 0, "sent", "")]


def test_a_finished_journey_names_its_last_mail_and_what_became_of_it(world):
    world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Viewed")
    world.work()
    mail = Message.objects.get().pk
    assert Journey.objects.get().cause == {"message": mail, "outcome": "sent"}


def test_a_journey_found_due_before_the_archive_came_to_it_says_why_it_ended(
    world, monkeypatch
):
    rule = world.rule("news", "Viewed")
    world.known("ann")
    world.does("ann", "Viewed")
    monkeypatch.setattr("campaigns.journeys.publishing.MOVE_NOW_S", 0)
    assert archive(rule, by="eve") is False
    assert advance_due() == 1
    assert world.journeys() == [("news", "", "cancelled", "rule_archived")]
