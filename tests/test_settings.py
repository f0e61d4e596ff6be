"""Settings: read once at the start; a bad one is named in one line, with what to write instead."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .serving import DEFAULTS, ROOT

SHOW = "import console.settings as s; print(s.SIM_DATA_DIR, s.SIM_RETRY_SCALE, s.SIM_CONCURRENCY, s.ALLOWED_HOSTS)"


def settings(tmp_path: Path, code: str = SHOW, **env: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **DEFAULTS, "SIM_DATA_DIR": str(tmp_path / "data"), **env}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIM_RETRY_SCALE", "fast"),
        ("SIM_RETRY_SCALE", "-1"),
        ("SIM_RETRY_SCALE", "nan"),
        ("SIM_CONCURRENCY", "0"),
        ("SIM_CONCURRENCY", "1.9"),
        ("SIM_CONCURRENCY", "1000000"),
        ("SIM_KEEP_DAYS", "0"),
        ("SIM_API_KEY", "too short"),
        ("SIM_API_KEY", "k" * 201),
        ("SIM_API_KEY", "schlüssel-schlüssel"),
        ("SIM_API_KEY", " a key of 24 characters."),
        ("SIM_API_KEY", "a key of 24 characters. "),
        ("LOG_FORMAT", "xml"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "sim.lan,*"),
        ("ALLOWED_HOSTS", "http://sim.lan"),
        ("ALLOWED_HOSTS", "sim.lan:8000"),
        ("ALLOWED_HOSTS", "sim.lan sim.test"),
    ],
)
def test_a_bad_setting_names_itself(tmp_path: Path, name: str, value: str):
    result = settings(tmp_path, **{name: value})
    last = result.stderr.splitlines()[-1]
    assert result.returncode != 0
    assert last.startswith(f"django.core.exceptions.ImproperlyConfigured: {name} must ")
    assert name != "SIM_API_KEY" or value not in last


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIM_RETRY_SCALE", "fast"),
        ("SIM_DATA_DIR", "/dev/null/data"),
        ("SIM_DATA_DIR", "~nobody-here/data"),
        ("ALLOWED_HOSTS", "*"),
    ],
)
@pytest.mark.parametrize("command", ["up", "send", "verify", "migrate"])
def test_a_bad_setting_ends_every_command_in_one_line(tmp_path: Path, command: str, name: str, value: str):
    result = settings(
        tmp_path, f"import manage; manage.run_django(['manage.py', '{command}'])", **{name: value}
    )
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{name} must ")


def test_a_folder_that_others_need_is_not_closed_to_them(tmp_path: Path):
    shared = tmp_path / "tmp"
    shared.mkdir()
    (theirs := shared / "theirs").touch()
    shared.chmod(0o1777)
    last = settings(tmp_path, SIM_DATA_DIR=str(shared)).stderr.splitlines()[-1:]
    assert last and "SIM_DATA_DIR must be a folder of its own" in last[0] and str(shared) in last[0]
    assert shared.stat().st_mode & 0o7777 == 0o1777 and list(shared.iterdir()) == [theirs]


@pytest.mark.parametrize("name", ["api_key", "secret_key"])
def test_a_kept_key_that_is_none_ends_every_command_in_one_line(tmp_path: Path, name: str):
    kept = tmp_path / "data" / name
    kept.parent.mkdir()
    for make in (lambda: kept.write_bytes(b"\xff\x00" * 20), lambda: (kept.unlink(), kept.mkdir())):
        make()
        result = settings(tmp_path, "import manage; manage.run_django(['manage.py', 'up'])")
        assert result.returncode == 3
        assert result.stderr.count("\n") == 1 and str(kept) in result.stderr


def test_the_defaults_are_the_documented_ones(tmp_path: Path):
    result = settings(tmp_path)
    assert result.stdout.strip() == f"{tmp_path}/data 1.0 100 ['127.0.0.1', 'localhost', '[::1]']"


def test_an_empty_setting_is_none(tmp_path: Path):
    names = "SIM_RETRY_SCALE SIM_CONCURRENCY SIM_KEEP_DAYS SIM_API_KEY LOG_FORMAT SECRET_KEY ALLOWED_HOSTS"
    result = settings(tmp_path, **dict.fromkeys(names.split(), ""))
    assert result.stdout.strip() == f"{tmp_path}/data 1.0 100 ['127.0.0.1', 'localhost', '[::1]']"


def env_file(tmp_path: Path, content: bytes) -> subprocess.CompletedProcess[str]:
    """What such a .env makes of two variables."""
    file = tmp_path / ".env"
    file.write_bytes(content)
    code = "import os, console.settings as s; from pathlib import Path; s.read_env_file(Path(os.environ['FILE']));"
    return settings(tmp_path, code + "print(os.getenv('ONE'), os.getenv('TWO'))", FILE=str(file), TWO="set")


def test_a_file_of_settings_gives_what_the_environment_does_not(tmp_path: Path):
    result = env_file(tmp_path, b"\xef\xbb\xbfexport ONE='a b'\r\n\n  # why\n\tTWO=2\n")
    assert (result.stdout, result.stderr) == ("a b set\n", "")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"ONE=1\nTWO = secret\n", "line 2 of "),
        (b"secret\n", "line 1 of "),
        ("ONE=secret\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_line_that_sets_nothing_is_named_without_what_it_holds(tmp_path: Path, content: bytes, place: str):
    result = env_file(tmp_path, content)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert place in last and str(tmp_path / ".env") in last and "secret" not in last


def test_a_file_of_settings_that_cannot_be_read_is_named_and_a_folder_is_none(tmp_path: Path):
    file = tmp_path / ".env"
    code = "import os, console.settings as s; from pathlib import Path; s.read_env_file(Path(os.environ['FILE']))"
    file.symlink_to(file)
    last = settings(tmp_path, code, FILE=str(file)).stderr.splitlines()[-1]
    assert last.endswith(f"{file} must be a readable file (Too many levels of symbolic links).")
    file.unlink()
    for make in (lambda: None, file.mkdir):
        make()
        assert settings(tmp_path, code, FILE=str(file)).stderr == ""


def test_a_value_is_taken_literally_also_when_it_begins_with_a_dollar(tmp_path: Path):
    code = "import console.settings as s; print(s.SIM_API_KEY, s.SECRET_KEY, s.SIM_DATA_DIR)"
    given = {"SIM_API_KEY": "$HOME-sweet-home-$1", "SECRET_KEY": "$$secret", "SIM_DATA_DIR": "$HOME/data"}
    result = settings(tmp_path, code, **given)
    assert result.stdout.split() == ["$HOME-sweet-home-$1", "$$secret", f"{ROOT}/$HOME/data"]


def test_more_hosts_are_added_to_those_of_this_machine(tmp_path: Path):
    result = settings(
        tmp_path, ALLOWED_HOSTS="sim.lan, sim.test,", SIM_RETRY_SCALE="0.05", SIM_CONCURRENCY="7"
    )
    assert result.stdout.strip().endswith("0.05 7 ['127.0.0.1', 'localhost', '[::1]', 'sim.lan', 'sim.test']")


def test_the_key_of_django_is_made_for_each_data_folder(tmp_path: Path):
    settings(tmp_path)
    made = (tmp_path / "data" / "secret_key").read_text()
    assert len(made) >= 43
    settings(tmp_path)
    assert (tmp_path / "data" / "secret_key").read_text() == made
