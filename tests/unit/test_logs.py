"""Log lines: one each, as JSON or for people, without what identifies anybody."""

import json
import logging
import sys
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailtriggers import logs
from emailtriggers.serving import JSON_LOGS, command

ADDRESS = "ada.lovelace+shop@mail.example.com"


def record(message="hello %s", *args, error=None, **extra):
    made = logging.LogRecord("campaigns.x", logging.ERROR, "", 1, message, args, error)
    made.__dict__.update(extra)
    return made


def as_json(made):
    line = logs.JsonFormatter("web").format(made)
    assert "\n" not in line
    return json.loads(line)


def failure(error):
    try:
        raise error
    except type(error):
        return sys.exc_info()


def test_a_line_holds_where_it_comes_from_and_the_ids():
    found = as_json(record("message %s", 7, message_id=7, journey_id=8, secret="no"))
    assert found["message"] == "message 7"
    assert (found["level"], found["logger"]) == ("ERROR", "campaigns.x")
    assert (found["message_id"], found["journey_id"]) == (7, 8)
    assert found["process"] == "web"
    assert {"host", "pid", "time", "thread"} <= found.keys()
    assert {"event_id", "secret"}.isdisjoint(found)
    assert found["time"].endswith("+00:00")


def test_an_error_is_one_line_with_its_stack():
    found = as_json(record("it\nfailed", error=failure(ValueError("why\nnot"))))
    assert found["error"] == "ValueError"
    assert "in failure" in found["stack"]


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        (f"no mail for {ADDRESS}.", ADDRESS),
        (f"<{ADDRESS}>", ADDRESS),
        ("/u/?to=ada%40example.com", "ada%40example"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("Basic d3JpdGUta2V5Og==", "d3JpdGUta2V5"),
        ("key SG.aaaaaaaaaa.bbbbbbb", "aaaaaaaaaa"),
        ("at postgresql://u:hunter2@db/x", "hunter2"),
        ("at redis://:hunter2@r:1/0", "hunter2"),
        ("no\nDETAIL:  Key (user_id)=(grace hopper) exists.", "grace"),
        ("no\nCONTEXT:  unnamed portal parameter $1 = 'grace'", "grace"),
        ('invalid input syntax for type json: "grace"', "grace"),
        ("Not Found: /v1/projects/WRITEKEY1/settings", "WRITEKEY1"),
        ("in /u/TOKEN.abc-1", "TOKEN"),
        ("in /webhooks/sendgrid/SLUG_1", "SLUG"),
    ],
    ids=[
        "address", "brackets", "quoted", "bearer", "basic", "sendgrid", "database",
        "cache", "detail", "context", "input", "write-key", "unsubscribe", "webhook",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["json", "plain"])
def test_what_identifies_people_or_opens_doors_is_taken_out(said, hidden, form):
    made = record("failed: %s", said, error=failure(RuntimeError(said)))
    formatters = {"json": logs.JsonFormatter("web"), "plain": logs.PlainFormatter()}
    line = formatters[form].format(made)
    assert hidden not in line
    assert "failed: " in line


@given(st.emails(), st.text(max_size=20), st.text(max_size=20))
def test_no_address_gets_through(address, before, after):
    shown = logs.scrubbed(f"{before} {address} {after}")
    assert address not in shown or address in before + after


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/grace.hopper", "another path"),
        ("/v1/track", "/v1/track"),
        ("/admin/campaigns/rule/3/", "/admin/campaigns/rule/3/"),
        ("/u/abc", "/u/<key>"),
    ],
    ids=["strange", "events", "admin", "unsubscribe"],
)
def test_a_strange_path_is_not_written(path, shown):
    made = record("%s: %s", "Not Found", path)
    assert logs.StrangePaths().filter(made)
    assert as_json(made)["message"] == f"Not Found: {shown}"


def test_a_long_line_is_searched_soon():
    began = process_time()
    logs.scrubbed("x" * 1_000_000)
    # A tenth of that; by squares it would be hours.
    assert process_time() - began < 10


def test_what_is_harmless_stays():
    said = "message 12: sent; rule 3 at 09:00, http://localhost:8000/readyz, 3 of 5"
    assert logs.scrubbed(said) == said


@pytest.mark.parametrize(
    ("wanted", "arguments", "style"),
    [
        ("auto", ["manage.py", "cluster"], "json"),
        ("auto", ["manage.py", "run"], "plain"),
        ("auto", [], "json"),
        ("plain", ["manage.py", "cluster"], "plain"),
        ("json", ["manage.py", "run"], "json"),
    ],
    ids=["cluster", "run", "other", "plain", "json"],
)
def test_the_form_is_chosen_by_who_reads(wanted, arguments, style, monkeypatch):
    class Pipe:
        def isatty(self):
            return False

    monkeypatch.setattr(logs.sys, "stderr", Pipe())
    assert logs.chosen(wanted, arguments) == style


def test_a_terminal_reads_plain_lines(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr(logs.sys, "stderr", Terminal())
    assert logs.chosen("auto", ["manage.py", "cluster"]) == "plain"


def test_the_servers_own_lines_are_json_too(settings):
    settings.LOG_FORMAT = "json"
    words = command(kill_after_s=1)
    assert words[words.index("--log-config") + 1] == str(JSON_LOGS)
    kept = json.loads(JSON_LOGS.read_text("utf-8"))
    assert kept["formatters"]["json"]["()"] == "emailtriggers.logs.JsonFormatter"
    settings.LOG_FORMAT = "plain"
    assert "--log-config" not in command(kill_after_s=1)
