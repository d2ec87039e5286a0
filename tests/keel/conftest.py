"""The keel runs with the order of decisions recorded."""

import pytest


@pytest.fixture
def settings_recording(settings):
    settings.RECORD_ORDER = True
    return settings
