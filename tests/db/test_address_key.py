"""A changed SECRET_KEY must not void who refused mail."""

from io import StringIO

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command

from campaigns import tasks
from campaigns.deciding import address_key
from campaigns.deciding.suppressing import suppress
from campaigns.domain.states import SuppressionReason
from campaigns.models import IngestState
from tests.db.mail_rows import a_customer, a_mail

pytestmark = pytest.mark.django_db

OTHER = ("another-key-of-thirty-two-characters",)


@pytest.fixture
def refused_mail():
    """Somebody refused mail while the present key was in use."""
    address_key.confirm()
    suppress("ada@example.com", reason=SuppressionReason.MANUAL, origin="test")


def kept():
    return IngestState.objects.get(pk=1).address_key


def test_the_first_key_is_taken_up_and_the_fingerprint_is_not_the_key(settings):
    address_key.confirm()
    assert kept() == address_key.fingerprint()
    assert settings.ADDRESS_HASH_KEYS[0] not in kept()


def test_without_suppressions_another_key_is_taken_up(settings):
    address_key.confirm()
    settings.ADDRESS_HASH_KEYS = OTHER
    address_key.confirm()
    assert kept() == address_key.fingerprint()


def test_once_a_mail_has_left_another_key_is_refused(settings):
    """Its bounce or complaint, and the cap, find it by the hash of its address."""
    address_key.confirm()
    a_mail(a_customer(), state="sent")
    settings.ADDRESS_HASH_KEYS = OTHER
    assert not address_key.fits()
    with pytest.raises(address_key.AddressKeyChanged):
        address_key.confirm()


def test_the_same_key_is_confirmed_again(refused_mail):
    address_key.confirm()
    assert kept() == address_key.fingerprint()


def test_with_suppressions_another_key_is_refused_everywhere(
    refused_mail, settings, client
):
    settings.ADDRESS_HASH_KEYS = OTHER
    for task in (tasks.drain_mail, tasks.apply_feedback):
        with pytest.raises(address_key.AddressKeyChanged):
            task()
    with pytest.raises(CommandError, match="ADDRESS_HASH_KEY"):
        call_command("cluster")
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "address_hash_key" in ready.json()["reasons"]["address key"]
    found = run_checks(tags=[Tags.database], databases=["default"])
    assert [c.id for c in found] == ["campaigns.E002"]


def test_the_former_key_put_back_is_well_again(refused_mail, settings):
    former = settings.ADDRESS_HASH_KEYS
    out = StringIO()
    call_command("address_hash_key", stdout=out, stderr=StringIO())
    settings.ADDRESS_HASH_KEYS = OTHER
    with pytest.raises(address_key.AddressKeyChanged):
        address_key.confirm()
    settings.ADDRESS_HASH_KEYS = (out.getvalue().strip(),)
    address_key.confirm()
    assert former == settings.ADDRESS_HASH_KEYS
