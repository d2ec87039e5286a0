"""Logs: one line for each record, as JSON or for people, without addresses and keys.

What we log ourselves names rows by their numbers. Texts of errors come from
elsewhere, and PostgreSQL quotes values of rows in them: addresses, keys and its
DETAIL are taken out of every line, wherever they stand.
"""

import json
import logging
import os
import re
import socket
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

FORMATS: Final = ("auto", "json", "plain")
# What callers may give as `extra`.
FIELDS: Final = ("event_id", "journey_id", "message_id", "batch_id", "rule_id")
# Rather too much than too little; bounded, so that no text takes long to search.
ADDRESS: Final = re.compile(r"[^\s<>]{1,64}(?:@|%40)[^\s<>\"'(),;:\[\]{}|]{1,255}")
SECRET: Final = re.compile(
    r"SG\.[\w.-]{8,}|(?i:bearer|basic) [\w.~+/=-]{8,}|(?<=://)[^\s/@]*:[^\s/@]*(?=@)"
)
# Keys and tokens that stand in paths.
IN_PATH: Final = re.compile(r"(/v1/projects/|/webhooks/\w+/|/u/)[^\s\"',?/]+")
# Paths that name nobody; what else a client asks for may be anything.
KNOWN: Final = (
    "/v1/",
    "/webhooks/",
    "/u/",
    "/admin/",
    "/static/",
    "/readyz",
    "/metrics",
)
# Values of a row, as the server quotes them, to the end of their line.
QUOTED: Final = re.compile(
    r"(?m)^(?:DETAIL|CONTEXT|HINT|LINE \d+|QUERY|STATEMENT):.*$|"
    r"(?<=invalid input syntax for type )(\w+): .*$|"
    r"(?<=parameters: ).*$"
)


def scrubbed(text: str) -> str:
    """Return the text without what identifies people or opens doors."""
    text = SECRET.sub("<secret>", text)
    text = IN_PATH.sub(r"\1<key>", text)
    text = QUOTED.sub("<values>", text)
    return ADDRESS.sub("<address>", text)


class StrangePaths(logging.Filter):
    """Leave paths out of Django's own lines that we do not know: they may be anything."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite (reason, path), the arguments of those lines."""
        match record.args:
            case (reason, str(path)) if not path.startswith(KNOWN):
                record.args = (reason, "another path")
        return True


class PlainFormatter(logging.Formatter):
    """For people at a terminal: an error's traceback follows its line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return scrubbed(super().format(record))


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object on one line."""

    def __init__(self, process: str) -> None:
        """Name the process, as its kind; its number is a field of its own."""
        super().__init__()
        self._process = process
        self._host = socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON: time, level, logger, message, process, host, ids."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": scrubbed(record.getMessage()),
            "process": self._process,
            "pid": os.getpid(),
            "thread": record.threadName,
            "host": self._host,
        }
        given = {name: getattr(record, name, None) for name in FIELDS}
        fields |= {name: value for name, value in given.items() if value is not None}
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
            stack = "".join(traceback.format_exception(*record.exc_info))
            fields["stack"] = scrubbed(stack)
        return json.dumps(fields, ensure_ascii=False, default=str)


def chosen(wanted: str, arguments: Sequence[str]) -> str:
    """Return json or plain: plain at a terminal, and for `manage.py run`."""
    if wanted != "auto":
        return wanted
    for_people = sys.stderr.isatty() or list(arguments[1:2]) == ["run"]
    return "plain" if for_people else "json"


def configured(style: str, *, level: str, process: str) -> dict[str, Any]:
    """Return LOGGING: everything to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            # A probe that is told "not ready" is an answer, not an error of ours.
            "probes": {
                "()": "django.utils.log.CallbackFilter",
                "callback": lambda record: "/readyz" not in record.args,
            },
            "paths": {"()": "emailtriggers.logs.StrangePaths"},
            "floods": {"()": "emailtriggers.floods.Floods"},
        },
        "formatters": {
            "plain": {
                "()": "emailtriggers.logs.PlainFormatter",
                "format": "{asctime} {levelname} {name}: {message}",
                "style": "{",
            },
            "json": {"()": "emailtriggers.logs.JsonFormatter", "process": process},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": style,
                "filters": ["floods"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Its INFO tells each task; a task here is only a wake-up.
            "django-q": {"level": "WARNING"},
            "django.request": {"filters": ["probes", "paths"]},
            # Django's own would write by a handler of its own.
            "django.server": {"handlers": ["stderr"], "propagate": False},
        },
    }
