"""A forked server is one as any other: it starts, fails and ends like it."""

import signal
from pathlib import Path

import pytest

from .serving import ForkedServer, Server, migrated


@pytest.fixture
def forked(tmp_path: Path) -> ForkedServer:
    (tmp_path / "migrated").mkdir()
    return ForkedServer(migrated(tmp_path / "migrated"), tmp_path)


def told(server: Server) -> list[object]:
    """What a new one says of itself, but for its address."""
    endpoints = server.api("GET", "/webhooks").json["data"]
    return [server.get("/").status, [(each["description"], each["events"]) for each in endpoints]]


def test_a_forked_server_starts_and_ends_like_any_other(forked: ForkedServer, server: Server):
    assert told(forked.start()) == told(server)
    assert forked.process.pid != server.process.pid
    forked.kill()
    assert forked.process.poll() == -signal.SIGKILL
    forked.start()
    assert told(forked) == told(server)
    assert forked.stop()[0] == 0
    assert "Warning" not in forked.errors


def test_each_fork_reads_its_own_settings(forked: ForkedServer, tmp_path: Path):
    """Nothing that has read those of another one is there before the fork."""
    other = ForkedServer(forked.data_dir / "simulator.sqlite3", tmp_path / "other", SIM_API_KEY="k" * 40)
    forked.start(), other.start()
    assert other.key == "k" * 40 != forked.key
    assert other.api("GET", "/webhooks").status == forked.api("GET", "/webhooks").status == 200
    assert other.api("GET", "/webhooks", Authorization=f"Bearer {forked.key}").status == 401
    forked.finish(), other.finish()


def test_a_fork_that_cannot_start_says_why(forked: ForkedServer):
    forked.env["SIM_RETRY_SCALE"] = "slow"
    forked.start(ready=False)
    assert forked.wait() == 1
    assert "SIM_RETRY_SCALE must be a number" in forked.errors
