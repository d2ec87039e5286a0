"""The commands that make sources and webhooks print what to use as the last line."""

import base64
from io import StringIO

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command

from campaigns.domain.events import Trust
from campaigns.models import Source, SourceKey, WebhookEndpoint
from campaigns.receive.auth import KEYS

pytestmark = pytest.mark.django_db


def last_line(*args):
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue().splitlines()[-1]


def a_key(curve=None):
    public = ec.generate_private_key(curve or ec.SECP256R1()).public_key()
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def test_a_new_source_can_be_used_with_the_key_printed():
    KEYS.forget()
    key = last_line("create_source", "Shop", "--kind", "segment")
    found = KEYS.find(key)
    assert (found.name, found.trust) == ("Shop", Trust.SECRET)
    assert SourceKey.objects.get().prefix == key[:6]


def test_a_public_source_is_public_and_the_same_name_gives_a_further_key():
    first = last_line("create_source", "Web", "--public")
    assert last_line("create_source", "Web", "--public") != first
    assert Source.objects.get().trust == Trust.PUBLIC
    assert SourceKey.objects.count() == 2


def test_a_name_that_means_another_trust_is_refused():
    last_line("create_source", "Web", "--public")
    with pytest.raises(CommandError, match="There is a source 'Web' already"):
        last_line("create_source", "Web")
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(CommandError, match="The name must"):
            last_line("create_source", name)
    assert SourceKey.objects.count() == 1


def test_a_webhook_keeps_its_keys_and_prints_its_path():
    one, two = a_key(), a_key()
    path = last_line("create_webhook", "sendgrid", "--key", one, "--key", two)
    endpoint = WebhookEndpoint.objects.get()
    assert path == f"/webhooks/sendgrid/{endpoint.slug}"
    assert endpoint.public_keys == [one, two]
    assert len(endpoint.slug) >= 32


def test_a_webhook_without_a_good_key_is_not_made():
    with pytest.raises(CommandError, match="at least one --key"):
        last_line("create_webhook", "sendgrid")
    for bad in ("nonsense", a_key(ec.SECP384R1()), ""):
        with pytest.raises(CommandError, match="--key number 2"):
            last_line("create_webhook", "sendgrid", "--key", a_key(), "--key", bad)
    assert not WebhookEndpoint.objects.exists()
