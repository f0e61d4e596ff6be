"""Arithmetic on what was measured, pure: percentiles, medians, ranges."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

Summary = dict[str, float | int]
RATIOS = {  # by CPU: processor time of the sending process, which a busy neighbour hardly changes
    "ratio": ("deliveries_per_s", "bare_httpx_per_s"),
    "ratio_client_each": ("deliveries_per_s", "bare_httpx_client_each_per_s"),
    "ratio_cpu": ("bare_httpx_cpu_us", "cpu_us"),
    "share_of_transport": ("deliveries_per_s", "transport_per_s"),
    "persistence": ("engine_keeps_per_s", "engine_forgets_per_s"),
    "persistence_cpu": ("engine_forgets_cpu_us", "engine_keeps_cpu_us"),
    "transport_1000_to_10": ("transport_1000_per_s", "transport_per_s"),
    "transport_share_of_slow": ("transport_slow_per_s", "slow_possible_per_s"),
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
    """Medians, their ranges, and their RATIOS, whose ranges are by round."""
    medians: dict[str, Any] = {name: median(values) for name, values in found.items()}
    for name, (one, other) in RATIOS.items():
        found[name] = [ratio(a, b) for a, b in zip(found[one], found[other], strict=True)]
        medians[name] = ratio(medians[one], medians[other])
    ranges = {name: [round(min(values), 2), round(max(values), 2)] for name, values in found.items()}
    return {**medians, "range": ranges}
