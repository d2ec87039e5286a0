"""What load balancers and people ask: alive, and ready."""

from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from campaigns.reports.readiness import reasons, warnings


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """Answer that this process serves; asks nothing else, so never restarts a queue."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """Answer 200 if all parts are well, else 503 with the reason for each that is not.

    Warnings are what somebody must mend though the work of others goes on.
    """
    found = reasons()
    status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
    answer = JsonResponse(
        {
            "status": "not ready" if found else "ready",
            "reasons": found,
            "warnings": {} if found else warnings(),
        },
        status=status,
    )
    answer["Cache-Control"] = "no-store"
    return answer
