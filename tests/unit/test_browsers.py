"""What browsers may send us, and what our own script does in them."""

import re
from pathlib import Path

from django.core.files.uploadedfile import SimpleUploadedFile

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "campaigns" / "static").rglob("*.js"))
# What would turn text into code or markup, and where a browser keeps things.
RUNS = r"\beval\b|\bFunction\(|innerHTML|outerHTML|insertAdjacentHTML|document\.write\b"
KEEPS = r"localStorage|sessionStorage|indexedDB|\bcaches\."


def test_no_form_takes_a_file(rf):
    sent = {"name": "ada", "file": SimpleUploadedFile("x.html", b"x" * 3_000_000)}
    taken = rf.post("/admin/login/", sent)
    assert taken.POST.dict() == {"name": "ada"}
    assert not taken.FILES


def test_our_script_runs_no_text_and_keeps_the_time_zone_alone():
    assert SCRIPTS
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert re.findall(f"{RUNS}|{KEEPS}", text) == []
        assert set(re.findall(r"document\.cookie = ([^+]+)", text)) <= {'"et_zone=" '}
