"""The demo's rules and customers, started with a real key: nobody is mailed."""

import pytest

from campaigns import tasks
from campaigns.journeys import demo_data
from campaigns.journeys.publishing import resume
from campaigns.management.commands import cluster
from campaigns.models import IngestState, Journey, Message, Rule, RuleStatusChange
from demo.seed import seed
from demo.sendgrid_simulator.server import Simulator
from tests.db.rule_rows import happened

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(settings):
    """Where mail arrives, be it that of the demo or of a real key."""
    simulator = Simulator().start()
    settings.SENDGRID_HOST = simulator.url
    yield simulator
    simulator.stop()


@pytest.fixture
def demo(settings, provider):
    """A demo in which one mail left, one is queued, and one journey waits."""
    settings.SIMULATED = True
    demo_data.begin()
    seed(write_key="demo-key", live=True)
    happened("ada", "Signed Up")
    tasks.drain_mail()
    assert len(provider.messages()) == 1
    happened("bob", "Product Viewed", price=89)
    happened("eve", "Signed Up")
    return provider


def go_real(settings):
    settings.SIMULATED = False
    settings.SENDGRID_API_KEY = "SG.real"


def statuses():
    return set(Rule.objects.values_list("status", flat=True))


def test_the_first_drain_with_a_real_key_pauses_all_and_mails_nobody(
    demo, settings, caplog
):
    go_real(settings)
    tasks.drain_mail()
    assert statuses() == {"paused"}
    assert len(demo.messages()) == 1
    assert "Cart recovery, Pricing help" in caplog.text
    assert Message.objects.filter(state="sent").count() == 1
    said = RuleStatusChange.objects.filter(status="paused")
    assert set(said.values_list("changed_by", flat=True)) == {demo_data.BY}


def test_what_happens_afterwards_starts_nothing(demo, settings):
    go_real(settings)
    tasks.drain_mail()
    before = Journey.objects.count()
    happened("mallory", "Signed Up")
    tasks.drain_mail()
    assert Journey.objects.count() == before
    assert len(demo.messages()) == 1


def test_a_rule_that_somebody_resumes_stays_active_and_mails(demo, settings):
    go_real(settings)
    tasks.drain_mail()
    resume(Rule.objects.get(name="Welcome").pk, by="marketer")
    tasks.drain_mail()
    assert demo_data.confirm() == []
    assert Rule.objects.get(name="Welcome").status == "active"
    assert {m["to"] for m in demo.messages()} == {"ada@example.com", "eve@example.com"}


def test_data_that_never_saw_the_simulator_are_left_alone(settings, provider):
    go_real(settings)
    seed(write_key="real-key", live=True)
    happened("ada", "Signed Up")
    tasks.drain_mail()
    assert statuses() == {"active"}
    assert len(provider.messages()) == 1


def test_a_host_that_forgot_its_key_does_not_make_real_data_a_demo(settings, provider):
    """Else the hosts that have it would pause every rule of production."""
    go_real(settings)
    seed(write_key="real-key", live=True)
    tasks.drain_mail()
    settings.SIMULATED = True
    tasks.drain_mail()
    assert not IngestState.objects.get(pk=1).from_demo
    go_real(settings)
    tasks.drain_mail()
    assert statuses() == {"active"}


def test_a_rehearsal_s_data_are_a_demo_s(settings, provider):
    """Clusters that were led to a simulator; whom it planned for is mailed by nobody."""
    settings.SIMULATED = settings.PROVIDER_NAMED = True
    cluster.check_database()
    seed(write_key="demo-key", live=True)
    happened("ada", "Signed Up")
    go_real(settings)
    tasks.drain_mail()
    assert provider.messages() == []
    assert statuses() == {"paused"}


def test_no_demo_is_begun_on_data_whose_mails_left_with_a_real_key(settings, provider):
    """The simulator would take what is planned for people."""
    go_real(settings)
    seed(write_key="real-key", live=True)
    happened("ada", "Signed Up")
    tasks.drain_mail()
    assert len(provider.messages()) == 1
    settings.SIMULATED = True
    with pytest.raises(demo_data.KeyMissing, match="SENDGRID_API_KEY"):
        demo_data.begin()
    assert not IngestState.objects.get(pk=1).from_demo


def test_a_demo_may_be_begun_again_after_its_mails_left(demo):
    demo_data.begin()
    assert IngestState.objects.get(pk=1).from_demo


def test_a_crash_between_the_pauses_leaves_the_rest_to_the_next(
    demo, settings, monkeypatch
):
    go_real(settings)
    paused = []

    def dies_at_the_third(rule_id, *, by):
        if len(paused) == 2:
            raise KeyboardInterrupt
        paused.append(rule_id)
        real(rule_id, by=by)

    real = demo_data.pause
    monkeypatch.setattr(demo_data, "pause", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        demo_data.confirm()
    monkeypatch.undo()
    assert IngestState.objects.get(pk=1).from_demo
    assert len(demo_data.confirm()) == 3
    assert statuses() == {"paused"}
    assert not IngestState.objects.get(pk=1).from_demo
