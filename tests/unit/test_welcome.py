"""What `make run` prints once everything runs."""

import re

from emailtriggers.management.commands.run import welcome


def test_the_demo_proposes_a_first_event_and_says_where_its_mail_arrives(settings):
    settings.SIMULATED = True
    settings.PUBLIC_URL = "http://localhost:8001"
    settings.INBOX_PORT = 8026
    said = welcome(password="pw", key="wk", active=5)
    assert "http://localhost:8001/admin/   (login admin, password pw)" in said
    assert "Inbox      http://localhost:8026/" in said
    assert re.search(r"curl -u wk: .*\\\n +http://localhost:8001/v1/track -d '{", said)


def test_with_a_real_provider_it_proposes_to_mail_nobody(settings):
    settings.SIMULATED = False
    said = welcome(password="", key="wk", active=3)
    assert "active rules: 3" in said
    assert "your own login" in said
    assert "Write key  wk" in said
    assert "curl" not in said
    assert "example.com" not in said.replace(settings.PUBLIC_URL, "")
