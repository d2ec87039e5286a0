"""One real PostgreSQL for the whole run; each xdist worker has its own database."""

import os
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

STARTED = "EMAILTRIGGERS_TEST_PG"


def pytest_configure(config):
    if os.environ.get("DATABASE_URL") or hasattr(config, "workerinput"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from emailtriggers.postgres import EmbeddedPostgres

        folder = Path(tempfile.mkdtemp(prefix="et-pg-"))
        server = EmbeddedPostgres(folder / "data")
        folder.chmod(0o755)
        server.start()
        server.create_database("emailtriggers")
    os.environ["DATABASE_URL"] = (
        f"postgres://postgres@/emailtriggers?host={server.folder}"
    )
    config.stash[SERVER] = (server, folder)


SERVER = pytest.StashKey()


def pytest_unconfigure(config):
    if SERVER in config.stash:
        server, folder = config.stash[SERVER]
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
