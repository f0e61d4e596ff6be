"""Whether it is alive and ready: for scripts that wait for `up`."""

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from simulator import engine, feed

from ..reading import read_within

PATIENCE_S = 2.0


@csrf_exempt  # otherwise a POST would get the text about a page that was open too long
@require_safe
def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when database, engine and live layer work; otherwise a 503 that names what does not."""
    troubles = [*engine.troubles(), *_reading_troubles()]
    return JsonResponse(
        {"status": "unavailable" if troubles else "ok", "troubles": troubles}, status=503 if troubles else 200
    )


def _reading_troubles() -> list[str]:
    """Read the database in the way the live pages do."""
    try:
        read_within(PATIENCE_S, feed.latest)
    except (DatabaseError, TimeoutError) as error:
        return [f"The database cannot be read: {str(error) or 'it takes too long'}."]
    return []
