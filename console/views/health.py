"""Is it alive, and is it ready: for scripts that wait for `up`."""

from django.http import HttpRequest, JsonResponse

from simulator import engine


async def alive(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers."""
    return JsonResponse({"status": "ok"})


async def ready(request: HttpRequest) -> JsonResponse:
    """200 when database, engine and live layer work; else 503 that names what does not."""
    troubles = engine.troubles()
    return JsonResponse(
        {"status": "unavailable" if troubles else "ok", "troubles": troubles}, status=503 if troubles else 200
    )
