"""manage.py on a bare Python: real environments and real pip, with two tiny wheels in place of the network."""

import ast
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from .waiting import wait_until

pytestmark = pytest.mark.long

MANAGE = Path(__file__).parent.parent / "manage.py"
BARE_PYTHON = os.path.realpath(sys.executable)
DJANGO = """
import os, sys
def execute_from_command_line(argv):
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "console.settings"
    import manage  # found beside it, as the settings are
    if "ctrl-c" in argv:
        raise KeyboardInterrupt
    print("django {version}", *argv[1:])
"""
PYTEST = "import os, sys; assert 'DJANGO_SETTINGS_MODULE' not in os.environ; print('pytest', os.getcwd(), *sys.argv[1:]); sys.exit(5)"


class Clone:
    """A checkout with nothing made yet: manage.py, the two locks, and wheels that pip finds without network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.locks = root / "simulator" / "locks"
        self.wheels = root.parent / "wheels"
        self.stamp = root / ".venv" / "installed"
        theirs = ("CI", "PYTHONPYCACHEPREFIX")  # how the suite itself was started
        self.environment = {name: value for name, value in os.environ.items() if name not in theirs} | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
        }

    def lock(self, version: str) -> None:
        """Lock the stand-in for Django at that version, and the one for pytest in the test lock."""
        django = self.wheel("django", version, "core/management/__init__.py", DJANGO.format(version=version))
        pytest_ = self.wheel("pytest", "1", "__main__.py", PYTEST)
        (self.locks / "run.txt").write_text(django)
        (self.locks / "test.txt").write_text(django + pytest_)

    def wheel(self, name: str, version: str, module: str, source: str) -> str:
        """Write that wheel; its line for a lock."""
        file = self.wheels / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        contents = {
            f"{name}/{module}": source,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(file, "w") as archive:
            for path, text in contents.items():
                archive.writestr(zipfile.ZipInfo(path), text)  # dated 1980: the same bytes each time
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"

    def begin(self, *args: str, python: str | Path = BARE_PYTHON, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python, self.root / "manage.py", *args],
            env=self.environment | variables,
            cwd=self.root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, *args: str, python: str | Path = BARE_PYTHON, **variables: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of that command."""
        process = self.begin(*args, python=python, **variables)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out, err


def bare_clone(folder: Path) -> Clone:
    root = folder / "clone"
    (root / "simulator" / "locks").mkdir(parents=True)
    (folder / "wheels").mkdir()
    shutil.copy(MANAGE, root)
    clone = Clone(root)
    clone.lock("1")
    return clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return bare_clone(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, tuple[int, str, str]]:
    """A clone, and how its first command went; a copy of what that made saves the three seconds of making it."""
    clone = bare_clone(tmp_path_factory.mktemp("first"))
    return clone, clone.start("up", "--port", "0")


@pytest.fixture
def set_up_clone(clone: Clone, first: tuple[Clone, tuple[int, str, str]]) -> Clone:
    """A clone whose first `up` is over."""
    shutil.copytree(first[0].root / ".venv", clone.root / ".venv", symlinks=True)
    return clone


def test_the_first_command_on_a_bare_python_sets_up_and_then_runs(
    first: tuple[Clone, tuple[int, str, str]],
) -> None:
    clone, went = first
    assert went == (0, "django 1 up --port 0\n", "Setting up (once, about 30 s)…\n")
    shutil.rmtree(clone.wheels)
    assert clone.start("send", "lead.qualified") == (0, "django 1 send lead.qualified\n", "")


