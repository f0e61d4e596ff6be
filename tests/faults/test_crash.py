"""kill -9 at random moments under load, judged by an oracle that trusts nobody; and whether that oracle bites."""

from pathlib import Path

import pytest

from .crash import CONCURRENCY, Run, crash_loop
from .oracle import duplicates, violations
from .planted import planted

pytestmark = pytest.mark.long


def judged(run: Run) -> dict[str, list[str]]:
    return violations(run.evidence, in_flight_at_kills=run.kills * CONCURRENCY)


@pytest.mark.alone
def test_nothing_is_lost_whatever_kills_the_process(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
):
    run = crash_loop(tmp_path, kills=pytestconfig.getoption("--kills"), seed=20250207)
    found = run.evidence
    resends = run.first_resends()
    worst = [sorted(delay[k] for delay in resends)[int(0.95 * len(resends))] for k in (0, 1)]
    with capsys.disabled():
        print(
            f"\n{run.kills} kills: {len(found.accepted)} events and {len(found.batches)} batches accepted, "
            f"{len(found.seen)} requests, {duplicates(found)} duplicates; first re-send (p95 of {len(resends)}) "
            f"{worst[0]:.2f} s after the spawn, {worst[1]:.2f} s after it ran"
        )
    assert judged(run) == {}
    assert run.refused == []
    assert "Traceback" not in run.errors
    assert len(found.events) >= 40 * run.kills, "too little load to prove anything"
    assert len(resends) >= run.kills / 2, "too few attempts in flight at the kills to prove anything"
    assert worst[1] <= 1.0


@pytest.mark.parametrize(
    "bug, kills, promise",
    [
        ("no_recovery", 2, "stuck"),
        ("accepted_before_commit", 3, "lost"),
        ("recorded_before_sent", 0, "untrue"),
        ("not_fenced", 0, "gone on"),
        ("serialised_again", 0, "bad signature"),
        ("serialised_again_and_signed", 0, "other bytes"),
    ],
)
def test_the_oracle_sees_a_planted_bug(tmp_path: Path, bug: str, kills: int, promise: str):
    run = crash_loop(tmp_path, kills=kills, seed=1, drain_s=3, **planted(bug))
    assert promise in judged(run)


def test_a_stalled_engine_is_fenced_off(tmp_path: Path):
    """The counterpart of the bug `not_fenced`: leases end in flight, and late results change nothing."""
    run = crash_loop(tmp_path, kills=0, seed=1, **planted("short_leases"))
    assert "late results changed nothing" in run.errors
    assert judged(run).keys() <= {"duplicates"}
