"""docs/flow.md speaks of modules, tables, states and numbers that exist."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from campaigns.domain.settle import MAX_ATTEMPTS
from campaigns.domain.states import AttemptState, JourneyState, MessageState
from campaigns.queue import TICK_S

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "flow.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
FILES = sorted(c for c in CODE if re.fullmatch(r"[\w/]+\.py", c))


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_is_named_exists(path):
    assert (ROOT / path).is_file() or (ROOT / "campaigns" / path).is_file()


def test_every_table_that_is_left_exists():
    (section,) = re.findall(r"## Step by step\n(.*?)\n## ", TEXT, re.DOTALL)
    columns = [line.split("|")[4] for line in section.splitlines() if "| " in line]
    named = {name for cell in columns for name in re.findall(r"`(\w+)`", cell)}
    known = {model._meta.db_table for model in apps.get_models()}
    known |= {"campaigns_dedupe_0", "campaigns_dedupe_1"}
    assert len(named) >= 15
    assert {f"campaigns_{name}" for name in named} <= known


@pytest.mark.parametrize("states", [JourneyState, MessageState, AttemptState])
def test_every_state_is_in_the_picture(states):
    (section,) = re.findall(r"## States.*?```(.*?)```", TEXT, re.DOTALL)
    start = {JourneyState: 0, MessageState: 1, AttemptState: 2}[states]
    picture = re.split(r"\n(?=message|attempt)", section)[start]
    assert {s for s in states if not re.search(rf"\b{s}\b", picture)} == set()


def test_the_numbers_are_the_settings():
    assert f"deadline of {settings.POST_DEADLINE_S} s" in TEXT
    assert f"a lease of {settings.LEASE_S} s" in TEXT
    assert f"every {round(TICK_S * 1000)} ms" in TEXT
    assert f"after {MAX_ATTEMPTS} attempts" in TEXT
