"""The keel runs with the order of decisions recorded."""

import pytest

from campaigns.ingest import fold


@pytest.fixture
def settings_recording(settings):
    settings.RECORD_ORDER = True
    return settings


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch):
    """Batches here are small, and their plain events are to be stored meanwhile too."""
    monkeypatch.setattr(fold, "WORTH_A_STATEMENT", 1)
