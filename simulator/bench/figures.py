"""Arithmetic on what was measured, pure: percentiles, medians, ranges."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

Summary = dict[str, float | int]
RATIOS = {  # of deliveries_per_s to each of these
    "ratio": "bare_httpx_per_s",
    "ratio_client_each": "bare_httpx_client_each_per_s",
    "share_of_transport": "transport_per_s",
}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0–1) of all values do not exceed; of at least one value."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def in_ms(seconds: Sequence[float]) -> Summary:
    """p50, p95, p99 and the largest in ms, and of how many."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(seconds, share) * 1000, 2) for name, share in shares.items()} | {
        "n": len(seconds)
    }


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def ratio(ours: float, theirs: float) -> float:
    return round(ours / theirs, 2) if theirs else 0.0


def compared(found: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, their ranges, and what the product makes of a bare httpx loop. Ranges of ratios are by round.

    `ratio_cpu` compares the processor time of the sending processes, which a busy neighbour hardly changes.
    """
    medians: dict[str, Any] = {name: median(values) for name, values in found.items()}
    for name, other in RATIOS.items():
        by_round = zip(found["deliveries_per_s"], found[other], strict=True)
        found[name] = [ratio(ours, theirs) for ours, theirs in by_round]
        medians[name] = ratio(medians["deliveries_per_s"], medians[other])
    found["ratio_cpu"] = [
        ratio(theirs, ours) for ours, theirs in zip(found["cpu_us"], found["bare_httpx_cpu_us"], strict=True)
    ]
    medians["ratio_cpu"] = ratio(medians["bare_httpx_cpu_us"], medians["cpu_us"])
    ranges = {name: [round(min(values), 2), round(max(values), 2)] for name, values in found.items()}
    return {**medians, "range": ranges}
