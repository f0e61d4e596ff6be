"""README holds: its commands and programs are run as they stand there, its tables equal the code they describe."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import get_resolver

from console.verifying import snippet
from simulator import catalog, payload
from simulator.api import api
from simulator.failures import FAILURES
from simulator.receiver import Behaviour
from simulator.signing import DEFAULT, new_secret, signer

from .receiving import Receiver
from .serving import DEFAULTS, ROOT, Server
from .waiting import wait_until

README = (ROOT / "README.md").read_text()
WHOLE_SUITE = "python3 manage.py test\n"  # the one command that no test can run: it runs the tests
BODY = '{"id":"evt_1","data":{"name":"Zoë"}}'.encode()

# Everything is Django's but `test`; manage.py itself may want to install, and has tests of its own.
PYTHON3 = """#!/bin/sh
if [ "$1" != manage.py ]; then exec {python} "$@"; fi
shift
if [ "$1" = test ]; then shift; exec {python} -m pytest -p no:cacheprovider "$@"; fi
DJANGO_SETTINGS_MODULE=console.settings exec {python} -m django "$@"
"""
CURL = """#!{python}
import argparse, sys, urllib.error, urllib.request
options = argparse.ArgumentParser()
options.add_argument("-s", action="store_true")
options.add_argument("-X", default="GET")
options.add_argument("-H", action="append", default=[])
options.add_argument("-d", type=str.encode)
options.add_argument("url")
asked = options.parse_args()
headers = dict(line.split(": ", 1) for line in asked.H)
try:
    answer = urllib.request.urlopen(urllib.request.Request(asked.url, asked.d, headers, method=asked.X))
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(answer.read())
"""

Shell = Callable[[str, Path], "subprocess.Popen[str]"]


def blocks(language: str) -> list[str]:
    """The code blocks of that language, in order, each with its final newline."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shell_blocks(pattern: str) -> list[str]:
    return [block for block in blocks("sh") if re.search(pattern, block) and block != WHOLE_SUITE]


def table(title: str) -> list[list[str]]:
    """The rows, without the two head lines, of the first table after that heading or bold text."""
    rows = re.search(
        rf"^(?:## |\*\*){title}\b.*?^\|[^\n]*\n\|-[^\n]*\n(.*?)\n\n", README, re.MULTILINE | re.DOTALL
    )
    assert rows, title
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]


def names(cells: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cells)


def here(text: str, server: Server) -> str:
    """README's text with the address and the data folder of that server."""
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace(".data/", f"{server.data_dir}/")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Starts bash on a text of README in its folder; `python3` there is the one that runs the tests."""
    tools = {"python3": PYTHON3} | ({} if shutil.which("curl") else {"curl": CURL})
    (tmp_path / "bin").mkdir()
    for name, text in tools.items():
        tool = tmp_path / "bin" / name
        tool.write_text(text.format(python=sys.executable))
        tool.chmod(0o755)
    env = {**os.environ, **DEFAULTS, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "CI": "true"}
    del env["DJANGO_SETTINGS_MODULE"]

    def start(script: str, data_dir: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=env | {"SIM_DATA_DIR": str(data_dir)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def loaded(program: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The names that a Python program of README defines, with that secret in its environment."""
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    found: dict[str, Any] = {}
    exec(program, found)  # noqa: S102 - it is what a user would paste
    return SimpleNamespace(**found)


# --- commands


@pytest.mark.parametrize("block", shell_blocks("manage.py up"))
def test_up_starts_as_shown_and_ctrl_c_ends_it(block: str, shell: Shell, tmp_path: Path) -> None:
    process = shell(re.sub(r"--port \d+", "--port 0", block), tmp_path / "data")
    assert process.stdout
    [shown] = [text for text in blocks("text") if text.startswith("Console ")]
    labels = [line[:9] for line in shown.splitlines()]
    assert [process.stdout.readline()[:9] for _ in labels] == labels
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said


def test_the_tour_runs_from_first_to_last_command(server: Server, shell: Shell) -> None:
    tour = shell_blocks(r"curl|manage.py (?!up|test)")
    assert len(tour) >= 4
    process = shell(here("".join(tour), server), server.data_dir)
    said, complained = process.communicate(timeout=90)
    assert (process.returncode, complained) == (0, "")
    assert not re.search(r'"type": ?"\w+_error"', said), said

    assert "delivered after 1 attempt\n" in said
    assert example_of_send(server) in without_what_varies(said)
    assert re.search(r'"kind": "delivery".*"status": "succeeded"', said)
    assert "Valid. " in said
    assert '"secret":"whsec_' in said

    newest = server.api("GET", "/deliveries?limit=1").json["data"][0]
    assert newest["endpoint"]["url"].endswith("/receiver/mine?fail_first=5")
    path = f"/deliveries/{newest['id']}"
    wait_until(lambda: len(server.api("GET", path).json["attempts"]) > 1, 5, "the manual attempt")
    assert "manual" in {attempt["trigger"] for attempt in server.api("GET", path).json["attempts"]}
    server.api("POST", f"{path}/cancel")


def example_of_send(server: Server) -> str:
    [shown] = [text for text in blocks("text") if "attempt 1" in text]
    return without_what_varies(here(shown, server))


def without_what_varies(text: str) -> str:
    return re.sub(r"\d+ ms", "… ms", re.sub(r"(evt|dlv)_\w+", r"\1_…", text))


def test_a_part_of_the_tests_runs_as_shown(shell: Shell, tmp_path: Path) -> None:
    [block] = shell_blocks("manage.py test")
    process = shell(block, tmp_path / "data")
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 0, said + complained


