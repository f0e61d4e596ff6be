"""`up`, tried as a process of its own: what it prints, what it refuses, and what it leaves behind."""

import contextlib
import hashlib
import json
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console import listening
from simulator.datafolder import EngineLock

from .serving import ROOT, Server
from .waiting import wait_until

ADDRESS = re.compile(
    r"Console  http://127\.0\.0\.1:(\d+)/\nAPI key  (\S+)\nData     (.+)\nSQLite   3\.\d+\.\d+\n"
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A first start that tests only look at."""
    started = Server(tmp_path_factory.mktemp("fresh")).start()
    yield started
    started.finish()


def refused(server: Server, *options: str) -> tuple[int, str]:
    """Exit code and the one line of a start that has to fail."""
    before = len(server.errors)
    code = server.start(*options, ready=False).wait(10)
    line = server.errors[before:]
    assert line.count("\n") == 1, line
    return code, line


def database(server: Server) -> Path:
    return server.data_dir / "simulator.sqlite3"


# --- what it prints, and where it listens


def test_it_prints_address_key_and_folder_and_is_ready(idle: Server):
    idle.start()
    port, key, folder = ADDRESS.fullmatch(idle.output).groups()
    assert int(port) == idle.port
    assert folder == str(idle.data_dir)
    assert idle.get("/readyz").json == {"status": "ok", "troubles": []}
    assert idle.get("/api/v1/webhooks", Authorization=f"Bearer {key}").status == 200


def test_for_scripts_it_prints_the_same_as_json(idle: Server):
    idle.start("--json", ready=False)
    line = wait_until(lambda: idle.output.endswith("\n") and idle.output, 10, "the line")
    assert set(json.loads(line)) == {"console", "api_key", "data", "sqlite"}


def test_a_database_of_an_older_version_is_said_to_be_updated_before_it_is(server: Server):
    server.stop()
    older = [*server.command, "migrate", "simulator", "0005", "--verbosity", "0"]
    subprocess.run(older, cwd=ROOT, env=server.env, check=True)
    printed = len(server.output)
    with contextlib.closing(sqlite3.connect(database(server), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        server.start("--json", ready=False)
        told = wait_until(lambda: server.errors.endswith("\n") and server.errors, 10, "the line")
        assert told == "Updating the database, which may take a minute…\n"
        assert server.output[printed:] == ""
    line = wait_until(lambda: server.output.endswith("\n") and server.output[printed:], 10, "the address")
    assert set(json.loads(line)) == {"console", "api_key", "data", "sqlite"}
    server.restart()
    assert server.errors == told


def test_a_key_of_ones_own_is_used(make_server: Callable[..., Server]):
    server = make_server(SIM_API_KEY="my very own key, 24 char")
    assert server.key == "my very own key, 24 char"
    assert server.api("GET", "/webhooks").status == 200


@contextlib.contextmanager
def taken(port: int = 0) -> Iterator[int]:
    """Somebody else listens there."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # then somebody really does
            other.bind(("127.0.0.1", port))
            other.listen()
        yield other.getsockname()[1] or port


def test_without_a_port_a_taken_8000_means_the_next_free_one(idle: Server):
    with taken(8000):
        idle.start("--port=")
        assert 8000 < idle.port < 8100
        assert f"Port     8000 is taken, so this is {idle.port}\n" in idle.output


def test_a_port_that_was_asked_for_and_is_taken_is_refused(idle: Server):
    with taken() as port:
        code, line = refused(idle, "--port", str(port))
    assert code == 3
    assert f"port {port}" in line and "--port" in line


def test_a_port_that_is_taken_is_refused_before_the_database_is_made_or_updated(server: Server):
    server.stop()
    older = [*server.command, "migrate", "simulator", "0005", "--verbosity", "0"]
    subprocess.run(older, cwd=ROOT, env=server.env, check=True)
    before = database(server).read_bytes()
    with taken() as port:
        code, line = refused(server, "--port", str(port))
        assert code == 3 and f"port {port}" in line
        assert database(server).read_bytes() == before
        database(server).unlink()
        assert refused(server, "--port", str(port)) == (code, line)
    assert not database(server).exists()


def test_help_has_an_example(idle: Server):
    assert idle.start("--help", ready=False).wait(10) == 0
    assert "\n  python3 manage.py up --port 9000 --no-browser\n" in idle.output


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_bad_input(idle: Server, port: str):
    assert idle.start("--port", port, ready=False).wait(10) == 2
    assert "--port: invalid port value" in idle.errors


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")]
)
def test_every_loopback_address_will_do(idle: Server, host: str, address: str):
    idle.start("--host", host, ready=False)
    wait_until(lambda: "SQLite" in idle.output, 10, "the address")
    printed = re.search(r"Console  http://(.+):(\d+)/", idle.output)
    assert printed[1] == address
    with socket.create_connection((host, int(printed[2])), 5) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_l15_other_machines_are_not_let_in(idle: Server, host: str):
    code, line = refused(idle, "--host", host)
    assert code == 2
    assert line.startswith(f"--host {host} would open the console to other machines.")


