"""Every address that Django answers: health, the API, the pages."""

from django.urls import include, path

from simulator.api import api

from .views import health

urlpatterns = [
    path("healthz", health.alive, name="alive"),
    path("readyz", health.ready, name="ready"),
    path("api/v1/", api.urls),
    path("", include("console.pages")),
]

handler400 = "console.views.errors.bad_request"
handler403 = "console.views.errors.denied"
handler404 = "console.views.errors.not_found"
handler500 = "console.views.page.broken"
