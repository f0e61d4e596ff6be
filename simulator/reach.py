"""Whether a receiver can be reached now: look-up, connect and TLS, and not a byte of HTTP."""

from functools import partial
from typing import Any

from . import engine, failures, targets
from .wire import Outcome, Transport

PHASES = ("dns", "connect", "tls")
LONGEST_S = 10.0


async def reach(url: str, *, timeout: float, tls_verify: bool = True) -> dict[str, Any]:
    """`{"reachable", "phases" in ms, "remote_address", "error"}`; judged as a delivery to this URL would be."""
    limit = min(timeout, LONGEST_S)
    running = engine.transport()
    if running is not None:
        return _told(await running.probe(url, timeout=limit, tls_verify=tls_verify), url)
    transport = Transport(guard=partial(targets.judge))
    try:
        return _told(await transport.probe(url, timeout=limit, tls_verify=tls_verify), url)
    finally:
        await transport.aclose()


def _told(outcome: Outcome, url: str) -> dict[str, Any]:
    error = None
    if outcome.error:
        error = {
            "code": outcome.error,
            "message": outcome.message,
            "hint": failures.hint_for(outcome.error, url=url, message=outcome.message),
            "phase": outcome.phase,
        }
    return {
        "reachable": error is None,
        "phases": {phase: outcome.phases.get(phase) for phase in PHASES},
        "remote_address": outcome.remote_address,
        "error": error,
    }
