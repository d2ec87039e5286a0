"""Everything through a real PgBouncer in transaction mode, and what the doctor says."""

import http.cookiejar
import re
import urllib.parse
import urllib.request
from collections import Counter

import pytest

from bench.pooler import pooler
from tests.e2e.load import Load
from tests.e2e.product import Product, wait_for
from tests.e2e.servers import server

pytestmark = pytest.mark.crash

EVENTS = 400
PAGES = (
    "", "campaigns/customer/", "campaigns/event/", "campaigns/message/",
    "campaigns/rule/", "campaigns/journey/", "campaigns/source/",
)  # fmt: skip


@pytest.fixture
def database(tmp_path):
    with server(tmp_path / "database") as made:
        yield made


@pytest.fixture
def between(tmp_path, database):
    with pooler(tmp_path / "pooler", database.postgres) as made:
        yield made


@pytest.fixture
def product(tmp_path, between):
    made = Product(
        tmp_path,
        DATABASE_URL=between.url,
        SECRET_KEY="k" * 64,
        DATABASE_POOLED="yes",
    )
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_the_whole_product_works_through_a_pooler(product, database, between):
    # `manage.py run` has migrated and seeded through it by now.
    load = Load(port=product.port, key=product.key, name="p", total=EVENTS, rate=80.0)
    ledger = load.start().finish()
    assert (ledger.refused, ledger.given_up, ledger.retries) == ([], set(), 0)
    wait_for(lambda: states(product) == {"sent": len(ledger.signed_up)}, "all left")
    stored = product.sql("SELECT message_id FROM campaigns_event")
    assert Counter(row[0] for row in stored) == Counter(ledger.acknowledged)
    handed = {m["message"]: m["count"] for m in product.inbox("/api/handovers")}
    assert set(handed.values()) == {1}
    assert len(handed) == len(ledger.signed_up)
    assert product.manage("check_sums").returncode == 0
    assert product.manage("migrate", "--check").returncode == 0
    browser = signed_in(product)
    for page in PAGES:
        with browser.open(f"http://127.0.0.1:{product.port}/admin/{page}") as answer:
            assert answer.status == 200, page
    said = product.manage("doctor").stdout
    assert "nothing is kept in a session" in said
    # All of that, by many clients, through the few servers of the pool.
    servers = database.ask(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'emailtriggers'"
    )
    assert servers <= 5
    assert "prepared statement" not in product.log.read_text()
    assert "ERROR" not in product.log.read_text()


def test_the_doctor_names_a_pooler_that_refuses_what_it_is_asked(tmp_path, between):
    said = doctor(tmp_path, between.url)
    assert "refuses what a connection to PostgreSQL itself asks for" in said
    assert "DATABASE_POOLED=yes" in said


@pytest.mark.parametrize(
    ("mode", "pooled", "says"),
    [
        ("transaction", "no", "changes servers between transactions"),
        ("session", "no", "seems to keep to one server"),
        ("transaction", "yes", "nothing is kept in a session"),
    ],
    ids=["forgotten", "session", "set"],
)
def test_the_doctor_tells_the_modes_of_a_pooler(tmp_path, database, mode, pooled, says):
    ignoring = {"ignore_startup_parameters": "options"}
    folder = tmp_path / "pooler"
    with pooler(folder, database.postgres, pool_mode=mode, **ignoring) as made:
        wait_for(lambda: says in doctor(tmp_path, made.url, pooled=pooled), says)


def test_the_doctor_tells_that_no_pooler_is_there(tmp_path, database):
    assert "None between" in doctor(tmp_path, database.url)
    assert "for nothing" in doctor(tmp_path, database.url, pooled="yes")


def doctor(folder, url, *, pooled="no"):
    """Return what the doctor of an installation says; nothing else of it runs."""
    made = Product(
        folder, DATABASE_URL=url, SECRET_KEY="k" * 64, DATABASE_POOLED=pooled
    )
    return made.manage("doctor").stdout


def states(product):
    query = "SELECT state, count(*) FROM campaigns_message GROUP BY 1"
    return dict(product.sql(query))


def signed_in(product):
    """Return a browser of the administrator's."""
    address = f"http://127.0.0.1:{product.port}/admin/login/"
    jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    browser = urllib.request.build_opener(jar)
    with browser.open(address) as page:
        token = re.search(
            r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode()
        )
    password = (product.var / "admin_password").read_text().strip()
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token[1]}
    sent = urllib.parse.urlencode(form).encode()
    with browser.open(urllib.request.Request(address, sent)) as answer:
        assert "logout" in answer.read().decode()
    return browser
