"""What a public key can say of people: attacks on addresses, by who posted what."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from campaigns.domain.events import EventType, IncomingEvent, SourceRef, Trust
from campaigns.domain.intake import Intake, Name, Namespace
from campaigns.domain.ruleset import Ruleset

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BACKEND = SourceRef(1, "shop", Trust.SECRET)
BROWSER = SourceRef(2, "web", Trust.PUBLIC)
VICTIM, EVIL = "ada@example.com", "evil@example.net"
RULES = Ruleset(number=1, versions={}, current={}, statuses={})


class Shop:
    """People as the intake makes them; each call happens a minute after the last."""

    def __init__(self):
        self._ids = count(1)
        self._times = (NOON + timedelta(minutes=i) for i in count())
        self.intake = Intake(RULES, lambda: next(self._ids))

    def say(self, source, kind=EventType.IDENTIFY, *, email=None, at=None, **ids):
        now = next(self._times)
        event = IncomingEvent(
            message_id=str(next(self._ids)),
            type=kind,
            traits={"email": email} if email else {},
            occurred_at=at or now,
            **ids,
        )
        self.intake.take(event, source, event_id=next(self._ids), now=now)

    def _person(self, name):
        person = self.intake.states[self.intake.identities[name]].person
        assert person.merged_into is None
        return person

    def user(self, user_id):
        return self._person(Name(Namespace.USER, user_id))

    def visitor(self, anonymous_id):
        return self._person(Name(Namespace.ANONYMOUS, anonymous_id))

    def address_of(self, user_id):
        person = self.user(user_id)
        return person.email, person.email_trusted


@pytest.fixture
def shop():
    return Shop()


def test_a_public_identify_does_not_change_a_known_address(shop):
    shop.say(BACKEND, user_id="42", email=VICTIM)
    shop.say(BROWSER, user_id="42", email=EVIL)
    assert shop.address_of("42") == (VICTIM, True)
    assert shop.user("42").facts["email"] == VICTIM


def test_a_public_identify_does_not_give_an_address_to_a_known_user(shop):
    shop.say(BACKEND, user_id="42")
    shop.say(BROWSER, user_id="42", email=EVIL)
    assert shop.address_of("42") == (None, False)


def test_nor_does_it_by_way_of_an_anonymous_id_joined_afterwards(shop):
    shop.say(BACKEND, user_id="42")
    shop.say(BROWSER, anonymous_id="x", email=EVIL)
    shop.say(BROWSER, user_id="42", anonymous_id="x")
    assert shop.visitor("x").id == shop.user("42").id
    assert shop.address_of("42") == (None, False)
    assert "email" not in shop.user("42").traits


def test_nor_when_the_anonymous_one_is_the_older_and_survives(shop):
    shop.say(BROWSER, anonymous_id="x", email=EVIL)
    shop.say(BACKEND, user_id="42")
    shop.say(BROWSER, EventType.ALIAS, user_id="42", previous_id="x")
    assert shop.address_of("42") == (None, False)


def test_a_public_source_names_no_address_together_with_a_user_id(shop):
    """The user may be known to the shop, and only new here."""
    shop.say(BROWSER, user_id="42", email=EVIL)
    assert shop.address_of("42") == (None, False)


def test_an_address_said_first_in_public_gives_way_to_no_later_public_one(shop):
    shop.say(BROWSER, anonymous_id="v", email=VICTIM)
    shop.say(BROWSER, user_id="42", anonymous_id="v")
    shop.say(BROWSER, anonymous_id="x", email=EVIL)
    shop.say(BROWSER, user_id="42", anonymous_id="x")
    assert shop.address_of("42") == (VICTIM, False)


def test_a_secret_source_corrects_a_public_claim_even_with_an_older_event(shop):
    shop.say(BROWSER, anonymous_id="x", email=EVIL)
    shop.say(BROWSER, user_id="42", anonymous_id="x")
    assert shop.address_of("42") == (EVIL, False)
    shop.say(BACKEND, user_id="42", email=VICTIM, at=NOON - timedelta(days=3))
    assert shop.address_of("42") == (VICTIM, True)


def test_a_public_date_in_the_future_locks_no_later_address_out(shop):
    far = NOON + timedelta(days=900)
    shop.say(BROWSER, anonymous_id="x", email=EVIL, at=far)
    shop.say(BACKEND, user_id="42", anonymous_id="x", email=VICTIM)
    shop.say(BROWSER, user_id="42", email=EVIL, at=far)
    assert shop.address_of("42") == (VICTIM, True)


def test_an_older_secret_address_does_not_replace_a_newer_secret_one(shop):
    shop.say(BACKEND, user_id="42", email=VICTIM)
    shop.say(BACKEND, user_id="42", email=EVIL, at=NOON - timedelta(days=3))
    assert shop.address_of("42") == (VICTIM, True)


def test_a_public_key_joins_no_new_user_to_a_visitor_with_a_trusted_address(shop):
    """Else victim 43's mails went to the attacker, who is visitor y."""
    shop.say(BACKEND, anonymous_id="y", email=EVIL)
    shop.say(BROWSER, user_id="43", anonymous_id="y")
    assert shop.user("43").id != shop.visitor("y").id
    assert shop.address_of("43") == (None, False)


