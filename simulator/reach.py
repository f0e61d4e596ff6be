"""Whether a receiver can be reached now: look-up, connect and TLS, and not a byte of HTTP."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from . import engine, hints
from .outcome import Outcome
from .wire import Transport

PHASES = ("dns", "connect", "tls")
LONGEST_S = 10.0


def reach(url: str, *, timeout: float, tls_verify: bool = True) -> dict[str, Any]:
    """`{"reachable", "phases" in ms, "remote_address", "error"}`; judged as a delivery to this URL would be.

    From any thread but the engine's loop.
    """
    probe = partial(Transport.probe, url=url, timeout=min(timeout, LONGEST_S), tls_verify=tls_verify)
    running = engine.current()
    try:
        outcome = running.try_out(probe) if running else asyncio.run(_alone(probe))
    except CancelledError:
        stopped = Outcome(
            time.time(), error="interrupted", message="The simulator stopped during this check."
        )
        return _told(stopped, hint="Check again once it runs.")
    code = outcome.error
    return _told(outcome, hint=hints.hint_for(code, url=url, message=outcome.message) if code else "")


async def _alone(probe: Callable[[Transport], Coroutine[Any, Any, Outcome]]) -> Outcome:
    transport = Transport()
    try:
        return await probe(transport)
    finally:
        await transport.aclose()


def _told(outcome: Outcome, *, hint: str) -> dict[str, Any]:
    error, reached = None, outcome.phases
    if outcome.error:
        error = {
            "code": outcome.error,
            "message": outcome.message,
            "hint": hint,
            "phase": outcome.phase,
        }
    return {
        "reachable": error is None,
        "phases": {phase: round(reached[phase], 3) if phase in reached else None for phase in PHASES},
        "remote_address": outcome.remote_address,
        "error": error,
    }