def test_a_later_start_costs_at_most_two_starts_of_a_bare_python(set_up_clone: Clone) -> None:
    def seconds(command: list[str | Path]) -> float:
        began = time.perf_counter()
        subprocess.run(command, env=set_up_clone.environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    manage, inside = set_up_clone.root / "manage.py", set_up_clone.root / ".venv/bin/python"
    bare, through, direct = (
        min(taken)
        for taken in zip(
            *(
                [
                    seconds([BARE_PYTHON, "-c", "import subprocess, hashlib"]),
                    seconds([BARE_PYTHON, manage, "help"]),
                    seconds([inside, manage, "help"]),
                ]
                for _ in range(10)
            ),
            strict=True,
        )
    )
    assert through - direct <= 2 * bare  # 0.8 when this was written: the first interpreter, and the exec


def test_the_first_test_run_adds_its_tools_and_its_environment_then_serves_every_command(
    set_up_clone: Clone,
) -> None:
    ran = f"pytest {set_up_clone.root} -k retry\n"
    assert set_up_clone.start("test", "-k", "retry") == (5, ran, "Setting up (once, about 30 s)…\n")
    assert set_up_clone.start("up") == (0, "django 1 up\n", "")
    assert set_up_clone.start("test", "-k", "retry") == (5, ran, "")


def test_an_environment_made_for_the_tests_serves_up_at_once(clone: Clone) -> None:
    assert clone.start("test")[0] == 5
    assert clone.start("up") == (0, "django 1 up\n", "")


def test_the_settings_of_a_django_project_of_the_users_own_are_left_alone(set_up_clone: Clone) -> None:
    assert set_up_clone.start("up", DJANGO_SETTINGS_MODULE="shop.settings") == (0, "django 1 up\n", "")
    assert set_up_clone.start("test", DJANGO_SETTINGS_MODULE="shop.settings")[0] == 5


def test_a_python_that_looks_for_nothing_beside_a_script_is_told_where_to_look(set_up_clone: Clone) -> None:
    assert set_up_clone.start("up", PYTHONSAFEPATH="1") == (0, "django 1 up\n", "")


def test_the_whole_suite_uses_both_cores_and_a_part_of_it_one(set_up_clone: Clone) -> None:
    ran = f"pytest {set_up_clone.root} -n 2 -m not alone"
    assert set_up_clone.start("test", CI="true")[:2] == (5, f"{ran}\n")
    assert set_up_clone.start("test")[:2] == (5, f"{ran} and not long\n")
    assert set_up_clone.start("test", "tests/test_retry.py")[1].endswith("tests/test_retry.py\n")


@pytest.mark.parametrize("inside", [False, True], ids=["by the system's python", "by the environment's"])
def test_where_no_bytecode_is_to_be_written_it_is_kept_inside_the_environment(
    set_up_clone: Clone, inside: bool
) -> None:
    def bytecode() -> set[Path]:
        return set(set_up_clone.root.glob("**/*.pyc"))

    python = set_up_clone.root / ".venv/bin/python" if inside else BARE_PYTHON
    before = bytecode()
    assert set_up_clone.start("up", python=python, PYTHONDONTWRITEBYTECODE="1")[0] == 0
    written = bytecode() - before
    assert any("django/core/management" in str(file) for file in written)
    assert all(set_up_clone.root / ".venv/bytecode" in file.parents for file in written)


def test_a_changed_lock_is_installed_into_the_same_environment(set_up_clone: Clone) -> None:
    kept = set_up_clone.root / ".venv" / "kept"
    kept.touch()
    set_up_clone.lock("2")
    assert set_up_clone.start("up") == (0, "django 2 up\n", "Setting up (once, about 30 s)…\n")
    assert kept.exists()


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_set_up_is_not_trusted_but_made_again(
    how: signal.Signals, code: int, clone: Clone
) -> None:
    process = clone.begin("up")
    assert process.stderr and process.stderr.readline().startswith("Setting up")
    wait_until(lambda: (clone.root / ".venv" / "bin" / "python").exists(), within=30)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # a terminal's Ctrl-C reaches the whole group
    else:
        process.kill()
    assert "Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert not clone.stamp.exists()
    exit_code, out, err = clone.start("up")
    assert (exit_code, out) == (0, "django 1 up\n")
    orphaned = how == signal.SIGKILL  # what the killed one had started still writes: it is waited for
    assert ("Another process is setting up" in err) == orphaned


def test_two_first_starts_at_once_make_one_environment(clone: Clone) -> None:
    both = [clone.begin("up"), clone.begin("up")]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(err for _, err in ended) == [
        "Another process is setting up, waiting for it…\n",
        "Setting up (once, about 30 s)…\n",
    ]


def test_a_package_that_is_not_the_locked_one_is_refused(set_up_clone: Clone) -> None:
    set_up_clone.lock("2")
    (set_up_clone.locks / "run.txt").write_text("django==2 --hash=sha256:" + "0" * 64 + "\n")
    code, out, err = set_up_clone.start("up")
    assert (code, out) == (3, "")
    assert "DO NOT MATCH THE HASHES" in err and err.endswith("then run the same command again.\n")
    assert not set_up_clone.stamp.exists()  # it was taken apart: not to be trusted with the old lock either
    set_up_clone.lock("2")
    assert set_up_clone.start("up")[:2] == (0, "django 2 up\n")


def test_an_environment_whose_python_is_gone_is_made_again(set_up_clone: Clone) -> None:
    python = set_up_clone.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert set_up_clone.start("up")[:2] == (0, "django 1 up\n")


def test_the_environments_own_python_can_make_it_again(set_up_clone: Clone) -> None:
    set_up_clone.stamp.unlink()
    inside = set_up_clone.root / ".venv" / "bin" / "python"
    assert set_up_clone.start("up", python=inside)[:2] == (0, "django 1 up\n")
    assert set_up_clone.stamp.exists()


def test_a_damaged_environment_says_what_to_delete(set_up_clone: Clone) -> None:
    [django] = set_up_clone.root.glob(".venv/lib/python*/site-packages/django")
    shutil.rmtree(django)
    code, _, err = set_up_clone.start("up")
    assert code == 3 and f"Delete {set_up_clone.root / '.venv'} and run the same command again." in err


def test_a_place_where_no_environment_can_be_made_is_named(clone: Clone) -> None:
    (clone.root / ".venv").write_text("a file in the way")
    code, _, err = clone.start("up")
    assert code == 3 and str(clone.root / ".venv") in err


def test_ctrl_c_in_a_command_ends_it_quietly(set_up_clone: Clone) -> None:
    assert set_up_clone.start("listen", "ctrl-c") == (130, "", "")


def test_a_debian_python_without_its_venv_package_names_the_package(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None")
    code, _, err = clone.start("up", PYTHONPATH=str(tmp_path))
    assert code == 3 and err.count("\n") == 1
    assert f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in err
    assert not (clone.root / ".venv").exists()


def test_an_old_python_reads_manage_py_and_says_so_in_one_line(clone: Clone, tmp_path: Path) -> None:
    ast.parse(MANAGE.read_text(), feature_version=(3, 6))
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 10, 13, 'final', 0)")
    told = clone.start("up", PYTHONPATH=str(tmp_path))
    assert told == (3, "", "This needs Python 3.11 or newer; this is Python 3.10.\n")
