"""The vendor's REST API: one file a resource, its schemas beside it, one error handler, one gate."""

from typing import Any

from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from . import activity, batches, deliveries, errors, event_types, events, signatures, webhooks
from .gate import Key, StrictParser, admit


class Api(NinjaAPI):
    """ninja's, with an OpenAPI document that offers no null where none is accepted: in queries and optional fields."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        for methods in schema["paths"].values():
            for operation in methods.values():
                for parameter in operation["parameters"]:
                    parameter["schema"] = _without_null(parameter["schema"])
                if "requestBody" in operation:
                    # One that may be left out comes with a default, and generators of clients drop such a call.
                    body = operation["requestBody"]["content"]["application/json"]
                    body["schema"] = body["schema"].get("allOf", [body["schema"]])[0]
        return schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**options[0], **rest}


api = Api(
    title="UltraReach.ai webhook simulator",
    version="1.0",
    description="Register endpoints, send signed events, and see every attempt.",
    urls_namespace="api",
    auth=Key(),
    parser=StrictParser(),
    docs_decorator=lambda view: csrf_exempt(require_GET(view)),
)
api.add_decorator(admit, mode="view")
api.add_router("/webhooks", webhooks.router)
api.add_router("/event-types", event_types.router)
api.add_router("/events/batch", batches.router)
api.add_router("/events", events.router)
api.add_router("/deliveries", deliveries.router)
api.add_router("/signatures", signatures.router)
api.add_router("/activity", activity.router)
errors.install(api)
