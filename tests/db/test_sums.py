"""The books: silent about healthy work, loud about each kind of planted damage."""

import pytest
from django.core.management import CommandError, call_command

from campaigns.deciding import clock
from campaigns.deciding.ids import new_id
from campaigns.journeys.advance import advance_due
from campaigns.journeys.publishing import archive, pause
from campaigns.models import (
    Attempt,
    Conversion,
    Customer,
    DecisionCount,
    Journey,
    Message,
    Timer,
)
from campaigns.reports.sums import differences, totals
from tests.db.actors import at_once
from tests.db.world import Clock, World, at, lasts, step
from tests.keel.live import empty_database

GOAL = {"event": "Bought", "window": lasts(7, "days")}


@pytest.fixture
def world(db):
    still = Clock()
    with clock.use(still):
        yield World(still)


@pytest.fixture
def healthy(world):
    """One journey and mail in every state that a healthy run knows."""
    world.rule("done", "Viewed", goal=GOAL)
    world.rule("waits", "Viewed", steps=[step(delay=lasts(2, "hours"))])
    world.rule("held", "Viewed", steps=[step(delay=lasts(1, "hours"))])
    world.rule("archived", "Viewed")
    world.rule("exited", "Viewed", exit={"events": ["Bought"], "key": None})
    world.rule("control", "Viewed", holdout=10_000, goal=GOAL)
    world.known("ann")
    world.does("ann", "Viewed")
    archive(world.rules["archived"], by="test")
    world.does("ann", "Bought")
    world.work()
    pause(world.rules["held"], by="test")
    world.rule("queued", "Looked")
    world.clock.time = at("10:00")
    world.does("ann", "Looked")
    advance_due()
    return world


def of(name, world):
    return Journey.objects.get(rule_id=world.rules[name])


def test_a_healthy_run_is_silent(healthy):
    states = set(Journey.objects.values_list("state", flat=True))
    assert states == {"finished", "waiting", "held", "cancelled", "exited", "sending"}
    assert differences() == []
    call_command("check_sums")


def no_timer(world):
    Timer.objects.get(journey=of("waits", world)).delete()


def a_timer_too_many(world):
    journey = of("done", world)
    Timer.objects.create(
        journey=journey, customer=journey.customer, lane=1, due_at=at("12:00")
    )


def a_timer_of_nothing(world):
    Timer.objects.create(
        journey_id=new_id(), customer=world.customer("ann"), lane=1, due_at=at("12:00")
    )


def a_timer_of_somebody_else(world):
    world.known("bob")
    Timer.objects.update(customer=world.customer("bob"))


def no_message(world):
    Message.objects.get(state="queued").delete()


def a_sending_journey_with_a_timer_instead(world):
    Journey.objects.filter(pk=of("waits", world).pk).update(state="sending")


def a_waiting_journey_with_a_mail_instead(world):
    Journey.objects.filter(pk=of("queued", world).pk).update(state="waiting")


def a_waiting_journey_with_both(world):
    Message.objects.filter(state="queued").update(journey=of("waits", world))
    Journey.objects.filter(pk=of("queued", world).pk).update(
        state="cancelled", ended_at=at("10:00"), cause={}
    )


def a_parked_journey_with_a_timer(world):
    journey = of("held", world)
    Timer.objects.create(
        journey=journey, customer=journey.customer, lane=1, due_at=at("12:00")
    )


def a_queued_mail_of_an_ended_journey(world):
    Message.objects.filter(state="queued").update(journey=of("done", world), step=7)
    Journey.objects.filter(pk=of("queued", world).pk).delete()
    DecisionCount.objects.filter(rule_id=world.rules["queued"]).delete()


def a_queued_mail_to_somebody_else(world):
    world.known("bob")
    Message.objects.filter(state="queued").update(customer=world.customer("bob"))


def a_queued_mail_whose_provider_is_gone(world):
    Message.objects.filter(state="queued").update(provider=None)


def a_lost_journey(world):
    of("done", world).delete()


def a_lost_decision(world):
    DecisionCount.objects.filter(rule_id=world.rules["done"]).delete()


def a_decision_too_many(world):
    DecisionCount.objects.create(
        rule_id=world.rules["done"], hour=at("09:00"), reason="entered", count=1
    )


def a_mail_sent_without_an_attempt(world):
    Attempt.objects.all().delete()


def a_mail_sent_by_a_refused_attempt(world):
    Attempt.objects.all().update(state="refused")


def a_mail_accepted_twice(world):
    attempt = Attempt.objects.get()
    attempt.pk = "00000000-0000-0000-0000-000000000002"
    attempt.save(force_insert=True)


def an_open_attempt_of_a_settled_mail(world):
    attempt = Attempt.objects.get()
    attempt.pk = "00000000-0000-0000-0000-000000000002"
    attempt.state = "open"
    attempt.save(force_insert=True)


def a_lost_customer(world):
    Customer.objects.all().delete()


def an_open_journey_of_somebody_merged(world):
    world.known("bob")
    Customer.objects.filter(user_id="ann").update(merged_into=world.customer("bob").pk)


def a_lost_conversion(world):
    Conversion.objects.filter(rule_id=world.rules["done"]).delete()


DAMAGES = [
    no_timer,
    a_timer_too_many,
    a_timer_of_nothing,
    a_timer_of_somebody_else,
    no_message,
    a_sending_journey_with_a_timer_instead,
    a_waiting_journey_with_a_mail_instead,
    a_waiting_journey_with_both,
    a_parked_journey_with_a_timer,
    a_queued_mail_of_an_ended_journey,
    a_queued_mail_to_somebody_else,
    a_queued_mail_whose_provider_is_gone,
    a_lost_journey,
    a_lost_decision,
    a_decision_too_many,
    a_mail_sent_without_an_attempt,
    a_mail_sent_by_a_refused_attempt,
    a_mail_accepted_twice,
    an_open_attempt_of_a_settled_mail,
    a_lost_customer,
    an_open_journey_of_somebody_merged,
    a_lost_conversion,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_each_damage_is_found(healthy, damage):
    damage(healthy)
    found = differences()
    assert found
    with pytest.raises(CommandError) as failed:
        call_command("check_sums")
    assert str(failed.value) == "\n".join(map(str, found))


def test_a_difference_names_the_rule_and_both_sides(healthy):
    a_decision_too_many(healthy)
    (found,) = differences()
    rule = healthy.rules["done"]
    assert (found.rule, found.left, found.right) == (rule, 1, 2)
    assert str(found) == f"journeys and entries decided of rule {rule}: 1 is not 2"


def test_totals_are_those_of_each_rule(healthy):
    healthy.clock.time = at("10:30")
    healthy.does("ann", "Viewed")
    by_rule = {t.rule: t for t in totals()}
    done = by_rule[healthy.rules["done"]]
    assert (done.touched, done.entered, done.journeys, done.messages) == (2, 2, 2, 1)
    waits = by_rule[healthy.rules["waits"]]
    assert (waits.touched, waits.entered, waits.journeys) == (2, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_the_books_balance_at_every_moment_of_the_work():
    empty_database()
    world = World()
    world.rule("news", "Viewed", goal=GOAL, exit={"events": ["Left"], "key": None})
    for number in range(4):
        world.known(f"u{number}")

    def customer(number):
        def live():
            for name in ("Viewed", "Left", "Viewed", "Bought", "Viewed") * 3:
                world.does(f"u{number}", name)
                world.work()

        return live

    def audit():
        return [difference for _ in range(40) for difference in differences()]

    *_, found = at_once(*[customer(n) for n in range(4)], audit)
    assert found == []
    assert differences() == []
    empty_database()