@pytest.mark.parametrize(
    "host",
    [
        "0",
        "0x0",
        "00.0.0.0",
        "[::]",
        "0:0::0",
        "10.0.0.1",
        "192.168.1.5",
        "169.254.169.254",
        "::ffff:10.0.0.1",
    ],
)
def test_l15_in_whatever_spelling(host: str):
    assert not listening.is_local(host)


def test_a_host_that_does_not_exist_is_refused(idle: Server):
    code, line = refused(idle, "--host", "no-such-host.invalid")
    assert code == 3
    assert "no-such-host.invalid" in line


def test_exposing_is_not_available_yet_and_says_so(idle: Server):
    code, line = refused(idle, "--expose", "--host", "0.0.0.0")
    assert code == 2
    assert line.startswith("--expose is not available yet")


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A browser that writes down what it is to open, and stays open."""
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\nexec sleep 5\n')
    program.chmod(0o700)
    return program


def test_it_opens_the_browser_and_does_not_wait_for_it(make_server: Callable[..., Server], browser: Path):
    server = make_server(start=False, BROWSER=f"{browser} %s", DISPLAY=":0", CI="")
    server.start(browser=True)
    opened = browser.with_name("opened")
    assert wait_until(lambda: opened.exists() and opened.read_text(), 5) == f"{server.url}\n"
    code, took = server.stop()
    assert (code, took < 2) == (0, True)


def test_the_browser_has_the_umask_of_the_shell(make_server: Callable[..., Server], tmp_path: Path):
    program, told = tmp_path / "browser", tmp_path / "umask"
    program.write_text(f"#!/bin/sh\numask > {told}\n")
    program.chmod(0o700)
    server = make_server(start=False, BROWSER=f"{program} %s", DISPLAY=":0", CI="")
    server.start(browser=True)
    umask = subprocess.run(["sh", "-c", "umask"], check=True, capture_output=True, text=True).stdout
    assert wait_until(lambda: told.exists() and told.read_text(), 5) == umask


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no thread is kept on a core")
def test_the_browser_may_use_every_core_although_a_batch_goes_on(
    make_server: Callable[..., Server], tmp_path: Path
):
    program, cores = tmp_path / "browser", tmp_path / "cores"
    program.write_text(f"#!/bin/sh\ngrep Cpus_allowed_list: /proc/self/status > {cores}\n")
    program.chmod(0o700)
    server = make_server(BROWSER=f"{program} %s", DISPLAY=":0", CI="")
    endpoint = server.api("POST", "/webhooks", {"url": f"{server.url}/receiver/x?delay=1", "events": ["*"]})
    batch = {"type": "lead.qualified", "count": 1000, "endpoints": [endpoint.json["id"]]}
    server.api("POST", "/events/batch", batch)
    server.kill()
    server.start(browser=True)
    allowed = wait_until(lambda: cores.exists() and cores.read_text(), 5)
    assert allowed in Path("/proc/self/status").read_text()


@pytest.mark.parametrize(
    "env", [{"CI": "true", "DISPLAY": ":0"}, {"CI": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}]
)
def test_in_ci_and_without_a_screen_no_browser_is_opened(
    make_server: Callable[..., Server], browser: Path, env: dict[str, str]
):
    server = make_server(start=False, BROWSER=f"{browser} %s", **env)
    server.start(browser=True)
    server.stop()
    assert not browser.with_name("opened").exists()


# --- first start and later ones


def endpoints(server: Server) -> dict[str, dict]:
    return {found["description"]: found for found in server.api("GET", "/webhooks").json["data"]}


def test_the_first_start_registers_two_endpoints_on_the_built_in_receiver(fresh: Server):
    found = endpoints(fresh)
    assert set(found) == {"Built-in receiver", "Flaky receiver"}
    assert found["Built-in receiver"]["url"] == f"{fresh.url}/receiver/ok"
    assert found["Flaky receiver"]["url"] == f"{fresh.url}/receiver/flaky?fail_first=2"


def test_an_event_for_everybody_goes_to_no_built_in_endpoint(fresh: Server):
    accepted = fresh.api("POST", "/events", {"type": "lead.qualified"}).json
    assert accepted["deliveries"] == []
    assert [skipped["reason"] for skipped in accepted["skipped"]] == ["not_subscribed", "not_subscribed"]


def test_the_built_in_endpoints_follow_the_port(server: Server):
    before = endpoints(server)
    server.stop()
    server.start("--port", "0")
    after = endpoints(server)
    assert {name: found["id"] for name, found in after.items()} == {
        name: found["id"] for name, found in before.items()
    }
    assert all(found["url"].startswith(f"{server.url}/receiver/") for found in after.values())
    delivery = server.api("POST", f"/webhooks/{after['Built-in receiver']['id']}/test", {}).json
    wait_until(lambda: server.api("GET", f"/deliveries/{delivery['id']}").json["status"] == "succeeded", 5)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_l09_it_delivers_to_its_own_receiver_and_to_nothing_else_of_itself(idle: Server, host: str):
    idle.start("--host", host, ready=False)
    wait_until(lambda: "SQLite" in idle.output, 10, "the address")
    address = re.search(r"Console  (http://.+)/", idle.output)[1]
    idle.host, idle.port = host, int(address.rpartition(":")[2])
    for path, code in (("/receiver/ok", None), ("/api/v1/events", "blocked_self"), ("/", "blocked_self")):
        endpoint = {"url": address + path, "events": ["lead.qualified"], "retry": {"delays": []}}
        made = idle.api("POST", "/webhooks", endpoint).json["id"]
        delivery = idle.api("POST", f"/webhooks/{made}/test", {}).json["id"]
        last = wait_until(lambda at=delivery: idle.api("GET", f"/deliveries/{at}").json["last_attempt"], 5)
        assert last["error"] == code


def test_a_deleted_built_in_endpoint_does_not_come_back(server: Server):
    for found in endpoints(server).values():
        assert server.api("DELETE", f"/webhooks/{found['id']}").status == 204
    server.restart()
    assert endpoints(server) == {}


def test_starts_and_stops_are_in_the_activity(server: Server):
    server.restart()
    entries = [entry["action"] for entry in server.api("GET", "/activity").json["data"]]
    assert [action for action in entries if action in ("started", "stopped")] == [
        "started",
        "stopped",
        "started",
    ]


def test_l18_only_the_owner_can_read_what_it_keeps(fresh: Server):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in fresh.data_dir.iterdir()}
    assert stat.S_IMODE(fresh.data_dir.stat().st_mode) == 0o700
    assert {"simulator.sqlite3", "simulator.sqlite3-wal", "engine.lock", "api_key", "secret_key"} <= set(
        modes
    )
    assert set(modes.values()) == {0o600}


# --- one a data folder


def test_e09_a_second_one_on_the_same_folder_names_the_first(
    make_server: Callable[..., Server], server: Server
):
    second = make_server(start=False, SIM_DATA_DIR=str(server.data_dir))
    code, line = refused(second)
    assert code == 3
    assert server.url in line
    assert server.get("/readyz").status == 200


def test_e09_a_send_that_runs_the_engine_meanwhile_is_not_called_the_simulator_alone(idle: Server):
    idle.data_dir.mkdir()
    lock = EngineLock(idle.data_dir)
    lock.acquire()
    code, line = refused(idle)
    lock.release()
    assert code == 3 and "is a send that still follows its deliveries" in line


def test_e09_a_killed_one_leaves_no_lock_behind(server: Server):
    server.kill()
    server.start()
    assert server.get("/readyz").status == 200


# --- a database that cannot be used


def spoil_with_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def spoil_the_middle(path: Path) -> None:
    spoiled = bytearray(path.read_bytes())
    spoiled[8192:40_960] = b"\xa5" * 32_768
    path.write_bytes(spoiled)


def make_read_only(path: Path) -> None:
    path.chmod(0o400)


def make_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('simulator', '9999_later', '2030-01-01')"
        )
        writer.commit()
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.alone
@pytest.mark.parametrize(
    ("spoil", "cure"),
    [
        (spoil_with_noise, "move it away"),
        (spoil_the_middle, "move it away"),
        (make_read_only, "chmod u+w"),
        (make_newer, "Update the simulator"),
    ],
)
def test_e17_a_database_that_cannot_be_used_is_named_with_its_cure(
    server: Server, spoil: Callable, cure: str
):
    server.stop()
    spoil(database(server))
    before = hashlib.sha256(database(server).read_bytes()).hexdigest()

    def seconds() -> float:
        began = time.monotonic()
        code, line = refused(server)
        took = time.monotonic() - began
        assert code == 3
        assert str(database(server)) in line and cure in line
        return took

    assert any(seconds() <= 2 for _ in range(3))  # a neighbour's moment spoils one, a defect all
    assert hashlib.sha256(database(server).read_bytes()).hexdigest() == before


def test_a_data_folder_that_cannot_be_made_is_named(make_server: Callable[..., Server], tmp_path: Path):
    (tmp_path / "file").touch()
    server = make_server(
        start=False, SIM_DATA_DIR=str(tmp_path / "file" / "data"), SECRET_KEY="x" * 50, SIM_API_KEY="x" * 16
    )
    code, line = refused(server)
    assert code == 3
    assert str(tmp_path / "file") in line and "SIM_DATA_DIR" in line
