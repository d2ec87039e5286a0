"""Make one mail from a template and one person's facts. Pure: no rows, no network."""

from typing import Final

from campaigns.domain.addresses import clean_header
from campaigns.domain.liquid import TemplateInvalid
from campaigns.domain.liquid_budget import PlainData, plain_data
from campaigns.domain.mail import OutgoingEmail
from campaigns.domain.states import Kind
from campaigns.rendering.body import Frame, bodies, line
from campaigns.rendering.headers import (
    address_line,
    checked_url,
    headers_of,
    name_line,
    subject_line,
)
from campaigns.rendering.parts import MailParts, Sources

__all__ = ["MailParts", "Sources", "compose", "frame_of"]

_MAX_ADDRESS_LINES: Final = 6


def compose(parts: MailParts) -> OutgoingEmail:
    """Render a mail with everything that the law and the mailboxes ask for.

    `sender.name`, `sender.address`, `company` and `unsubscribe_url` in the
    context are set here, so that a template and the footer say the same.
    Raises TemplateInvalid, with a sentence for people, if it cannot be sent.
    """
    if parts.kind is not Kind.TRANSACTIONAL:
        checked_url(parts.unsubscribe_url)
        if not parts.postal_address.strip():
            raise TemplateInvalid(
                "The sender has no postal address; the law asks for one in this mail."
            )
    context = _context(parts)
    subject = subject_line(line(parts.sources, "subject", context))
    made = bodies(parts.sources, context, frame_of(parts, subject))
    return OutgoingEmail(
        to_email=address_line(parts.to_email, "The recipient's address"),
        to_name=name_line(parts.to_name),
        from_email=address_line(parts.from_email, "The sender's address"),
        from_name=name_line(parts.from_name),
        reply_to=address_line(parts.reply_to, "The reply-to address")
        if parts.reply_to
        else "",
        subject=subject,
        html=made.html,
        text=made.text,
        headers=headers_of(parts),
        categories=(parts.kind.value,),
        custom_args={"et_message": str(parts.message_id), "et_token": parts.token},
    )


def frame_of(parts: MailParts, subject: str) -> Frame:
    """Return what the layout prints around this mail."""
    company = clean_header(parts.company) or name_line(parts.from_name)
    lines = (clean_header(one) for one in parts.postal_address.splitlines())
    marketing = parts.kind is not Kind.TRANSACTIONAL
    topic = clean_header(parts.topic_name)
    if not marketing:
        reason = f"You get this e-mail because of something you did at {company}."
    elif topic:
        reason = (
            f"You get this e-mail because you are on the list “{topic}” of {company}."
        )
    else:
        reason = f"You get this e-mail because you are in touch with {company}."
    return Frame(
        subject=subject,
        company=company,
        address_lines=tuple(one for one in lines if one)[:_MAX_ADDRESS_LINES],
        reason=reason,
        unsubscribe_url=parts.unsubscribe_url if marketing else "",
        language=parts.language,
    )


def _context(parts: MailParts) -> PlainData:
    """Return what the templates see; looked through once for all parts of the mail."""
    facts = parts.context
    own = plain_data(
        {
            "sender": {"name": parts.from_name, "address": parts.postal_address},
            "company": parts.company,
        }
    )
    if parts.unsubscribe_url:
        own["unsubscribe_url"] = parts.unsubscribe_url
    looked_through = facts if isinstance(facts, PlainData) else plain_data(facts)
    return PlainData({**looked_through, **own})
