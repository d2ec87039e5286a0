"""Two customers become one; what the survivor remembers of the others is bounded."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.merging import merge
from campaigns.domain.people import MOST_REMEMBERED
from tests.unit.domain.people import NOON, person, ruleset, state

DAY = timedelta(days=1)


def member(number, *merged, born=NOON):
    return state(
        who=person(
            id=number, born_as=f"u{number}", created_at=born, merged_ids=tuple(merged)
        )
    )


@given(
    ours=st.integers(0, 2 * MOST_REMEMBERED), theirs=st.integers(0, 2 * MOST_REMEMBERED)
)
def test_of_those_merged_the_latest_are_remembered_and_none_is_lost(ours, theirs):
    before = range(1_000, 1_000 + ours)
    loser = member(2, *range(5_000, 5_000 + theirs), born=NOON + DAY)
    survivor, gone = merge(member(1, *before), loser, ruleset(), now=NOON + 2 * DAY)
    merged = survivor.person.merged_ids
    assert sorted(merged) == sorted([2, *before, *loser.person.merged_ids])
    assert gone.person.merged_into == 1
    asked = survivor.person.remembered_ids
    assert {1, 2} <= {*asked}
    assert len(asked) == 1 + min(len(merged), MOST_REMEMBERED)
    assert asked[1:] == merged[-MOST_REMEMBERED:]


def test_the_older_survives_whoever_is_named_first():
    older, younger = member(9), member(2, born=NOON + DAY)
    assert merge(older, younger, ruleset(), now=NOON) == merge(
        younger, older, ruleset(), now=NOON
    )
