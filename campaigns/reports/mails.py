"""The mail as it was sent: rendered again from what it kept."""

from dataclasses import dataclass
from typing import Final

from campaigns.domain.documents import DocumentInvalid, parse_document
from campaigns.domain.liquid import TemplateInvalid
from campaigns.domain.mail import OutgoingEmail
from campaigns.domain.states import Kind
from campaigns.models import Message, RuleVersion, Sender, TemplateVersion, Topic
from campaigns.rendering.compose import compose
from campaigns.rendering.parts import MailParts, Sources

# A look at a mail must not be able to unsubscribe its reader.
INERT_LINK: Final = "https://example.com/unsubscribe"


@dataclass(frozen=True, slots=True)
class ShownMail:
    """Either `email`, or in `problem` why it cannot be shown."""

    email: OutgoingEmail | None
    problem: str
    template: TemplateVersion | None


def shown_mail(message: Message) -> ShownMail:
    """Render a message from its stored context and template version."""
    template = (
        TemplateVersion.objects.filter(pk=message.template_version_id)
        .select_related("template")
        .first()
    )
    if template is None:
        return ShownMail(None, "The template of this mail no longer exists.", None)
    if message.context is None:
        kept = "It is kept when a mail is handed over, and wiped by an erasure."
        return ShownMail(None, f"There is nothing to show it with. {kept}", template)
    version = RuleVersion.objects.filter(pk=message.version_id or 0).first()
    try:
        sender, topic = _sender_and_topic(version)
        email = compose(_parts(message, template, sender, topic))
    except (TemplateInvalid, DocumentInvalid) as error:
        return ShownMail(None, str(error), template)
    return ShownMail(email, "", template)


def _sender_and_topic(
    version: RuleVersion | None,
) -> tuple[Sender | None, Topic | None]:
    if version is None:
        return None, None
    document = parse_document(version.document)
    sender = Sender.objects.filter(pk=document.sender).first()
    return sender, Topic.objects.filter(pk=document.topic or 0).first()


def _parts(
    message: Message,
    template: TemplateVersion,
    sender: Sender | None,
    topic: Topic | None,
) -> MailParts:
    if sender is None:
        raise TemplateInvalid("The sender of this mail no longer exists.")
    kind = Kind(message.kind)
    return MailParts(
        sources=Sources(
            version=template.pk,
            subject=template.subject,
            preheader=template.preheader,
            html=template.html,
            text=template.text,
        ),
        context=message.context or {},
        kind=kind,
        message_id=message.pk,
        token=str(message.token or ""),
        to_email=message.address,
        to_name="",
        from_email=sender.from_email,
        from_name=sender.from_name,
        reply_to=sender.reply_to,
        company=sender.company_name,
        postal_address=sender.postal_address,
        topic_id=topic.pk if topic else None,
        topic_name=topic.name if topic else "",
        unsubscribe_url=INERT_LINK if kind is Kind.MARKETING else "",
        list_domain=sender.from_email.rpartition("@")[2],
    )
