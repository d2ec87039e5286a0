"""What every database test starts from, whatever ran before it in the process."""

import pytest
from django.utils import timezone

from campaigns.deciding import clock, marks, rulesets
from campaigns.ingest import partitions
from campaigns.models import IngestState
from campaigns.reports.sums import differences
from tests.db.big_tables import big_database, leading_to
from tests.db.plans import Tables
from tests.db.webhooks import NOW, At
from tests.db.world import Clock, World


@pytest.fixture(autouse=True)
def fresh_ruleset(request):
    """Nothing compiled, and the one row that a flushed database lacks."""
    rulesets.forget()
    marks.forget()
    partitions.forget()
    if request.node.get_closest_marker("django_db"):
        kind = request.node.get_closest_marker("django_db").kwargs
        request.getfixturevalue("transactional_db" if kind.get("transaction") else "db")
        IngestState.objects.get_or_create(id=1, defaults={"rotated_at": timezone.now()})


@pytest.fixture
def time():
    """The hour at which the tests' webhooks come; a test may move it."""
    at = At(NOW)
    with clock.use(at):
        yield at


@pytest.fixture
def world(db):
    """A shop at a still clock, whose sums must agree when the test is over."""
    still = Clock()
    with clock.use(still):
        made = World(still)
        yield made
        assert differences() == []


@pytest.fixture(scope="session")
def big_tables(django_db_setup, django_db_blocker):
    """The name of a database with big tables, made at the first test that asks."""
    with django_db_blocker.unblock(), big_database() as name:
        yield name


@pytest.fixture(scope="module")
def big(big_tables, django_db_blocker):
    """Big tables under a whole module; what a test writes is rolled back."""
    with django_db_blocker.unblock(), leading_to(big_tables):
        yield Tables.read()
