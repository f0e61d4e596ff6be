"""Every address of the web side: health, the API, the built-in receiver, the pages."""

from django.urls import include, path

from simulator.api import api
from simulator.receiver import receive

from .views import health

urlpatterns = [
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
    path("api/v1/", api.urls),
    path("receiver/", receive),
    path("receiver/<path:path>", receive),
    path("", include("console.pages")),
]

handler400 = "console.views.errors.bad_request"
handler403 = "console.views.errors.denied"
handler404 = "console.views.errors.not_found"
handler500 = "console.views.page.broken"
