"""Rules whose rows hold anything: publishing freezes them or says why not."""

from random import Random

import pytest
from django.db import DataError, transaction

from campaigns.deciding import rulesets
from campaigns.domain.documents import parse_document
from campaigns.journeys.publishing import PublishRefused, publish
from campaigns.models import Rule, RuleVersion
from fuzz import grammar
from fuzz.values import changed, odd
from tests.db.rule_rows import a_rule, a_template

pytestmark = pytest.mark.django_db

SEEDS = 4
TEXTS = ("cooldown_key", "exit_key", "goal_event")


def an_odd_rule(rng):
    """Return a rule in draft, or None: PostgreSQL cannot hold what was made up."""
    words = {name: str(odd(rng))[:100] for name in TEXTS if rng.random() < 0.2}
    condition = grammar.tree(rng, depth=2)
    if rng.random() < 0.5:
        condition = changed(rng, condition)
    html = "".join(rng.choice(grammar.PIECES) for _ in range(rng.randrange(4)))
    try:
        with transaction.atomic():
            template = a_template(html=f"<p>Hello</p>{html}")
            return a_rule(
                template=template,
                condition=condition,
                trigger_events=["Signed Up", *words.values()],
                goal_amount=rng.randrange(5),
                cooldown_amount=rng.randrange(3),
                **words,
            )
    except (DataError, UnicodeEncodeError):
        return None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_publishing_takes_a_sound_rule_and_refuses_others_in_words(seed):
    taken = refused = 0
    sentences = set()
    for number in range(12):
        rule = an_odd_rule(Random(seed * 1_000 + number))
        if rule is None:
            continue
        try:
            version = publish(rule.pk, by="ann")
        except PublishRefused as error:
            refused += 1
            sentences.add(str(error))
            assert not RuleVersion.objects.filter(rule=rule).exists()
        else:
            taken += 1
            parse_document(version.document)
            assert Rule.objects.get(pk=rule.pk).status == "active"
    rulesets.forget()
    assert taken + refused > 3
    assert refused
    assert all(sentences)
