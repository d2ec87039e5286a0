"""A real PostgreSQL for every test that asks for a database.

DATABASE_URL, if set, names the server; else one embedded server is started for
the whole run (also under xdist: the controller starts it, each worker has a
database of its own on it) and removed at its end.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, settings

from emailtriggers.postgres import Postgres

SOCKET_DIR = "EMAILTRIGGERS_TEST_SOCKET_DIR"
# Power cuts are not tested; the rest of a crash needs no fsync.
PARAMETERS = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}

# No test depends on speed: neither of the machine, nor of the first run in a folder.
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# For `make mutate`: a few examples, always the same; a failure needs no smaller one.
settings.register_profile(
    "mutation",
    parent=settings.get_profile("steady"),
    derandomize=True,
    database=None,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("steady")


class _Server:
    """The run's server, started when first asked for."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.postgres: Postgres | None = None

    def socket_dir(self) -> str:
        if SOCKET_DIR not in os.environ:
            self.folder = Path(tempfile.mkdtemp(prefix="et-pg-"))
            self.folder.chmod(0o711)
            self.postgres = Postgres(
                self.folder / "data", log=self.folder / "log", parameters=PARAMETERS
            )
            self.postgres.start()
            os.environ[SOCKET_DIR] = str(self.postgres.socket_dir)
        return os.environ[SOCKET_DIR]

    def stop(self) -> None:
        if self.postgres is None or self.folder is None:
            return
        self.postgres.stop()
        shutil.rmtree(self.folder)
        del os.environ[SOCKET_DIR]


_server = _Server()


def pytest_configure(config: pytest.Config) -> None:
    """Under xdist, start the server before the workers inherit the environment."""
    is_worker = hasattr(config, "workerinput")
    many = getattr(config.option, "numprocesses", None)
    if many and not is_worker and not os.environ.get("DATABASE_URL"):
        _server.socket_dir()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything is there, so a skipped test is one that nobody ran."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, and CI runs all: {report.longrepr}"
        )
    return report


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    _server.stop()


@pytest.fixture(autouse=True)
def lane_ends() -> Generator[None, None, None]:
    """No thread of the lane, and no connection of its own, outlives a test."""
    yield
    module = sys.modules.get("campaigns.ingest.lane")
    assert module is None or module.LANE.close(patience_s=30)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None,
) -> None:
    """Point the tests' database at the run's server."""
    if not os.environ.get("DATABASE_URL"):
        connections["default"].settings_dict["HOST"] = _server.socket_dir()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Generator[None]:
    """Before the database is dropped, end what a test's thread left open, and say so."""
    yield
    at = connections["default"].settings_dict
    known = {"dbname": "postgres", "host": at["HOST"], "user": at["USER"]}
    known |= {"password": at["PASSWORD"], "port": at["PORT"]}
    given = {name: value for name, value in known.items() if value}
    connections.close_all()
    with psycopg.connect(**given, autocommit=True) as session:
        left = session.execute(
            "SELECT state, query, pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s",
            [at["NAME"]],
        )
        for state, query, _ in left:
            sys.stderr.write(f"a session was left open: {state}: {query}\n")


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """Return the DATABASE_URL of this test's database, for processes of its own."""
    at = connections["default"].settings_dict
    login = quote(at["USER"] or "", safe="")
    if at["PASSWORD"]:
        login += ":" + quote(at["PASSWORD"], safe="")
    port = f":{at['PORT']}" if at["PORT"] else ""
    host = quote(at["HOST"] or "localhost", safe="")
    return f"postgresql://{login}@{host}{port}/{at['NAME']}"
