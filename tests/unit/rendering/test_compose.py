import re
from dataclasses import replace
from email.message import EmailMessage
from email.parser import HeaderParser
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.domain.liquid import TemplateInvalid
from campaigns.domain.states import Kind
from campaigns.providers import base
from campaigns.rendering.compose import MailParts, OutgoingEmail, Sources, compose

LINK = "https://mail.example.com/u/abc"
SOURCES = Sources(
    version=None,
    subject="Hello {{ customer.first_name }}",
    preheader="For {{ customer.first_name }}",
    html="<p>Dear {{ customer.first_name }}, <a href='https://x.example'>look</a></p>",
    text="",
)
PARTS = MailParts(
    sources=SOURCES,
    context={"customer": {"first_name": "Ana"}},
    kind=Kind.MARKETING,
    message_id=7,
    token="5f0c",
    to_email="ana@example.org",
    to_name="Ana",
    from_email="hi@example.com",
    from_name="Mira",
    reply_to="",
    company="Hearth & Home",
    postal_address="12 Mill Lane\nBath",
    topic_id=3,
    topic_name="News",
    unsubscribe_url=LINK,
    list_domain="mail.example.com",
    campaign="rule-12",
)


def mail(**changes):
    sources = {k: changes.pop(k) for k in list(changes) if k in SOURCES.__slots__}
    return compose(replace(PARTS, sources=replace(SOURCES, **sources), **changes))


def refused(**changes):
    with pytest.raises(TemplateInvalid) as caught:
        mail(**changes)
    return str(caught.value)


def test_a_marketing_mail_has_all_that_is_asked_of_it():
    made = mail()
    assert made.subject == "Hello Ana"
    assert made.headers == {
        "Message-ID": made.headers["Message-ID"],
        "Auto-Submitted": "auto-generated",
        "Feedback-ID": "rule-12:marketing:topic-3:emailtriggers",
        "List-Unsubscribe": f"<{LINK}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": '"News" <topic-3.mail.example.com>',
    }
    assert re.fullmatch(
        r"<m7\.[0-9a-f]{16}@mail\.example\.com>", made.headers["Message-ID"]
    )
    assert made.custom_args == {"et_message": "7", "et_token": "5f0c"}
    for body in (made.html, made.text):
        assert LINK in body
        assert "12 Mill Lane" in body
        assert "list “News” of Hearth" in body
    assert "Hearth &amp; Home" in made.html
    assert "Hearth & Home" in made.text
    assert "look: https://x.example" in made.text


def test_a_transactional_mail_names_its_sender_but_no_list():
    made = mail(kind=Kind.TRANSACTIONAL, unsubscribe_url="", topic_id=None)
    assert not [name for name in made.headers if name.startswith("List-")]
    assert made.headers["Feedback-ID"] == "rule-12:transactional:none:emailtriggers"
    assert "nsubscribe" not in made.html + made.text
    assert "12 Mill Lane" in made.html
    assert "12 Mill Lane" in made.text


def test_the_list_is_the_same_for_everyone():
    other = mail(message_id=8, token="else", to_email="bo@example.org")
    assert other.headers["List-Id"] == mail().headers["List-Id"]
    assert other.headers["Feedback-ID"] == mail().headers["Feedback-ID"]
    assert other.headers["Message-ID"] != mail().headers["Message-ID"]


@pytest.mark.parametrize(
    "link",
    ["", "ftp://x", "https://a b", "https://a>,<https://b", "https://a\r\nBcc: x", "x"],
)
def test_marketing_without_a_sound_link_is_refused(link):
    assert "unsubscribe link" in refused(unsubscribe_url=link)


def test_marketing_without_a_postal_address_is_refused():
    assert "postal address" in refused(postal_address=" \n ")


@pytest.mark.parametrize("html", ["<p>x</p><a href='{{ unsubscribe_url }}'>Stop</a>"])
def test_an_authors_own_link_is_not_doubled(html):
    made = mail(html=html, text="Stop: {{ unsubscribe_url }}")
    assert made.html.count(LINK) == 1
    assert made.text.count(LINK) == 1


def test_a_link_in_html_alone_still_puts_one_in_the_text():
    made = mail(html="<a href='{{ unsubscribe_url }}'>Stop</a>", text="Only words.")
    assert made.html.count(LINK) == made.text.count(LINK) == 1


def test_values_are_escaped_in_html_and_not_in_text():
    made = mail(
        context={"customer": {"first_name": "<b>A & B</b>"}},
        text="Dear {{ customer.first_name }}",
    )
    assert "<b>A" not in made.html
    assert "Dear <b>A & B</b>" in made.text
    assert made.subject == "Hello <b>A & B</b>"


def test_the_company_cannot_break_out_of_the_layout():
    made = mail(company="<img src=x>", topic_name="<i>", postal_address="<hr>")
    assert not re.search("<img src=x>|<i>|<hr>", made.html)


