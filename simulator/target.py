"""An endpoint as the engine sends to it: prepared once for each revision, so that an attempt costs no look-ups."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from urllib.parse import urlsplit

from . import ids, signing
from .models import Endpoint

AT_ONCE = 500  # endpoints in one query
USER_AGENT = "UltraReach-Webhooks/1.0 (simulator)"
Headers = list[tuple[str, str]]


class Target:
    """Where, how and with which keys. Immutable but for the signer, which changes when a secret expires."""

    def __init__(self, endpoint: Endpoint, number: int):
        self.id = number  # the endpoint's id as a number
        self.revision = endpoint.revision
        self.url = endpoint.url
        self.timeout = endpoint.timeout
        self.tls_verify = endpoint.tls_verify
        self.max_in_flight = endpoint.max_in_flight
        self.delays: Sequence[float] = tuple(endpoint.retry_delays)
        self.sends = not endpoint.paused and endpoint.deleted_at is None
        self._extras = endpoint.extras
        self._endpoint = endpoint
        self._secrets = sorted(endpoint.secrets.all(), key=lambda secret: secret.pk, reverse=True)
        self._signer: signing.Signer | None = None
        self._signer_expires: datetime | None = None
        self._custom: Headers = list(endpoint.headers.items())

    @cached_property  # not in __init__: a bad row must fail one attempt, not the claim of a hundred
    def _opening(self) -> Headers:
        chosen = {name.lower() for name, _ in self._custom}
        return [header for header in _opening(self.url) if header[0] not in chosen]

    def headers(
        self, event_id: str, type: str, delivery_id: str, number: int, body: bytes, now: datetime
    ) -> Headers:
        """Everything that goes on the wire above the body, signed with the secrets valid now."""
        headers = [*self._opening, ("content-length", str(len(body)))]
        headers += self._sign(now)(int(now.timestamp()), event_id, body)
        if self._extras:
            headers += [
                ("x-ultrareach-event", type),
                ("x-ultrareach-event-id", event_id),
                ("x-ultrareach-delivery-id", delivery_id),
                ("x-ultrareach-attempt", str(number)),
            ]
        return headers + self._custom

    def _sign(self, now: datetime) -> signing.Signer:
        if self._signer is None or (self._signer_expires and now >= self._signer_expires):
            valid = [secret for secret in self._secrets if secret.signs_at(now)]
            # In this order: two threads may both make a signer, but none takes the expired one for the new one.
            self._signer = signing.signer(self._endpoint.profile, [secret.value for secret in valid])
            self._signer_expires = min((s.expires_at for s in valid if s.expires_at), default=None)
        return self._signer


class Targets:
    """Those in use, each prepared anew when its endpoint has a new revision."""

    def __init__(self) -> None:
        self._known: dict[int, Target] = {}

    def of(self, number: int, revision: int) -> Target:
        if not self._has(number, revision):
            self.prepare([(number, revision)])
        return self._known[number]

    def prepare(self, wanted: Iterable[tuple[int, int]]) -> None:
        """Read those not cached (given as for `of`), many at once: one by one, each takes a millisecond."""
        new = [ids.encode("ep", number) for number, revision in wanted if not self._has(number, revision)]
        for start in range(0, len(new), AT_ONCE):
            for endpoint in Endpoint.objects.filter(pk__in=new[start : start + AT_ONCE]).prefetch_related(
                "secrets"
            ):
                number = ids.decode("ep", endpoint.pk) or 0
                self._known[number] = Target(endpoint, number)

    def _has(self, number: int, revision: int) -> bool:
        known = self._known.get(number)
        return known is not None and known.revision == revision

    def forget(self, number: int) -> None:
        self._known.pop(number, None)


def _opening(url: str) -> Headers:
    return [
        ("host", host_header(url)),
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        ("accept-encoding", "identity"),
    ]


def host_header(url: str) -> str:
    """The Host header for the URL of an endpoint, which is spelled as it has to be: all but a default port."""
    parts = urlsplit(url)
    return parts.netloc.removesuffix({"http": ":80", "https": ":443"}.get(parts.scheme, ""))
