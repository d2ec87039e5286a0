"""The whole product in one process: SDK, web server, engine, provider, and a clock."""

import threading
from datetime import UTC, datetime, timedelta

from campaigns.deciding import marks
from campaigns.dispatch.drain import drain
from campaigns.models import Event, Journey, Message

KEY = "the-write-key-of-the-samples"
# A Friday, 10:00 in New York, two days before its clocks change.
FRIDAY = datetime(2026, 3, 6, 15, tzinfo=UTC)


class SetClock:
    """Stands where tests put it; each reading is a microsecond later than the last."""

    def __init__(self, at=FRIDAY):
        self._at = at
        self._lock = threading.Lock()

    def now(self):
        with self._lock:
            self._at += timedelta(microseconds=1)
            return self._at

    def pass_by(self, by):
        with self._lock:
            self._at += by


class Reported:
    """What the SDK says went wrong."""

    def __init__(self):
        self.errors = []

    def __call__(self, error, items):
        self.errors.append(error)


class Shop:
    """A shop that reports with Segment's SDK, and its customers' inbox."""

    def __init__(self, *, sdk, simulator, clock):
        self.sdk = sdk
        self.simulator = simulator
        self.clock = clock
        marks.forget()

    def knows(self, user="u1", **traits):
        """Report who the user is."""
        said = {"email": f"{user}@example.com", "first_name": "ada"} | traits
        self.sdk.identify(user, said)
        self._deliver()

    def links(self, user, anonymous_id):
        """Report that the anonymous visitor is the user."""
        self.sdk.identify(user, anonymous_id=anonymous_id)
        self._deliver()

    def reports(self, name, properties=None, *, user="u1", **how):
        """Report one event, and let what is due be sent."""
        who = {} if "anonymous_id" in how else {"user_id": user}
        self.sdk.track(**who, event=name, properties=properties, **how)
        self._deliver()

    def _deliver(self):
        self.sdk.flush()
        assert self.sdk.on_error.errors == []
        self.work()

    def work(self):
        """Do what the cluster would do now."""
        while drain():
            pass

    def passes(self, **time):
        """Let the time pass, and what is due then be done."""
        self.clock.pass_by(timedelta(**time))
        self.work()

    def inbox(self):
        """Return the mails that arrived, oldest first."""
        return self.simulator.messages()[::-1]

    def subjects(self):
        return [mail["subject"] for mail in self.inbox()]


def decisions(name):
    """Return why events of this name did or did not start each rule, in order."""
    found = Event.objects.filter(name=name).order_by("id")
    return [d["reason"] for event in found for d in event.decisions or []]


def the_journey(rule):
    return Journey.objects.get(rule__name=rule)


def the_message(mail):
    """Return the row of a mail that arrived."""
    return Message.objects.get(pk=mail["custom_args"]["et_message"])
