"""Messages: each mail with its attempts, what was reported, and as it was sent."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.safestring import SafeString

from campaigns.admin.details import (
    Panel,
    Tool,
    allowed,
    badge,
    demand,
    json_block,
    link,
    looked,
    register,
    related,
    said,
    tone_of,
    when,
)
from campaigns.admin.events import OfPeopleAdmin
from campaigns.admin.frames import framed, framed_words
from campaigns.models import Attempt, DeliveryEvent, Message, Rule
from campaigns.reports.codes import REPORTS
from campaigns.reports.mails import ShownMail, shown_mail
from campaigns.reports.wording import in_words, mail_words
from campaigns.sending import operator
from campaigns.sending.operator import NotPossible

_REPORTED = (
    ("Delivered", "delivered_at"),
    ("Bounced", "bounced_at"),
    ("Opened", "opened_at"),
    ("Clicked", "clicked_at"),
    ("Complained", "complained_at"),
    ("Unsubscribed", "unsubscribed_at"),
)


class _Verb(NamedTuple):
    """What a person may do with a mail in a state; `confirm` asks before."""

    state: str
    label: str
    act: Callable[[int], None]
    confirm: str = ""


# By the word in the address.
_VERBS: Final[Mapping[str, _Verb]] = {
    "release": _Verb("held", "Release, with the newest words", operator.release),
    "discard": _Verb(
        "held",
        "Discard",
        operator.discard,
        "Discard this mail for good? It is never sent.",
    ),
    "redrive": _Verb(
        "unknown",
        "Send again (may arrive twice)",
        operator.redrive,
        "Send this mail again? If the provider took it the first time, it arrives twice.",
    ),
    "give-up": _Verb(
        "unknown",
        "Count as failed",
        operator.give_up,
        "Count this mail as failed for good?",
    ),
}


@register(Message)
class MessageAdmin(OfPeopleAdmin):
    """Mails, the newest first."""

    empty_title = "No mail yet"
    empty_words = "Mails appear here when a journey has waited long enough to send one."
    keyset_time = "created_at"
    list_display = ("what", "who", "status", "why", "made", "reported")
    list_filter = ("state", "kind")

    def decorated(self, page: list[Any]) -> list[Any]:
        """Return the mails with their customers and rules."""
        rules = Rule.objects.in_bulk({m.rule_id for m in page if m.rule_id})
        for mail in page:
            mail.et_rule = rules.get(mail.rule_id)
        return super().decorated(page)

    def what(self, obj: Any) -> str:
        """Return the rule and step that it is of."""
        name = str(obj.et_rule or obj.purpose)
        return f"{name}, step {obj.step + 1}"

    def status(self, obj: Message) -> SafeString:
        """Return the state."""
        return badge(obj.state)

    def why(self, obj: Message) -> str:
        """Return why it was not sent, or waits."""
        return mail_words(obj.reason, obj.detail)

    def made(self, obj: Message) -> Any:
        """Return when it was queued."""
        return when(obj.created_at)

    def reported(self, obj: Message) -> str:
        """Return what the provider reported."""
        return ", ".join(n.lower() for n, at in _REPORTED if getattr(obj, at)) or "-"

    what.short_description = "Mail"  # type: ignore[attr-defined]

    def heading(self, obj: Message) -> str:
        """Return which mail to whom it is."""
        to = obj.address or related(obj, "customer") or "somebody"
        return f"{related(obj, 'rule') or obj.purpose} to {to}"

    def panels(self, request: HttpRequest, obj: Message) -> Iterable[Panel]:
        """Return the mail's fate, its attempts, the reports and the mail itself."""
        shown = shown_mail(obj)
        yield Panel("Mail", facts=_facts(obj, shown))
        attempts = Attempt.objects.filter(message=obj.pk).order_by("number")
        yield Panel(
            "Attempts",
            columns=("No.", "State", "Started", "Ended", "Status", "Answer"),
            rows=[
                (
                    a.number,
                    badge(a.state),
                    when(a.started_at),
                    when(a.ended_at),
                    a.status or "-",
                    a.detail or "-",
                )
                for a in attempts
            ],
            empty="It was never handed to the provider.",
        )
        events = DeliveryEvent.objects.filter(message=obj.pk).order_by(
            "occurred_at", "pk"
        )
        yield Panel(
            "What the provider reported",
            columns=("Event", "Happened", "By", "Link"),
            rows=[
                (
                    badge(in_words(REPORTS, e.type), tone_of(e.type)),
                    when(e.occurred_at),
                    "a machine" if e.machine else "-",
                    e.url or "-",
                )
                for e in events[:200]
            ],
        )
        if shown.email:
            where = reverse("admin:campaigns_message_mail", args=[obj.pk])
            yield Panel(
                "The mail", facts=[("Subject", shown.email.subject)], frame=where
            )
        else:
            yield Panel("The mail", note=shown.problem)
        yield Panel("Rendered with", body=json_block(obj.context))

    def tools(self, request: HttpRequest, obj: Any) -> Iterable[Tool]:
        """Return what a person may do about a mail that waits for one."""
        if not allowed(request, "change_message"):
            return
        for word, verb in _VERBS.items():
            if obj.state == verb.state:
                where = reverse("admin:campaigns_message_act", args=[obj.pk, word])
                yield Tool(verb.label, where, verb.confirm)

    def get_urls(self) -> list[Any]:
        """Add the address of the mail itself, for the frame, and of what can be done."""
        view = self.admin_site.admin_view(self.mail_view)
        return [
            path("<int:pk>/mail/", view, name="campaigns_message_mail"),
            self.posted(
                "<int:pk>/<slug:verb>/act/", self.act_view, "campaigns_message_act"
            ),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """Release, discard, send again or give up a mail; the log keeps who did."""
        demand(request, "change_message")
        message = Message.objects.filter(pk=pk).first()
        if message is None or verb not in _VERBS:
            raise Http404("There is no such mail.")
        done = _VERBS[verb]
        try:
            done.act(pk)
        except NotPossible as error:
            messages.error(request, str(error))
        else:
            self.log_change(request, message, done.label)
            messages.success(request, f"Done: {done.label.lower()}.")
        return HttpResponseRedirect(self.page_of(pk))

    def mail_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the mail as it was sent, in a frame where nothing runs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        message = Message.objects.filter(pk=pk).first()
        if message is None:
            raise Http404("There is no such mail.")
        looked(request, f"the mail of message {pk}")
        shown = shown_mail(message)
        return framed(shown.email.html) if shown.email else framed_words(shown.problem)


def _facts(obj: Message, shown: ShownMail) -> list[tuple[str, object]]:
    reported = [(n, when(getattr(obj, at))) for n, at in _REPORTED if getattr(obj, at)]
    return said(
        ("State", badge(obj.state)),
        ("Because", mail_words(obj.reason, obj.detail) or "-"),
        ("To", obj.address or "-"),
        ("Customer", link(related(obj, "customer"))),
        ("Rule", link(related(obj, "rule"))),
        ("Journey", link(related(obj, "journey"))),
        ("Kind", obj.kind),
        ("Template", str(shown.template or "-")),
        ("Queued", when(obj.created_at)),
        ("Not before", when(obj.not_before)),
        ("Handed over", when(obj.sending_at)),
        ("Settled", when(obj.settled_at)),
        ("Provider's id", obj.provider_message_id or "-"),
        *reported,
    )
