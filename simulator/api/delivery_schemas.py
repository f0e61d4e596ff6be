"""How deliveries and attempts look, for OpenAPI; shapes.py makes them."""

from typing import Literal

from pydantic import Field

from .schemas import Failure, FailureOut, Out, Time

Header = tuple[str, str]
Status = Literal["pending", "sending", "succeeded", "failed", "cancelled"]


class EventRef(Out):
    id: str
    type: str
    created: Time


class EndpointRef(Out):
    id: str
    url: str = Field(description="The endpoint's URL now; each attempt has its own.")


class LastAttempt(Out):
    number: int
    status_code: int | None
    error: Failure | None
    duration_ms: float | None


class DeliveryOut(Out):
    id: str = Field(examples=["dlv_0Ab1Cd2Ef3G"])
    seq: int
    event: EventRef
    endpoint: EndpointRef
    status: Status
    trigger: Literal["test", "api", "schedule", "scenario", "resend", "cli"]
    attempt_count: int
    next_attempt_at: Time | None
    created: Time
    finished_at: Time | None
    last_attempt: LastAttempt | None


class PhasesOut(Out):
    """Milliseconds; null for a phase that was not reached or not needed."""

    dns: float | None
    connect: float | None
    tls: float | None
    send: float | None
    wait: float | None
    receive: float | None


class RequestOut(Out):
    method: str
    url: str
    headers: list[Header]
    body: str
    size: int
    sha256: str


class ResponseOut(Out):
    status_code: int | None = Field(description="Null if what came is not HTTP; `body` is its beginning.")
    reason: str | None
    headers: list[Header]
    headers_dropped: int
    body: str = Field(description="As text, with U+FFFD for bytes that are not UTF-8.")
    body_base64: str = Field(description="The exact bytes.")
    size: int = Field(description="Bytes received; if truncated, more than are kept.")
    declared_size: int | None
    truncated: bool


class RetryAfterOut(Out):
    asked: float
    used: float | None


class LateOut(Out):
    status_code: int | None
    after_ms: float


class AttemptOut(Out):
    id: str = Field(examples=["att_0Ab1Cd2Ef3G"])
    number: int
    trigger: Literal["automatic", "manual", "recovery"]
    status: Literal["sending", "succeeded", "failed", "interrupted"]
    started_at: Time
    duration_ms: float | None
    phases: PhasesOut
    remote_address: str | None
    repeated: bool = Field(
        description="Sent again on a new connection: a reused one had ended without an answer."
    )
    request: RequestOut
    response: ResponseOut | None
    error: FailureOut | None
    retry_after: RetryAfterOut | None
    late: LateOut | None = Field(description="An answer that came after the deadline.")


class DeliveryWithAttempts(DeliveryOut):
    attempts: list[AttemptOut]