def test_every_shell_block_is_among_those_that_were_run() -> None:
    ran = shell_blocks("manage.py up") + shell_blocks(r"curl|manage.py (?!up|test)")
    ran += shell_blocks("manage.py test") + [WHOLE_SUITE]
    assert sorted(ran) == sorted(blocks("sh"))


# --- programs


def test_the_stream_program_prints_every_change(server: Server, receiver: Receiver, tmp_path: Path) -> None:
    [program] = [text for text in blocks("python") if "ws://" in text]
    sent = server.api("POST", "/events", {"type": "lead.qualified", "to": receiver.url}).json["deliveries"]
    printed = tmp_path / "printed"
    with open(printed, "w") as output:
        process = subprocess.Popen([sys.executable, "-c", here(program, server)], stdout=output)
    try:
        wait_until(lambda: f"{sent[0]['id']} succeeded\n" in printed.read_text(), 10, "the delivery's end")
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.parametrize(("block", "language"), [("python", "python"), ("js", "javascript")])
def test_the_code_to_verify_is_the_one_that_the_console_shows(block: str, language: str) -> None:
    assert snippet(DEFAULT, language) in blocks(block)


def test_the_python_code_accepts_what_a_receiver_gets_and_the_header_table_is_right(
    server: Server, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = server.api("POST", "/webhooks", {"url": receiver.url, "events": ["*"]}).json
    server.api("POST", "/events", {"type": "property.matched"})
    [request] = receiver.wait_for(1)
    verify = loaded(snippet(DEFAULT, "python"), made["secret"], monkeypatch).verify
    assert verify(request.headers, request.body)
    assert not verify(request.headers, request.body + b" ")
    documented = {name for row in table("Use it with your own") for name in names(row[0])}
    assert documented == {name for name in request.headers if name.startswith("x-")}


def cases() -> list[tuple[str, str, dict[str, str], bytes, bool]]:
    """(claim, secret, headers, body, verdict)."""
    new, old = new_secret(), new_secret()

    def signed(*secrets: str, age: int = 0) -> dict[str, str]:
        at = int(time.time()) - age
        return dict(signer(DEFAULT, secrets)(timestamp=at, event_id="evt_1", body=BODY))

    return [
        ("right", new, signed(new), BODY, True),
        ("the old secret while it is rotated", old, signed(new, old), BODY, True),
        ("another body", new, signed(new), BODY + b"\n", False),
        ("another secret", old, signed(new), BODY, False),
        ("old", new, signed(new, age=310), BODY, False),
        ("unsigned", new, {}, BODY, False),
    ]


def test_the_python_code_judges_right(monkeypatch: pytest.MonkeyPatch) -> None:
    for claim, secret, headers, body, verdict in cases():
        assert loaded(snippet(DEFAULT, "python"), secret, monkeypatch).verify(headers, body) is verdict, claim


@pytest.mark.skipif(not shutil.which("node"), reason="no Node on this machine")
def test_the_node_code_judges_right() -> None:
    [program] = blocks("js")
    judge = 'process.stdout.write(String(verify(JSON.parse(process.argv[2]), require("fs").readFileSync(0))))'
    for claim, secret, headers, body, verdict in cases():
        command = ["node", "-e", f"{program}\n{judge}", "--", "-", json.dumps(headers)]
        env = os.environ | {"WEBHOOK_SECRET": secret}
        said = subprocess.run(command, env=env, input=body, capture_output=True, check=True, timeout=20)
        assert said.stdout.decode() == str(verdict).lower(), claim


# --- tables


def test_the_failure_codes_are_those_of_the_code() -> None:
    documented = [
        [names(code)[0], unescape(what), unescape(cure)] for code, what, cure in table("Failure codes")
    ]
    assert documented == [[failure.code, failure.docs, failure.hint] for failure in FAILURES.values()]


def test_the_settings_are_those_that_are_read() -> None:
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / "console/settings.py").read_text()))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    ]
    read = {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}
    documented = [names(row[0])[0] for row in table("Settings")]
    assert sorted(documented) == sorted(name for name in read if re.fullmatch(r"[A-Z][A-Z_]+", name))


def test_the_routes_are_those_of_the_api() -> None:
    get_resolver().url_patterns  # noqa: B018 - the routes are registered while the addresses are read
    paths = api.get_openapi_schema()["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert sorted(names(row[0])[0] for row in table("API")) == sorted(routes)


def test_the_queries_of_the_built_in_receiver_are_those_it_reads() -> None:
    documented = [
        names(row[0])[0].partition("=")[0] for row in table("The built-in receiver") if names(row[0])
    ]
    assert sorted(documented) == sorted(field.name for field in fields(Behaviour))


def test_the_event_types_and_the_keys_of_an_event_are_the_real_ones() -> None:
    [shown] = blocks("json")
    event = json.loads(shown)
    made = json.loads(
        payload.envelope("evt_1", "lead.qualified", datetime.now(UTC), catalog.sample("lead.qualified"))
    )
    assert (list(event), list(event["data"])) == (list(made), list(made["data"]))
    assert json.dumps(event, separators=(",", ":")) + "\n" == shown
    sentence = re.search(r"^.*The built-in types are (.*?);", README, re.MULTILINE)
    assert sentence and names(sentence[1]) == list(catalog.BUILT_IN)


# --- links


def test_every_link_image_and_file_that_is_named_exists() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", README)
    named = re.findall(r"`((?:simulator|console|templates|tests|static)/[\w/.]*)`", README)
    assert linked and named
    assert [path for path in linked + named if not (ROOT / path).exists()] == []


def test_what_readme_says_lies_in_a_file_lies_there() -> None:
    said = re.findall(r"`(\w+)` in `([\w/]+\.py)`", README)
    assert said
    for name, file in said:
        assert f"def {name}(" in (ROOT / file).read_text(), (name, file)
