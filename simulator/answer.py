"""What came back on one request so far, as plain facts. Knows no connection, and not what the facts mean."""

HEADERS_KEPT = 200


class Answer:
    """Times are `perf_counter` readings (0.0: not yet)."""

    __slots__ = (
        "answered_at",
        "body",
        "declared",
        "dropped",
        "ended_at",
        "error",
        "first",
        "headers",
        "message",
        "phase",
        "reason",
        "sent_at",
        "size",
        "started_at",
        "status",
        "truncated",
    )

    def __init__(self, started_at: float) -> None:
        self.status: int | None = None
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.dropped = 0  # how many headers came beyond those kept
        self.body = bytearray()
        self.size = 0
        self.declared: int | None = None
        self.truncated = False
        self.first = b""  # the first bytes of an answer that could not be parsed
        self.error: str | None = None
        self.message = ""
        self.phase: str | None = None
        self.started_at = started_at
        self.sent_at = self.answered_at = self.ended_at = 0.0

    @property
    def received(self) -> str:
        """How much of the body came, in words."""
        if self.declared is None:
            return f"{self.size:,} bytes came"
        return f"{self.size:,} of {self.declared:,} bytes came"
