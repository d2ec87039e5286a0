import subprocess
import sys
from pathlib import Path

import pytest

DOMAIN = Path(__file__).parents[3] / "campaigns" / "domain"
MODULES = sorted(
    f"campaigns.domain.{path.stem}"
    for path in DOMAIN.glob("*.py")
    if path.stem != "__init__"
)
FORBIDDEN = "django,django_q,psycopg,sendgrid,jinja2,emailtriggers"
PROGRAM = """
import importlib, sys
forbidden = set(sys.argv[1].split(","))
for name in sys.argv[2:]:
    importlib.import_module(name)
    found = sorted({m.partition(".")[0] for m in sys.modules} & forbidden)
    if found:
        sys.exit(f"{name} brings in {found}")
"""


def imported(*modules: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, FORBIDDEN, *modules],
        capture_output=True,
        text=True,
        cwd=DOMAIN.parents[1],
        check=False,
        timeout=60,
    )


def test_no_module_of_the_domain_brings_in_django_or_anything_impure():
    assert len(MODULES) > 10
    done = imported(*MODULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["django.conf", "campaigns.models.rules"])
def test_the_check_notices_what_is_impure(name):
    done = imported(name)
    assert done.returncode != 0
    assert "django" in done.stderr
