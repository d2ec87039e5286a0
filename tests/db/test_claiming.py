"""Whose turn it is among queued mails: nobody waits for ever behind the others."""

import pytest

from campaigns.deciding import database
from campaigns.journeys.advance import advance_due
from campaigns.models import Message, Provider, Sender
from campaigns.sending.claim import RISKY, RISKY_FIRST, claim
from tests.db.world import World

pytestmark = pytest.mark.django_db


def second_provider(world):
    """Let rules that are made from now on send through a provider of their own."""
    provider = Provider.objects.create(
        name="second", rate_per_s=1e6, burst=10**6, tokens=10**6
    )
    world.sender = Sender.objects.create(
        name="second",
        from_name="Shop",
        from_email="shop@acme.example",
        company_name="Acme",
        postal_address="1 Main Street",
        provider=provider,
    )


def queued(world, name, *, mails):
    for number in range(mails):
        world.known(f"{name}{number}")
        world.does(f"{name}{number}", name)
    advance_due()


def claimed(world: World, *, limit=4):
    """Claim all; return the rule of each claim's mails, in their order."""
    names = {pk: name for name, pk in world.rules.items()}
    found = []
    while claims := claim(limit=limit):
        rules = Message.objects.filter(pk__in=[c.id for c in claims])
        (rule,) = set(rules.values_list("rule_id", flat=True))
        found.append(names[rule])
    return found


@pytest.mark.parametrize("start", range(4))
def test_a_receipt_waits_for_no_campaign_of_another_provider(world, start):
    world.rule("Campaign", "Campaign")
    second_provider(world)
    world.rule("Receipt", "Receipt", kind="transactional")
    for _ in range(start):  # whoever's turn it is
        assert claim(limit=4) == []
    queued(world, "Campaign", mails=12)
    queued(world, "Receipt", mails=1)
    assert claimed(world)[0] == "Receipt"


def test_campaigns_of_two_providers_take_turns(world):
    world.rule("First", "First")
    second_provider(world)
    world.rule("Second", "Second")
    queued(world, "First", mails=12)
    queued(world, "Second", mails=12)
    assert set(claimed(world)[:2]) == {"First", "Second"}


def test_a_mail_that_failed_twice_comes_before_a_long_campaign_ends(world):
    world.rule("Campaign", "Campaign")
    world.rule("Risky", "Risky")
    queued(world, "Risky", mails=1)
    Message.objects.update(attempt=RISKY)
    queued(world, "Campaign", mails=4 * RISKY_FIRST)
    order = claimed(world, limit=2)
    assert "Risky" in order[:RISKY_FIRST]
    assert order.count("Risky") == 1


def test_a_mail_that_failed_twice_is_for_an_idle_process_only(world):
    world.rule("Risky", "Risky")
    queued(world, "Risky", mails=1)
    Message.objects.update(attempt=RISKY)
    for _ in range(RISKY_FIRST):
        assert claim(limit=4, idle=False) == []
    assert len(claim(limit=4)) == 1


def test_with_one_provider_a_claim_is_two_round_trips(world, monkeypatch):
    """And now and then a third, for a mail that failed twice."""
    world.rule("Campaign", "Campaign")
    queued(world, "Campaign", mails=RISKY_FIRST)
    trips = []
    real = database.run_all
    monkeypatch.setattr(
        database, "run_all", lambda calls, **how: trips.append(1) or real(calls, **how)
    )
    assert [len(claim(limit=1)) for _ in range(RISKY_FIRST)] == [1] * RISKY_FIRST
    assert len(trips) == 2 * RISKY_FIRST + 1
