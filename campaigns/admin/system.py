"""Webhooks that came in, where they come to, and the clusters' heartbeat."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from campaigns.admin.details import (
    DetailAdmin,
    Panel,
    Tool,
    allowed,
    badge,
    demand,
    json_block,
    link,
    register,
    when,
)
from campaigns.admin.lists import BigListAdmin
from campaigns.deciding import clock
from campaigns.feedback.apply import apply_again
from campaigns.models import ClusterBeat, WebhookBatch, WebhookEndpoint
from campaigns.models.clusters import is_recent

BODY_SHOWN = 20_000


@register(WebhookEndpoint)
class WebhookEndpointAdmin(DetailAdmin):
    """Where providers post to; made with `manage.py create_webhook`."""

    list_display = ("name", "state", "made")
    empty_title = "No webhook yet"
    empty_words = "Make one with: manage.py create_webhook sendgrid --key …"
    sortable_by = ()

    def name(self, obj: WebhookEndpoint) -> str:
        """Return which one it is."""
        return str(obj)

    def state(self, obj: WebhookEndpoint) -> SafeString:
        """Return whether it is listened to."""
        return badge("on", "good") if obj.enabled else badge("switched off")

    def made(self, obj: WebhookEndpoint) -> Any:
        """Return when it was made."""
        return when(obj.created_at)

    name.short_description = "Webhook"  # type: ignore[attr-defined]

    def panels(self, request: HttpRequest, obj: WebhookEndpoint) -> Iterable[Panel]:
        """Return its address and keys."""
        yield Panel(
            "Webhook",
            facts=[
                ("Path", obj.path()),
                ("Provider", obj.kind),
                ("State", self.state(obj)),
                ("Made", when(obj.created_at)),
                ("Public keys", ", ".join(k[:24] + "…" for k in obj.public_keys)),
            ],
        )


def batch_state(obj: WebhookBatch) -> SafeString:
    """Return what became of a stored POST; one that is tried again has not failed yet."""
    if obj.pending_at:
        return badge("waiting")
    return badge("failed") if obj.error else badge("applied", "good")


@register(WebhookBatch)
class WebhookBatchAdmin(BigListAdmin):
    """What providers posted, stored as it came."""

    empty_title = "Nothing was reported yet"
    empty_words = "What the provider posts about mails is stored here as it comes."
    keyset_time = "received_at"
    list_display = ("batch", "state", "received", "error")
    search_help_text = "An id."

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the bodies out: a page of them is megabytes."""
        return super().get_queryset(request).defer("body")

    def batch(self, obj: WebhookBatch) -> str:
        """Return its number."""
        return f"batch {obj.pk}"

    def state(self, obj: WebhookBatch) -> SafeString:
        """Return what became of it."""
        return batch_state(obj)

    def received(self, obj: WebhookBatch) -> Any:
        """Return when it came."""
        return when(obj.received_at)

    def panels(self, request: HttpRequest, obj: WebhookBatch) -> Iterable[Panel]:
        """Return what it led to, and its beginning as it came."""
        yield Panel(
            "Batch",
            facts=[
                ("State", batch_state(obj)),
                ("Endpoint", link(obj.endpoint)),
                ("Received", when(obj.received_at)),
                ("Applied", when(obj.applied_at)),
                ("Attempts", obj.attempts),
                ("Next attempt", when(obj.pending_at)),
                ("Error", obj.error or "-"),
                ("Summary", json_block(obj.summary)),
            ],
        )
        body = bytes(obj.body)[:BODY_SHOWN].decode(errors="replace")
        yield Panel("As it came", body=json_block(body))

    def tools(self, request: HttpRequest, obj: WebhookBatch) -> Iterable[Tool]:
        """Return the button for what failed, once its cause is mended."""
        if obj.error and not obj.pending_at and allowed(request, "change_webhookbatch"):
            again = reverse("admin:campaigns_webhookbatch_again", args=[obj.pk])
            yield Tool("Apply again", again)

    def get_urls(self) -> list[Any]:
        """Add where that button leads."""
        again = "campaigns_webhookbatch_again"
        return [
            self.posted("<int:pk>/again/", self.again_view, again),
            *super().get_urls(),
        ]

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Queue a body once more; the log keeps who did."""
        demand(request, "change_webhookbatch")
        batch = WebhookBatch.objects.defer("body").filter(pk=pk).first()
        if batch is None or not apply_again(pk):
            raise Http404("There is no such webhook batch.")
        self.log_change(request, batch, "Apply again")
        messages.success(request, "Queued: it is applied within seconds.")
        return HttpResponseRedirect(self.page_of(pk))


def beat_state(obj: ClusterBeat) -> SafeString:
    """Return whether a worker of the cluster answered lately."""
    now = clock.now()
    if obj.seen_at is None:
        return badge("not started" if obj.away(now) is None else "stopped", "warn")
    return badge("healthy") if obj.works(now) else badge("silent")


@register(ClusterBeat)
class ClusterBeatAdmin(DetailAdmin):
    """The canaries: sent by the supervisor, seen by a worker."""

    list_display = ("name", "state", "seen")
    empty_title = "No cluster has started yet"
    empty_words = "Mail leaves once one runs: manage.py cluster"
    sortable_by = ()

    def state(self, obj: ClusterBeat) -> SafeString:
        """Return whether it lives."""
        return beat_state(obj)

    def seen(self, obj: ClusterBeat) -> Any:
        """Return when a worker last answered."""
        return when(obj.seen_at)

    seen.short_description = "Last answer"  # type: ignore[attr-defined]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether it is a row of a host that is gone, for whoever may delete.

        A supervisor that lives would only make its row anew.
        """
        now = clock.now()
        if obj is None or obj.works(now) or is_recent(obj.sent_at, now):
            return False
        return allowed(request, "delete_clusterbeat")

    def tools(self, request: HttpRequest, obj: ClusterBeat) -> Iterable[Tool]:
        """Return the button by which the row of a host that is gone is deleted."""
        if self.has_delete_permission(request, obj):
            yield Tool(
                "Delete",
                reverse("admin:campaigns_clusterbeat_delete", args=[obj.pk]),
                f"Is {obj.name} gone for good? Its row comes back if it starts again.",
            )

    def panels(self, request: HttpRequest, obj: ClusterBeat) -> Iterable[Panel]:
        """Return the canary's numbers."""
        yield Panel(
            "Cluster",
            facts=[
                ("State", beat_state(obj)),
                ("Last sent", when(obj.sent_at)),
                ("Last answered", when(obj.seen_at)),
                ("Not answered", obj.sent_n - obj.seen_n),
            ],
        )
