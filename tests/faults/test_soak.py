"""The soak in a form of 20 seconds; by hand: `python -m tests.faults.soak --minutes 10`."""

from pathlib import Path

import pytest

from .soak import Soak


@pytest.mark.long
def test_under_steady_load_with_misbehaviour_and_a_kill_every_promise_is_kept(tmp_path: Path):
    assert Soak(tmp_path, timings=False).play(seconds=16, kills=1) == []
