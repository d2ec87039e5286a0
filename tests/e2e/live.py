"""A source whose key works against pytest-django's live server."""

from contextlib import contextmanager

from django.db import connections
from django.utils import timezone

from campaigns.deciding import rulesets
from campaigns.domain.events import Trust
from campaigns.ingest import partitions
from campaigns.metrics.refused import REFUSED
from campaigns.models import Event, IngestState, Source, SourceKey
from campaigns.receive.auth import KEYS, hash_key
from campaigns.receive.limits import LIMITER


def fresh_start():
    """Let this process forget what it knew of the last test's database."""
    for memory in (KEYS, LIMITER, REFUSED, partitions, rulesets):
        memory.forget()
    IngestState.objects.get_or_create(id=1, defaults={"rotated_at": timezone.now()})


def write_key(name="Shop", *, trust=Trust.SECRET):
    """Return a new source's write key; this process forgets all older ones."""
    fresh_start()
    key = f"write-key-of-{name.lower()}"
    source = Source.objects.create(name=name, kind="segment", trust=trust)
    SourceKey.objects.create(source=source, key_hash=hash_key(key), prefix=key[:4])
    return key


@contextmanager
def clean_server(monkeypatch):
    """Let the server's threads keep no connection, and leave no event behind.

    A kept connection blocks the next test's flush; and a flush passes over the
    partitioned table, which Django does not manage.
    """
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    Event.objects.all().delete()
    yield
    Event.objects.all().delete()