def test_nor_by_an_alias_that_brings_a_third_name(shop):
    shop.say(BACKEND, anonymous_id="y", email=EVIL)
    shop.say(BROWSER, anonymous_id="x")
    shop.say(BROWSER, EventType.ALIAS, user_id="43", anonymous_id="x", previous_id="y")
    assert shop.user("43").id != shop.visitor("y").id


def test_nor_to_another_user_by_way_of_that_users_anonymous_id(shop):
    shop.say(BACKEND, user_id="mallory", anonymous_id="y", email=EVIL)
    shop.say(BROWSER, anonymous_id="x")
    shop.say(BROWSER, EventType.ALIAS, user_id="43", anonymous_id="x", previous_id="y")
    assert shop.user("43").id != shop.user("mallory").id


def test_a_public_alias_joins_no_two_users(shop):
    shop.say(BACKEND, user_id="42", email=VICTIM)
    shop.say(BACKEND, user_id="mallory", email=EVIL)
    shop.say(BROWSER, EventType.ALIAS, user_id="mallory", previous_id="42")
    assert shop.address_of("42") == (VICTIM, True)
    assert shop.user("42").id != shop.user("mallory").id


def test_a_visitor_tied_to_a_user_in_public_does_not_move_the_trusted_address(shop):
    """A newsletter form whose backend knows only the anonymous id of the browser."""
    shop.say(BACKEND, user_id="42", email=VICTIM)
    shop.say(BROWSER, anonymous_id="x")
    shop.say(BROWSER, user_id="42", anonymous_id="x")
    shop.say(BACKEND, anonymous_id="x", email=EVIL)
    assert shop.address_of("42") == (VICTIM, True)


def test_a_browser_still_joins_its_visitor_to_the_user_who_signs_up(shop):
    shop.say(BROWSER, anonymous_id="x", email=VICTIM)
    shop.say(BROWSER, user_id="42", anonymous_id="x")
    assert shop.visitor("x").id == shop.user("42").id
    assert shop.address_of("42") == (VICTIM, False)


def test_a_secret_source_joins_a_visitor_with_what_it_said(shop):
    shop.say(BACKEND, anonymous_id="y", email=VICTIM)
    shop.say(BACKEND, user_id="42", anonymous_id="y")
    assert shop.address_of("42") == (VICTIM, True)


def test_the_traits_of_a_group_are_not_the_customers(shop):
    shop.say(BACKEND, user_id="ada", email=VICTIM)
    shop.say(BACKEND, EventType.GROUP, user_id="ada", group_id="acme", email=EVIL)
    assert shop.address_of("ada") == (VICTIM, True)
    assert shop.user("ada").traits == {"email": VICTIM}
