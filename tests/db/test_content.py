"""What a mail says, from a template to what is shown of it afterwards."""

from datetime import timedelta

import pytest

from campaigns.models import Message
from campaigns.reports.mails import shown_mail
from tests.db.world import step

pytestmark = pytest.mark.django_db


def test_now_is_when_the_mail_left_where_its_reader_is_and_stays_so(world):
    dated = world.template(html="<p>{{ 'now' | date: '%d %B, %H:%M' }}</p>")
    world.rule("news", "Viewed", steps=[step(variants=[{"template_version": dated}])])
    world.known("ann", timezone="Asia/Tokyo")
    world.does("ann", "Viewed")
    world.work()
    mail = Message.objects.get()
    assert mail.state == "sent"
    world.clock.time += timedelta(days=9)
    assert "02 March, 18:00" in shown_mail(mail).email.html
