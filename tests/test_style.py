"""The house rules that a machine can check: tools, layout, forbidden patterns, and a README that names everything.

Judges what git tracks, which is what lands.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver

from simulator.api import api
from simulator.failures import CODES

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {"manage.py", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} | {
    "simulator",
    "console",
    "templates",
    "static",
    "tests",
}
MAY_SLEEP = {"tests/waiting.py", "tests/receiving.py"}
# What paces a load, or kills at random moments, waits for nothing: the time itself is the point.
MAY_SLEEP |= {f"tests/faults/{name}.py" for name in ("crash", "planted", "soak", "streams", "test_database")}
THIS_MACHINE = re.compile(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/")
REGISTRY = re.compile(
    r"py(?:pi)\.org|python(?:hosted)\.org|npm(?:js)\.(?:org|com)|--(?:extra-)?index[-]url", re.IGNORECASE
)
SECRET_NAME = re.compile(r"(?:\w*_)?(?:signatures?|expected|macs?|hmac|api_key)")


def output_of(*command: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Exit code, and everything said."""
    done = subprocess.run(
        command, cwd=cwd, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def tool(*command: str, cwd: Path = ROOT) -> tuple[int, str]:
    return output_of(sys.executable, "-m", *command, cwd=cwd)


@cache
def tracked() -> tuple[str, ...]:
    # The checkout may belong to another user than the one who runs the tests.
    code, names = output_of("git", "-c", "safe.directory=*", "ls-files", "-z")
    assert code == 0, names
    return tuple(name for name in names.split("\0") if name and (ROOT / name).exists())


@cache
def text_of(name: str) -> str:
    """Its text; "" for a picture."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for name in tracked():
        if name.endswith(".py") and name.startswith(tuple(f"{folder}/" for folder in folders)):
            yield name, ast.parse(text_of(name))


def lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name in tracked()
        for number, line in enumerate(text_of(name).splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_python_file_is_formatted() -> None:
    code, said = tool("ruff", "format", "--check", ".")
    assert code == 0, said


def test_the_linter_finds_nothing() -> None:
    code, said = tool("ruff", "check", ".")
    assert code == 0, said


def test_the_types_of_simulator_are_strict_and_right() -> None:
    code, said = tool("mypy")
    assert code == 0, said


def test_every_template_is_formatted() -> None:
    templates = [name for name in tracked() if re.fullmatch(r"templates/.*\.html", name)]
    assert templates
    djade = Path(sys.executable).with_name("djade")  # a program, not a module
    code, said = output_of(str(djade), "--check", "--target-version", "5.2", *templates)
    assert code == 0, said


def test_no_model_change_lacks_its_migration() -> None:
    code, said = tool("django", "makemigrations", "--check", "--dry-run", "--settings", "console.settings")
    assert code == 0, said


def test_the_top_level_holds_what_the_layout_names_and_nothing_else() -> None:
    found = {name.split("/")[0] for name in tracked()}
    assert {name for name in found if not name.startswith(".")} == TOP_LEVEL


@pytest.mark.parametrize(
    "line",
    ["import console", "from console import live", "def late():\n    from console.views import health"],
)
def test_simulator_cannot_import_console(line: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for folder in ("simulator", "console"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "planted.py").write_text(f"{line}\n")
    _, said = tool(
        "ruff", "check", "--no-cache", "--output-format", "concise", "--select", "TID251", cwd=tmp_path
    )
    assert re.findall(r"^(\w+)/planted.py.* TID251", said, re.MULTILINE) == ["simulator"], said


def test_every_module_has_its_tests() -> None:
    modules = [re.fullmatch(r"(?:simulator|console)/(\w+)\.py", name) for name in tracked()]
    named = {found[1] for found in modules if found} - {"__init__", "apps"}
    tested = {
        found[1] for name in tracked() if (found := re.fullmatch(r"tests/(?:.*/)?test_(\w+)\.py", name))
    }
    assert sorted(named - tested) == []


def test_signatures_are_never_compared_with_an_operator() -> None:
    """S10: only `hmac.compare_digest` takes the same time for every wrong one."""
    assert [
        f"{name}:{node.lineno}"
        for name, tree in trees("simulator", "console")
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and is_comparison_of_secrets(node)
    ] == []


def is_comparison_of_secrets(node: ast.Compare) -> bool:
    if not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
        return False
    names = [
        side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
        for side in (node.left, *node.comparators)
    ]
    return any(SECRET_NAME.fullmatch(name) for name in names)


def test_no_error_is_swallowed_unseen() -> None:
    assert [
        f"{name}:{node.lineno}"
        for name, tree in trees("simulator", "console", "tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and is_swallowing(node)
    ] == []


def is_swallowing(node: ast.ExceptHandler) -> bool:
    broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
    silent = all(isinstance(line, ast.Pass | ast.Continue | ast.Expr) for line in node.body) and not any(
        isinstance(part, ast.Call) for line in node.body for part in ast.walk(line)
    )
    return broad and silent


def test_no_test_sleeps() -> None:
    """Only the helper that waits for a condition does, and the receiver that is told to be slow."""
    assert [
        f"{name}:{node.lineno}"
        for name, tree in trees("tests")
        if name not in MAY_SLEEP
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
    ] == []


def test_no_file_names_a_path_of_a_developers_machine() -> None:
    assert lines_matching(THIS_MACHINE) == []


def test_no_file_names_a_package_registry() -> None:
    assert lines_matching(REGISTRY) == []


@pytest.mark.parametrize("name", ["run", "test"])
def test_every_locked_package_is_pinned_and_hashed_and_its_lock_holds_no_address(name: str) -> None:
    lock = text_of(f"simulator/locks/{name}.txt")
    assert "://" not in lock
    assert set(pins(lock)) and all("--hash=sha256:" in rest for rest in pins(lock).values())


def test_what_the_product_runs_on_is_what_the_tests_run_on() -> None:
    run, test = (pins(text_of(f"simulator/locks/{name}.txt")) for name in ("run", "test"))
    assert {pin: test.get(pin) for pin in run} == run


def pins(lock: str) -> dict[str, str]:
    """`name==version` → the rest of its requirement."""
    requirements = lock.replace("\\\n", " ").splitlines()
    assert all("==" in line for line in requirements)
    return dict(line.split(maxsplit=1) for line in requirements)


def test_readme_names_every_setting() -> None:
    [(_, settings)] = [(name, tree) for name, tree in trees("console") if name == "console/settings.py"]
    read = {
        node.args[0].value
        for node in ast.walk(settings)
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    }
    names = {name for name in read if re.fullmatch(r"[A-Z][A-Z_]+", str(name))}
    assert names and {name for name in names if f"`{name}`" not in text_of("README.md")} == set()


def test_readme_names_every_failure_code() -> None:
    assert [code for code in CODES if f"`{code}`" not in text_of("README.md")] == []


def test_readme_names_every_command() -> None:
    commands = {
        found[1]
        for name in tracked()
        if (found := re.fullmatch(r"(?:simulator|console)/management/commands/([a-z]\w*)\.py", name))
    }
    assert {name for name in commands | {"test"} if f"manage.py {name}" not in text_of("README.md")} == set()


def test_readme_names_every_route_of_the_api() -> None:
    get_resolver().url_patterns  # noqa: B018 - the routes are registered while the addresses are read
    paths = api.get_openapi_schema()["paths"]
    routes = {(method.upper(), plain(path)) for path, methods in paths.items() for method in methods}
    named = {
        (method, plain(path))
        for line in text_of("README.md").splitlines()
        for method in re.findall(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b", line)
        for path in re.findall(r"/[\w/{}.-]+", line)
    }
    assert routes and sorted(routes - named) == []


def plain(path: str) -> str:
    """The path below the base of the API, whatever its parameters are called."""
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1"))


def test_every_command_line_in_readme_is_accepted() -> None:
    blocks = re.findall(
        r"^```(?:sh|bash|console)?\n(.*?)^```", text_of("README.md"), re.MULTILINE | re.DOTALL
    )
    lines = re.findall(r"python3 manage\.py ([^|>&\n]+)", "\n".join(blocks).replace("\\\n", " "))
    assert lines
    for line in lines:
        name, *arguments = shlex.split(line, comments=True)
        if name != "test":  # pytest's own options
            load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(
                arguments
            )


def test_ci_runs_the_one_check_command() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert text_of(".ci/run").rstrip().endswith('exec python3 manage.py test "$@"')
