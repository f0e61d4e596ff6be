"""The `verify` command: exit 0 valid, 1 invalid and why, 2 bad input; never a traceback."""

import hmac
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.management.commands.verify import Command

from .serving import DEFAULTS, ROOT

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
RIGHT = "v1=e6ad7a04def3004a031d6e6457d45f14418ab265e4f6294a97beeb88c0a08609"
LONG_AGO = "1738896900"
FOREVER = ("--tolerance", "1e12")
BODY = b'{"id":"evt_1"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body.json"
    path.write_bytes(BODY)
    return path


def options(secret: str = SECRET, timestamp: str = LONG_AGO, signature: str = RIGHT) -> list[str]:
    return [f"--secret={secret}", f"--timestamp={timestamp}", f"--signature={signature}"]


def exit_code(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        Command().run_from_argv(["manage.py", "verify", *map(str, arguments)])
    return int(ended.value.code or 0)


def shell(*arguments: str | Path, data: Path, body: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(data)}
    command = [sys.executable, "-m", "django", "verify", *map(os.fspath, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=env, input=body, capture_output=True, check=False, timeout=60
    )


def test_a_right_signature_is_valid(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = int(time.time())
    right = "v1=" + hmac.new(SECRET.encode(), b"%d." % now + BODY, "sha256").hexdigest()
    assert exit_code(*options(timestamp=str(now), signature=right), file) == 0
    assert capsys.readouterr().out.startswith("Valid.")


def test_an_old_timestamp_is_invalid_unless_it_is_tolerated(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*options(), file) == 1
    assert "timestamp_too_old" in capsys.readouterr().out
    assert exit_code(*options(), *FOREVER, file) == 0


def test_a_wrong_signature_is_told_beside_the_right_one(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*options(signature="v1=" + "0" * 64), *FOREVER, file) == 1
    out = capsys.readouterr().out
    assert "signature_mismatch" in out
    assert RIGHT in out


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"signature": ""}, "missing_signature"),
        ({"signature": "abc"}, "malformed_signature"),
        ({"timestamp": ""}, "missing_timestamp"),
        ({"timestamp": "yesterday"}, "malformed_timestamp"),
        ({"timestamp": "-5"}, "malformed_timestamp"),
        ({"secret": "other"}, "signature_mismatch"),
    ],
)
def test_what_a_sender_got_wrong_is_invalid_with_its_reason(
    changed: dict[str, str], reason: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*options(**changed), "--json", file) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["valid"], verdict["reason"]) == (False, reason)
    assert verdict["message"]


def test_as_json_it_tells_what_was_signed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*options(), *FOREVER, "--json", file) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict.pop("age_seconds") > 0
    assert verdict == {
        "valid": True,
        "reason": None,
        "message": "The signature is valid.",
        "expected": RIGHT,
        "signed_content": '1738896900.{"id":"evt_1"}',
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*options(), "no/such/file"], "No such file"),
        ([*options(), "."], "Is a directory"),
        ([*options()], "FILE"),
        ([*options(secret=""), __file__], "1 to 4096 bytes"),
        ([*options(secret="a" * 5000), __file__], "1 to 4096 bytes"),
        ([*options(), "--tolerance=-1", __file__], "0 or more"),
        ([*options(), "--tolerance=nan", __file__], "0 or more"),
        ([*options(), "--tolerance=soon", __file__], "'soon' is not a number"),
        ([*options(), "--colour=red", __file__], "--colour"),
        (["--timestamp=1", "--signature=v1=", __file__], "--secret"),
    ],
)
def test_bad_input_is_told_in_words_with_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "arguments", [[*options(), "no/such/file"], [*options(secret=""), __file__], [*options()]]
)
def test_with_json_bad_input_is_an_error_as_the_api_gives_it_too(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments, "--json") == 2
    told = capsys.readouterr()
    error = json.loads(told.out)["error"]
    assert error["message"] in told.err
    assert error == {
        "type": "validation_error",
        "code": "INVALID_PARAMETER",
        "message": error["message"],
        "details": {},
        "request_id": None,
    }


def test_standard_input_is_read_byte_for_byte(tmp_path: Path) -> None:
    body = b'\xef\xbb\xbf{"a":"\xff\x00"}\r\n\x1a'
    right = "v1=" + hmac.new(SECRET.encode(), LONG_AGO.encode() + b"." + body, "sha256").hexdigest()
    done = shell(*options(signature=right), *FOREVER, "-", data=tmp_path, body=body)
    assert (done.returncode, done.stderr) == (0, b"")
    less = shell(*options(signature=right), *FOREVER, "-", data=tmp_path, body=body.replace(b"\r\n", b"\n"))
    assert (less.returncode, b"signature_mismatch" in less.stdout) == (1, True)


def test_it_needs_no_database(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert shell(*options(), *FOREVER, file, data=data).returncode == 0
    assert not list(data.glob("*sqlite*"))


def test_arguments_that_are_not_utf8_get_an_exit_code_and_no_traceback(tmp_path: Path) -> None:
    for number, expected in enumerate([2, 1, 1]):
        arguments = [b"--secret=x", b"--timestamp=5", b"--signature=v1=00"]
        arguments[number] += b"\xff"
        done = shell(*map(os.fsdecode, arguments), "-", data=tmp_path, body=BODY)
        assert (done.returncode, b"Traceback" in done.stderr) == (expected, False), done.stderr


def test_its_help_shows_an_example(tmp_path: Path) -> None:
    done = shell("--help", data=tmp_path)
    assert done.returncode == 0
    assert b"python3 manage.py verify --secret whsec_" in done.stdout
