"""The shop of the sample rules, ready to report: SDK, server, engine, inbox, clock."""

import pytest
from segment.analytics import Client

from campaigns.deciding import clock as clocks
from demo.seed import seed
from demo.sendgrid_simulator import Simulator
from tests.e2e.live import clean_server, fresh_start
from tests.e2e.shop import KEY, Reported, SetClock, Shop


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def simulator():
    running = Simulator().start()
    yield running
    running.stop()


@pytest.fixture
def shop(live_server, monkeypatch, settings, simulator, clock):
    settings.PUBLIC_URL = live_server.url
    settings.SENDGRID_HOST = simulator.url
    settings.SENDGRID_API_KEY = "SG.samples"
    with clean_server(monkeypatch), clocks.use(clock):
        fresh_start()
        seed(write_key=KEY, live=True)
        sdk = Client(
            KEY,
            host=live_server.url,
            on_error=Reported(),
            upload_interval=0.01,  # how long it waits for more; tests need not
        )
        yield Shop(sdk=sdk, simulator=simulator, clock=clock)
        sdk.join()
