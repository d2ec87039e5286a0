"""The same thing, many times at once, to two real web workers: it counts once."""

import base64
import http.client
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from tests.e2e.load import utc_now
from tests.e2e.product import Product, wait_for

pytestmark = pytest.mark.crash

CONNECTIONS: Final = 16
TIMES: Final = 50
Answer = tuple[int, object]  # status, body
WEEK: Final = timedelta(days=7)  # the cooldown of the sample rule "Product follow-up"


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """With DEMO_SPEED an hour's delay is a second; cooldowns stay as they are."""
    made = Product(tmp_path_factory.mktemp("fifty"), DEMO_SPEED="3600")
    try:
        made.start()
        yield made
    finally:
        made.end()


class Client:
    """One kept connection to the product."""

    def __init__(self, product: Product) -> None:
        self.to = http.client.HTTPConnection("127.0.0.1", product.port, timeout=30)
        login = base64.b64encode(f"{product.key}:".encode()).decode()
        self.headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/json",
        }

    def track(self, **event: object) -> Answer:
        """Post an event; return status and answer."""
        self.to.request("POST", "/v1/track", json.dumps(event), self.headers)
        answer = self.to.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture
def clients(product):
    """Connections that stand, and are spread over both web workers."""
    made = wait_for(lambda: spread(product), "connections to both web workers")
    yield made
    close(made)


def spread(product: Product) -> list[Client]:
    """Connect; return none if one worker has all, such as while another starts."""
    made = [Client(product) for _ in range(CONNECTIONS)]
    for client in made:
        client.to.request("GET", "/healthz")
        assert client.to.getresponse().read()
    ours = {client.to.sock.getsockname()[1] for client in made}
    served = [
        sum(
            bool(c.raddr) and c.raddr.port in ours
            for c in worker.net_connections("tcp")
        )
        for worker in product.part("web worker")
    ]
    if len(served) == 2 and min(served) > 0:
        return made
    close(made)
    return []


def close(made: list[Client]) -> None:
    """Close these connections."""
    for client in made:
        client.to.close()


def at_once(
    clients: list[Client], events: Sequence[Mapping[str, object]]
) -> list[Answer]:
    """Post events, dealt out to the clients, who all begin together; return answers."""
    shares = [events[n :: len(clients)] for n in range(len(clients))]
    start = threading.Barrier(len(clients))

    def post(client: Client, share: Sequence[Mapping[str, object]]) -> list[Answer]:
        start.wait(30)
        return [client.track(**event) for event in share]

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = pool.map(post, clients, shares)
        return [answer for some in answers for answer in some]


def settled(product: Product, email: str) -> list[dict[str, Any]]:
    """Wait until nothing more can come for that address; return its mails."""
    wait_for(lambda: inbox(product, email), f"a mail to {email}")
    open_ones = (
        "SELECT 1 FROM campaigns_journey j JOIN campaigns_customer c"
        " ON c.id = j.customer_id WHERE c.email = %s AND j.ended_at IS NULL"
    )
    wait_for(lambda: not product.sql(open_ones, email), "the end of every journey")
    return inbox(product, email)


def inbox(product: Product, email: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.inbox(f"/api/messages?to={email}")
    return found


def count(product: Product, what: str, email: str) -> int:
    query = (
        f"SELECT count(*) FROM campaigns_{what} x JOIN campaigns_customer c"
        " ON c.id = x.customer_id WHERE c.email = %s"
    )
    return int(product.sql(query, email)[0][0])


def test_an_event_posted_fifty_times_at_once_counts_once(product, clients):
    email = "fifty@example.com"
    event = {
        "messageId": "fifty",
        "userId": "fifty",
        "event": "Signed Up",
        "context": {"traits": {"email": email, "first_name": "Ada"}},
    }
    answers = at_once(clients, [event] * TIMES)

    assert answers == [(200, {"success": True})] * TIMES
    mails = settled(product, email)
    assert [mail["to"] for mail in mails] == [email]
    assert count(product, "event", email) == 1
    assert count(product, "journey", email) == 1
    assert count(product, "message", email) == 1
    handed = {row["message"]: row["count"] for row in product.inbox("/api/handovers")}
    assert handed[mails[0]["custom_args"]["et_message"]] == 1


@pytest.mark.parametrize("connections", [1, 5], ids=["in a row", "at once"])
def test_five_product_views_make_one_mail_and_say_why_not_more(
    product, clients, connections
):
    name = f"viewer-{connections}"
    email = f"{name}@example.com"
    views = [
        {
            "messageId": f"{name}-{n}",
            "userId": name,
            "event": "Product Viewed",
            "properties": {"name": "Lamp", "price": 40},
            "context": {"traits": {"email": email, "first_name": "Ada"}},
        }
        for n in range(5)
    ]
    before = utc_now()
    answers = at_once(clients[:connections], views)
    after = utc_now()

    assert answers == [(200, {"success": True})] * 5
    assert [mail["to"] for mail in settled(product, email)] == [email]
    assert count(product, "event", email) == 5
    assert count(product, "journey", email) == 1
    rows = product.sql(
        "SELECT decisions FROM campaigns_event WHERE message_id LIKE %s", f"{name}-%"
    )
    decisions = [decision for (decisions,) in rows for decision in decisions]
    reasons = Counter(decision["reason"] for decision in decisions)
    assert reasons == {"entered": 1, "cooldown": 4}
    for decision in decisions:
        if decision["reason"] == "cooldown":
            until = datetime.fromisoformat(decision["detail"]["until"])
            assert before + WEEK <= until <= after + WEEK
