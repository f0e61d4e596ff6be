"""What manage.py makes of where its output goes: a pipe that nobody reads on, a full disk, nowhere, an odd terminal."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.datafolder import running

from .receiving import Receiver
from .serving import DEFAULTS, ROOT
from .waiting import wait_until

Command = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Begins a command as manage.py does once all is installed, in a data folder of this test."""

    def begin(
        *args: str, stdout: int = subprocess.PIPE, closed: str = "", before: str = "", **env: str
    ) -> "subprocess.Popen[bytes]":
        python = [sys.executable, "-c", f"import manage; manage.run_django({['manage.py', *args]!r})"]
        return subprocess.Popen(
            ["sh", "-c", f'{before} exec "$@" {closed}', "sh", *python],
            cwd=ROOT,
            env={**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(tmp_path), **env},
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    return begin


@pytest.fixture
def closed_pipe() -> int:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


VERIFY = ("verify", "--secret", "x", "--timestamp", "1", "--signature", "v1=0", os.devnull)


@pytest.mark.parametrize("args", [VERIFY, ("version",)])
def test_a_reader_that_has_gone_ends_a_command_without_a_traceback_and_is_no_verdict(
    command: Command, closed_pipe: int, args: tuple[str, ...]
) -> None:
    process = command(*args, stdout=closed_pipe)
    os.close(closed_pipe)
    assert (process.communicate(timeout=20)[1], process.returncode) == (b"", 141)


@pytest.mark.parametrize(
    ("closed", "args", "code"),
    [
        ("<&- >&- 2>&-", VERIFY, 1),
        (">&-", ("send", "lead.qualified", "--to", "http://127.0.0.1:9/", "--no-wait"), 0),
        (">&-", ("help",), 0),
        ("<&-", (*VERIFY[:-1], "-"), 2),
    ],
    ids=["verify", "send", "help", "a body from nowhere"],
)
def test_closed_streams_change_no_exit_code(
    command: Command, closed: str, args: tuple[str, ...], code: int
) -> None:
    process = command(*args, closed=closed)
    assert (process.communicate(timeout=20)[1].count(b"\n"), process.returncode) == (int(code == 2), code)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_the_output_is_no_verdict(command: Command, unbuffered: str) -> None:
    process = command(*VERIFY, closed=">/dev/full", PYTHONUNBUFFERED=unbuffered)
    told = b"The output cannot be written: No space left on device.\n"
    assert (process.communicate(timeout=20)[1], process.returncode) == (told, 3)


def test_a_reader_that_goes_after_the_first_line_does_not_make_the_receiver_one_that_failed(
    command: Command, receiver: Receiver
) -> None:
    process = command("send", "lead.qualified", "--to", receiver.url, "--count", "3", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["kind"] == "event"
    process.stdout.close()
    process.stdout = None
    assert (process.communicate(timeout=20)[1], process.returncode) == (b"", 141)


def test_a_shell_set_up_for_another_django_project_changes_nothing(command: Command) -> None:
    process = command(*VERIFY, DJANGO_SETTINGS_MODULE="shop.settings")
    output, errors = process.communicate(timeout=20)
    assert (errors, process.returncode) == (b"", 1) and output.startswith(b"Invalid")


def test_settings_that_are_no_module_are_named_in_one_line(command: Command) -> None:
    process = command("send", "lead.qualified", "--settings", "shop.settings")
    _, errors = process.communicate(timeout=20)
    assert (errors, process.returncode) == (
        b"--settings shop.settings: there is no such module. Leave it out.\n",
        3,
    )


def test_a_terminal_that_knows_no_arrow_gets_another_sign_and_the_delivery_is_followed(
    command: Command, receiver: Receiver
) -> None:
    process = command("send", "lead.qualified", "--to", receiver.url, PYTHONIOENCODING="latin-1")
    output, errors = process.communicate(timeout=20)
    assert (errors, process.returncode) == (b"", 0)
    assert b" ? " + receiver.url.encode() in output and b"delivered after 1 attempt" in output


@pytest.mark.parametrize("closed", ["", "<&- >&- 2>&-", ">/dev/full"])
def test_up_goes_on_though_nobody_reads_where_it_runs(
    command: Command, closed_pipe: int, closed: str, tmp_path: Path
) -> None:
    process = command("up", "--no-browser", "--port", "0", stdout=closed_pipe, closed=closed)
    os.close(closed_pipe)
    wait_until(lambda: is_ready(process, tmp_path), 20, "200 from /readyz")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20)[1].count(b"Traceback") == 0
    assert process.returncode == 0


def is_ready(process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    assert process.poll() is None, process.communicate()
    try:
        with urllib.request.urlopen(f"{running(folder)}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):  # it has not said yet where it listens
        return False


def test_up_in_the_background_of_a_script_does_not_end_with_what_is_in_front(
    command: Command, tmp_path: Path
) -> None:
    """A shell ignores SIGINT for `up &`."""
    process = command("up", "--no-browser", "--port", "0", before="trap '' INT;")
    wait_until((tmp_path / "engine.lock").exists, 20, "the first thing that it makes")
    process.send_signal(signal.SIGINT)
    wait_until(lambda: is_ready(process, tmp_path), 20, "200 from /readyz")
    process.send_signal(signal.SIGINT)
    assert is_ready(process, tmp_path) and is_ready(process, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=20)[1], process.returncode) == (b"", 0)


def test_sigterm_while_up_still_imports_django_is_a_clean_end(command: Command, tmp_path: Path) -> None:
    (tmp_path / "django.py").write_text(
        "import threading; print('importing', flush=True); threading.Event().wait(10)"
    )
    process = command("up", PYTHONPATH=str(tmp_path))
    assert process.stdout is not None and process.stdout.readline() == b"importing\n"
    process.send_signal(signal.SIGTERM)
    assert (process.communicate(timeout=20)[1], process.returncode) == (b"", 0)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_up_ends_also_if_it_is_told_so_while_an_object_is_removed(
    command: Command, tmp_path: Path, number: int, code: int
) -> None:
    """Python only prints what is raised there."""
    (tmp_path / "django.py").write_text(
        "import signal, threading, weakref\n"
        "removed = type('Object', (), {})()\n"
        f"told = weakref.ref(removed, lambda _: signal.raise_signal({int(number)}))\n"
        "del removed\n"
        "threading.Event().wait(10)\n"
    )
    process = command("up", PYTHONPATH=str(tmp_path))
    assert (process.communicate(timeout=20)[1], process.returncode) == (b"", code)
