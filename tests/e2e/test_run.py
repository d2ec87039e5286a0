"""`manage.py run`: Ctrl-C stops all of it, and the next start goes on where it was."""

import socket
from collections import Counter
from contextlib import closing
from typing import Final

import pytest

from campaigns.management.locks import hold
from tests.e2e.load import Load
from tests.e2e.product import Product, wait_for

pytestmark = pytest.mark.crash

EVENTS: Final = 400
# Promised are 10 and 5 seconds on two cores, which `make bench` measures; here others
# may use them at the same time.
CLUSTER_GRACE_S: Final = 4.0
STOPPED_S: Final = 15.0
STARTED_S: Final = 60.0


@pytest.fixture
def product(tmp_path):
    made = Product(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.end()


def states(product: Product) -> dict[str, int]:
    rows = product.sql("SELECT state, count(*) FROM campaigns_message GROUP BY 1")
    return dict(rows)


def test_ctrl_c_stops_all_and_the_next_start_goes_on(product):
    product.set_faults({"delay_ms": 120})
    load = Load(port=product.port, key=product.key, name="kept", total=EVENTS)
    ledger = load.start().finish()
    assert len(ledger.acknowledged) == EVENTS
    wait_for(lambda: states(product).get("sending"), "mails on their way")

    took, code, left = product.interrupt()
    assert code == 0
    assert left == []
    assert took < STOPPED_S
    assert "Traceback" not in product.log.read_text()

    key = product.key
    again = product.start()
    print(f"\nstopped in {took:.1f} s, started again in {again:.1f} s")
    assert again < STARTED_S
    assert product.key == key
    everybody = len(ledger.signed_up)
    wait_for(lambda: states(product).keys() <= {"sent", "unknown"}, "an end of all")
    found = states(product)
    assert sum(found.values()) == everybody
    # Only work that went on beyond its grace was cut short.
    assert found == {"sent": everybody} or took > CLUSTER_GRACE_S
    handed = Counter(mail["to"] for mail in product.inbox())
    assert handed.keys() <= ledger.signed_up.keys()
    assert set(handed.values()) == {1}
    assert product.sql("SELECT count(*) FROM campaigns_event") == [(EVENTS,)]
    assert product.manage("check_sums").returncode == 0


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    second = Product(tmp_path)
    second.var.mkdir()
    with hold(second.var / "run.lock"):
        refused = second.manage("run")
    assert refused.returncode == 1
    assert f"runs already (VAR_DIR is {second.var})" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("name", ["PORT", "INBOX_PORT"])
def test_a_taken_port_is_one_clear_sentence(tmp_path, name):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        refused = Product(tmp_path, **{name: str(port)}).manage("run")
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in refused.stderr
    assert f"{name}={port + 1} make run" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_demos_data_started_with_a_real_key_pause_all_and_say_so(product):
    product.interrupt()
    product.environment |= {
        "SENDGRID_API_KEY": "SG.real",
        "SENDGRID_HOST": "http://127.0.0.1:9",  # nobody is there
        "PUBLIC_URL": "https://mail.example.com",
    }
    product.start()
    statuses = product.sql("SELECT DISTINCT status FROM campaigns_rule")
    assert statuses == [("paused",)]
    said = wait_for(lambda: "was paused:" in product.log.read_text(), "the sentence")
    assert said
