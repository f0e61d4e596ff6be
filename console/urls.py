"""Every address that Django answers: health, the API, the pages."""

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from simulator.api import api

from .views import health


@csrf_exempt
def api_root(request: HttpRequest) -> HttpResponse:
    """There is nothing here. Ninja's own view of it would first ask a program for a page's CSRF token."""
    raise Http404


urlpatterns = [
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
    path("api/v1/", api_root),
    path("api/v1/", api.urls),
    path("", include("console.pages")),
]

handler400 = "console.views.errors.bad_request"
handler403 = "console.views.errors.denied"
handler404 = "console.views.errors.not_found"
handler500 = "console.views.page.broken"
