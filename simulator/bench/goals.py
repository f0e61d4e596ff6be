"""What the figures should be, and the table that says whether they are. Knows nothing of how they were measured."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

Report = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """`path` is a dotted path into the report; `must` and `goal` are the least values for "≥", the largest for "≤"."""

    title: str
    path: str
    unit: str = ""
    sign: str = "≤"
    must: float | None = None
    goal: float | None = None

    def value(self, report: Report) -> float:
        found: Any = report
        for name in self.path.split("."):
            found = found[name]
        return float(found)

    def met(self, value: float, wanted: float | None) -> bool:
        return wanted is not None and (value >= wanted if self.sign == "≥" else value <= wanted)

    def verdict(self, value: float) -> str:
        """`missed`, `must` or `goal`, whichever was reached; "" when nothing was asked."""
        if self.must is None:
            return ""
        if not self.met(value, self.must):
            return "missed"
        return "goal" if self.met(value, self.goal) else "must"


GOALS = (
    Goal("Deliveries, persisted and streamed", "deliveries_per_s", "/s"),
    Goal("  as the receiver got them", "received_per_s", "/s"),
    Goal("  still busy with them afterwards", "busy_after_s", "s"),
    Goal("Bare httpx, 10 in flight", "bare_httpx_per_s", "/s"),
    Goal("  one client per worker, 10", "bare_httpx_client_each_per_s", "/s"),
    Goal("  50 in flight", "bare_httpx_50_per_s", "/s"),
    Goal("The product's transport alone, 10", "transport_per_s", "/s"),
    Goal("Deliveries ÷ bare httpx", "ratio", "×", "≥", 5, 8),
    Goal("Deliveries ÷ one httpx client per worker", "ratio_client_each", "×", "≥", 3, 5),
    Goal("CPU of the server for a delivery", "cpu_us", "µs"),
    Goal("CPU of bare httpx for a request, 10 in flight", "bare_httpx_cpu_us", "µs"),
    Goal("Deliveries ÷ bare httpx, by CPU", "ratio_cpu", "×"),
    Goal("Deliveries ÷ transport alone", "share_of_transport", "×"),
    Goal("The engine alone, results forgotten", "engine_forgets_per_s", "/s"),
    Goal("  results stored ÷ forgotten", "persistence", "×", "≥", 0.85, 0.9),
    Goal("  the same by CPU", "persistence_cpu", "×"),
    Goal("Transport alone, 1,000 in flight ÷ 10", "transport_1000_to_10", "×", "≥", 0.8, 0.9),
    Goal("  200 to a 50 ms receiver ÷ what is possible", "transport_share_of_slow", "×", "≥", 0.9, 0.95),
    Goal("Click → receiver, idle, p50", "click_ms.idle.p50", "ms", "≤", 5, 2),
    Goal("Click → receiver, idle, p99", "click_ms.idle.p99", "ms", "≤", 25, 10),
    Goal("Click → receiver, during the batch, p50", "click_ms.batch.p50", "ms", "≤", 5),
    Goal("Click → receiver, during the batch, p99", "click_ms.batch.p99", "ms", "≤", 25, 15),
    Goal("Click → receiver, with pages loaded, p50", "click_ms.batch_and_pages.p50", "ms", "≤", 5),
    Goal("Click → receiver, with pages loaded, p99", "click_ms.batch_and_pages.p99", "ms", "≤", 25, 15),
    Goal("Click → open console, idle, p50", "click_to_stream_ms.p50", "ms", "≤", 30, 10),
    Goal("Console page, idle, p95", "page_ms.console.idle.p95", "ms"),
    Goal("Console page, during the batch, p95", "page_ms.console.batch.p95", "ms", "≤", 300),
    Goal("List fragment, idle, p95", "page_ms.rows.idle.p95", "ms"),
    Goal("List fragment, during the batch, p95", "page_ms.rows.batch.p95", "ms", "≤", 300),
    Goal("Console page p50, during the batch ÷ idle", "page_slowdown", "×", "≤", 4, 3),
    Goal("20 streams, 1,000 events a second: missed", "crowd.missed", "", "≤", 0, 0),
    Goal("CPU of the server for those streams", "crowd.cpu_percent", "%", "≤", 20, 10),
    Goal("Retry → receiver, many waiting, p99 late", "retry_late_ms.p99", "ms", "≤", 50, 5),
    Goal("Slowest list of the history, p95", "history.worst_p95_ms", "ms", "≤", 50, 20),
    Goal("CPU of the idle server", "idle_cpu_percent", "%", "≤", 0.5, 0.1),
    Goal("  with many deliveries waiting", "waiting.idle_cpu_percent", "%", "≤", 0.5, 0.1),
    Goal("Memory of the server after the run", "rss_mb", "MB", "≤", 150, 110),
    Goal("Start → first page, with the history", "start_to_page_s", "s", "≤", 2, 1),
    Goal("Start → first page, new folder", "first_start_s", "s"),
)
COLOURS = {"missed": "red", "must": "green", "goal": "bold green", "": "none"}


def judged(report: Report) -> list[Report]:
    """Each goal that sets a bound, with its result."""
    found = []
    for goal in GOALS:
        if goal.must is not None:
            value = goal.value(report)
            facts = {"title": goal.title, "figure": goal.path, "value": value, "sign": goal.sign}
            verdict = {"must": goal.must, "goal": goal.goal, "verdict": goal.verdict(value)}
            found.append({**facts, **verdict})
    return found


def show(report: Report, console: Console) -> None:
    """The tables, for people."""
    machine, history = report["machine"], report["history"]
    alone, beside = report["batch"], report["batch_and_pages"]
    about = (
        f"{machine['cpus']} CPUs, {machine['system']}, Python {machine['python']}, SQLite {machine['sqlite']}"
    )
    console.print(f"{report['date']}  {about}", highlight=False)
    console.print(_figures(report))
    console.print(_lists(history))
    console.print(
        f"Medians of {report['rounds']} interleaved rounds of {report['events_per_round']} events [range]; "
        f"the batches: {alone['sent']} and {beside['sent']} of {alone['events']} sent; "
        f"memory after {report['rss_after_deliveries']} deliveries.\n"
        "Figures of different runs or machines do not compare well; ratios do.",
        highlight=False,
        markup=False,
    )


def _figures(report: Report) -> Table:
    table = Table("What", "Measured", "Range", "Must", "Goal", "", box=None, padding=(0, 2, 0, 0))
    for goal in GOALS:
        value = goal.value(report)
        verdict = goal.verdict(value)
        low_high = report["range"].get(goal.path)
        table.add_row(
            goal.title,
            f"{_number(value)} {goal.unit}",
            f"{_number(low_high[0])}–{_number(low_high[1])}" if low_high else "",
            f"{goal.sign} {goal.must:g}" if goal.must is not None else "",
            f"{goal.sign} {goal.goal:g}" if goal.goal is not None else "",
            {"missed": "✗ missed", "must": "✓ must", "goal": "✓ goal"}.get(verdict, ""),
            style=COLOURS[verdict],
        )
    return table


def _lists(history: Report) -> Table:
    title = f"Lists over {history['rows']:,} deliveries"
    table = Table(title, "p50 ms", "p95 ms", box=None, padding=(0, 2, 0, 0))
    for name, took in history["list_ms"].items():
        table.add_row(name, _number(took["p50"]), _number(took["p95"]))
    for name, took in history["page_ms"].items():
        table.add_row(f"{name} (page)", _number(took["p50"]), _number(took["p95"]))
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
