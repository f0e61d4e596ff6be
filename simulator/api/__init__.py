"""The vendor's REST API."""

from ninja import NinjaAPI

api = NinjaAPI(title="UltraReach webhook simulator", version="1.0", urls_namespace="api")
