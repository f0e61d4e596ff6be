"""Is it alive, and is it ready: for scripts that wait for `up`."""

import asyncio

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from simulator import engine, feed

from ..reading import read

PATIENCE_S = 2.0


@require_safe
async def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
async def ready(request: HttpRequest) -> JsonResponse:
    """200 when database, engine and live layer work; else 503 that names what does not."""
    troubles = [*engine.troubles(), *await _reading_troubles()]
    return JsonResponse(
        {"status": "unavailable" if troubles else "ok", "troubles": troubles}, status=503 if troubles else 200
    )


async def _reading_troubles() -> list[str]:
    """The database, read in the way in which the live pages read it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await read(feed.latest)
    except (DatabaseError, TimeoutError) as error:
        return [f"The database cannot be read: {str(error) or 'it takes too long'}."]
    return []
