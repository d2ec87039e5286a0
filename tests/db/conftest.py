"""What every database test starts from, whatever ran before it in the process."""

import pytest
from django.utils import timezone

from campaigns.deciding import marks, rulesets
from campaigns.ingest import partitions
from campaigns.models import IngestState


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
