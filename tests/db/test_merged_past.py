"""What rules see of the past of somebody who was merged with many others."""

import pytest

from campaigns.domain.people import MOST_REMEMBERED
from campaigns.models import Customer, Journey

pytestmark = pytest.mark.django_db

BOUGHT = {
    "did": "Bought",
    "op": "at_least",
    "times": 1,
    "within": {"amount": 7, "unit": "days"},
}


@pytest.mark.parametrize(("later", "remembered"), [(0, True), (1, False)])
def test_what_the_latest_of_them_did_counts(world, later, remembered):
    """A question costs a look for each: nobody may become too dear by many merges."""
    world.rule("thanks", "Viewed", condition=BOUGHT)
    world.known("ann")
    world.does("bob", "Bought")
    bob = Customer.objects.get(user_id="bob").pk
    others = range(10**9, 10**9 + MOST_REMEMBERED - 1 + later)
    Customer.objects.filter(user_id="ann").update(merged_ids=[bob, *others])
    world.does("ann", "Viewed")
    assert Journey.objects.exists() is remembered
