"""What is written as a draft and published: saving, then publishing, on one page."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from campaigns.admin.base import BaseAdmin
from campaigns.admin.details import allowed


class DraftAdmin(BaseAdmin):
    """A form with "Save draft" and "Publish"; both lead back to the same page."""

    def publish(self, request: HttpRequest, pk: int) -> None:
        """Publish what was saved, and tell the viewer what came of it."""
        raise NotImplementedError

    def saved_words(self, obj: Any) -> str:
        """Return what is said once a draft is saved."""
        return f"The draft of “{obj}” is saved."

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show the form; save it, then publish if that was asked."""
        publishes = request.method == "POST" and "_publish" in request.POST
        if publishes and not allowed(request, "publish_rule"):
            raise PermissionDenied
        response = super().changeform_view(request, object_id, form_url, extra_context)
        saved = getattr(request, "et_saved", None)
        if publishes and saved is not None:
            # The save is committed: publishing has a transaction of its own.
            self.publish(request, saved)
        return response

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: Any = None
    ) -> HttpResponse:
        """Go to the new row's page: it has still to be published."""
        return self.response_change(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Stay on the page, with the preview and what is left to do."""
        request.et_saved = obj.pk  # type: ignore[attr-defined]
        if "_publish" not in request.POST:
            messages.success(request, self.saved_words(obj))
        return HttpResponseRedirect(self.page_of(obj.pk))
