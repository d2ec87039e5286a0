"""msgspec learns types while modules are imported, by one thread, and never later.

A thread that uses a type while another's first use is learning it finds it half
learned, and the process dies of that (msgspec 0.22: a NULL in `convert`).
"""

import subprocess
import sys

import pytest

from tests.unit.domain.test_documents import full

LEARN_NO_MORE = """
import msgspec._utils as learning

def refuse(cls):
    raise AssertionError(f"{cls} is learned at its first use")

learning._get_class_mro_and_typevar_mappings = refuse
"""
DOMAIN = "import campaigns.domain."
WIRE = "import datetime, campaigns.receive.wire.segment as module"
PARSE = "module.parse('{}', b'{}', received_at=datetime.datetime.now(datetime.UTC))"
USES = {
    "rule": (
        f"{DOMAIN}documents as module",
        f"module.msgspec.convert({full()}, module.Document, dec_hook=module.decode_hook)",
    ),
    "duration": (
        f"{DOMAIN}condition_tree as module",
        "module.msgspec.convert({'amount': 1, 'unit': 'days'}, module.Duration)",
    ),
    "event": (WIRE, PARSE.format("track", '{"userId": "u", "event": "e"}')),
    "batch": (WIRE, PARSE.format("batch", '{"batch": [{"type": "track"}]}')),
}


@pytest.mark.parametrize(("imported", "use"), USES.values(), ids=USES)
def test_a_type_is_known_before_two_threads_can_use_it(imported, use):
    code = f"{imported}\n{LEARN_NO_MORE}\n{use}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