def test_style_rules_are_inlined_after_liquid_and_loops_in_tables_stay():
    html = (
        "<style>.a{color:red} @media (max-width:9px){.a{color:blue}}</style>"
        "<table>{% for i in (1..3) %}<tr><td class='a'>{{ i }}</td></tr>{% endfor %}"
        "</table>"
    )
    made = mail(html=html)
    assert len(re.findall(r'<td class="a" style="color: ?red;?">\d', made.html)) == 3
    assert "@media (max-width:9px)" in made.html
    assert "color:red" not in made.text


def test_html_without_style_rules_is_left_as_written():
    odd = "<p CLASS=x>a<br/>b"
    assert odd in mail(html=odd).html


def test_style_rules_cannot_run_away():
    rules = "".join(f".a{i}{{color:red}}" for i in range(10_000))
    assert "style rules" in refused(html=f"<style>{rules}</style>" + "<i>x</i>" * 5_000)


def test_no_stylesheet_is_fetched(tmp_path):
    (tmp_path / "x.css").write_text("p{color:red}")
    link = f"<link rel=stylesheet href='file://{tmp_path}/x.css'><style>i{{}}</style>"
    assert "red" not in mail(html=f"{link}<p>x</p>").html


def test_a_whole_document_keeps_its_frame_and_gets_footer_and_preheader():
    html = "<!doctype html><html><body class='k'><p>x</p></body></html>"
    made = mail(html=html)
    assert made.html.count("<html") == made.html.count("</body>") == 1
    body = made.html.partition("<body")[2]
    assert body.index("For Ana") < body.index("<p>x</p>") < body.index(LINK)
    assert made.html.rstrip().endswith("</body></html>")


def test_a_mail_that_is_too_large_is_refused():
    rules = "".join(f"--p{i}:{'v' * 10};" for i in range(150))
    html = f"<style>i{{{rules}}}</style>" + "<i>x</i>" * 3_000
    assert "larger than 1 MB" in refused(html=html)


@pytest.mark.parametrize("subject", ["", "  \n ", "{% if false %}x{% endif %}", "\x07"])
def test_an_empty_subject_is_refused(subject):
    assert "subject is empty" in refused(subject=subject)


def test_an_empty_body_is_refused():
    assert "html part is empty" in refused(html="  ")


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600"])
def test_a_long_subject_is_cut_to_a_line(letter):
    subject = mail(subject=letter * 400).subject
    assert 200 < len(subject) <= 255
    assert len(f"Subject: {subject}".encode()) <= 998
    assert subject.endswith("…")


def test_an_emoji_subject_comes_back_as_it_went():
    message = EmailMessage(policy=SMTP)
    message["Subject"] = mail(
        subject="Tea \U0001f375 for {{ customer.first_name }}"
    ).subject
    raw = message.as_bytes()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert HeaderParser(policy=SMTP).parsestr(raw.decode())["Subject"] == (
        "Tea \U0001f375 for Ana"
    )


@pytest.mark.parametrize("field", ["to_email", "from_email", "reply_to"])
@pytest.mark.parametrize(
    "address",
    ["a@b\r\nBcc: c@d", "a b@c.d", "a@b,c@d", "<a@b.c>", "nobody", "@x", "a@\0b"],
)
def test_an_address_that_could_break_a_header_is_refused(field, address):
    assert "is no e-mail address" in refused(**{field: address})


NASTY = st.text(
    alphabet=st.one_of(
        st.sampled_from("\r\n\0\x0b\x0c\x1c\x85\u2028\u2029\ud800:,<>\"'%{}@. a1é"),
        st.characters(exclude_categories=()),
    ),
    max_size=60,
)


def headers_and_names(made: OutgoingEmail):
    yield from (made.subject, made.to_name, made.from_name, made.reply_to)
    yield from (made.to_email, made.from_email)
    for name, value in made.headers.items():
        yield from (name, value)
        assert value.isascii()
        assert len(f"{name}: {value}") <= 998


@given(NASTY, NASTY, NASTY, NASTY, NASTY)
def test_no_value_ever_starts_a_header(first_name, company, topic, domain, token):
    made = mail(
        context={"customer": {"first_name": first_name}},
        to_name=first_name,
        from_name=company,
        company=company,
        topic_name=topic,
        postal_address=f"Street {topic}",
        list_domain=domain,
        campaign=token,
        token="5f0c",
    )
    for value in headers_and_names(made):
        assert not re.search("[\r\n\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", value)
        value.encode()
    made.html.encode()
    made.text.encode()
    message = EmailMessage(policy=SMTP)
    for name, value in made.headers.items():
        message[name] = value
    parsed = HeaderParser(policy=SMTP).parsestr(message.as_string())
    assert sorted(parsed.keys()) == sorted(made.headers)
    assert parsed["List-Unsubscribe"] == f"<{LINK}>"
    assert len(made.headers["List-Id"]) <= 255


def test_the_provider_still_offers_the_same_class():
    assert base.OutgoingEmail is OutgoingEmail


def test_a_missing_value_holds_the_mail_and_says_why():
    assert "“customer.first_name” is missing" in refused(context={})
