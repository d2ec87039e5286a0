"""Who of ours opens connections: the provider's client, and few others, each known."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("campaigns", "emailtriggers")
NETWORK = (
    "aiohttp", "ftplib", "grpc", "http.client", "httpx", "poplib", "imaplib",
    "python_http_client", "requests", "sendgrid", "smtplib", "socket", "ssl",
    "telnetlib", "urllib.request", "urllib3", "websockets", "xmlrpc",
)  # fmt: skip
# Beside the drivers of the database and the cache, which go where settings say.
KNOWN = {
    "campaigns/providers/sendgrid/client.py": "the provider",
    "campaigns/providers/sendgrid/payload.py": "makes the provider's JSON",
    "campaigns/providers/sendgrid/scopes.py": "the provider",
    "campaigns/providers/sendgrid/transport.py": "the provider",
    "campaigns/watching/doctor_host.py": "looks PUBLIC_URL's name up",
    "emailtriggers/logs.py": "asks for this host's name",
    "emailtriggers/management/commands/run.py": "its own web process",
    "emailtriggers/running.py": "whether a port of its own is free",
}


def imported(source):
    """Return the names of the modules that code imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{a.name}" for a in node.names}
    return found


def calls_out(source):
    """Return whether code imports what opens connections."""
    return any(
        name == known or name.startswith(f"{known}.")
        for name in imported(source)
        for known in NETWORK
    )


def test_only_these_modules_can_call_anybody():
    files = [path for folder in OURS for path in (ROOT / folder).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT))
        for path in files
        if calls_out(path.read_text(encoding="utf-8"))
    }
    assert found == KNOWN.keys()


def test_an_import_is_found_wherever_it_stands():
    for line in (
        "import urllib.request",
        "from urllib import request",
        "def f():\n    import requests",
        "from http.client import HTTPConnection",
    ):
        assert calls_out(line), line
    assert not calls_out("from urllib.parse import urlsplit\nimport http")
