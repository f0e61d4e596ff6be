"""Arithmetic on what was measured, pure: percentiles, medians, ranges."""

import math
import statistics
from collections.abc import Sequence

Summary = dict[str, float | int]


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
