#!/usr/bin/env python3
"""Runs the project's commands inside .venv, which it makes from the hash-pinned lock on first use.

Standard library only, and readable by any Python 3.6, so that an old one gets a sentence and no traceback.
"""

import errno
import hashlib
import os
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed")
BYTECODE = os.path.join(VENV, "bytecode")
ENVIRONMENT = 3  # the exit code of every command when the machine lacks something
HUNG_UP = 141
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a full disk says to a write


def main(argv):
    refuse_an_unfit_python()
    testing = argv[1:2] == ["test"]
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # of a project of the user's own
    try:
        prepare(lock_file("test" if testing else "run"))
    except OSError as error:
        give_up(f"Setting up failed: {error}.")
    keep_bytecode()
    if testing:
        # pytest itself, not a Django command: its options are not Django's, and it has to begin before Django.
        os.chdir(ROOT)
        if len(argv) == 2:  # the whole suite: on both cores, then one by one what judges the clock
            size = "" if os.environ.get("CI") == "true" else " and not long"
            run_first([PYTHON, "-m", "pytest", "-n", "2", "-m", "not alone" + size])
            argv = argv + ["-m", "alone" + size]
        run([PYTHON, "-m", "pytest"] + argv[2:])
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        run([PYTHON, os.path.join(ROOT, "manage.py")] + argv[1:])
    run_django(argv)


def refuse_an_unfit_python():
    if sys.version_info < (3, 11):  # noqa: UP036 - it is exactly an older one that has to be told
        give_up(f"This needs Python 3.11 or newer; this is Python {minor_version()}.")
    if os.name != "posix":
        give_up("This runs on Linux and macOS; on Windows use it inside WSL.")


def minor_version():
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def keep_bytecode():
    """Where none is to be written: write it into .venv, or every start would compile a thousand modules again."""
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = BYTECODE


def run_first(command):
    """Run that command; end as it did unless it went well."""
    try:
        code = subprocess.call(command)
    except KeyboardInterrupt:
        code = 130
    if code:
        sys.exit(code)


def run(command):
    """Become that command: same process, so signals, terminal and exit code are its own."""
    os.execv(command[0], command)


def run_django(argv):
    if argv[1:2] == [
        "up"
    ]:  # ended before it runs is ended as well, and half of its start is importing Django
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    if ROOT not in sys.path:  # PYTHONSAFEPATH
        sys.path.insert(0, ROOT)
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        give_up(f"{error}: the environment is damaged. Delete {VENV} and run the same command again.")
    open_closed_streams()
    sys.stdout.reconfigure(errors="replace")  # of a terminal that knows no arrow
    try:
        try:
            execute_from_command_line(argv)
        finally:
            sys.stdout.flush()  # here, for at its own end Python would complain
    except BrokenPipeError:
        hang_up()
    except Exception as error:
        from django.core.exceptions import ImproperlyConfigured

        if isinstance(error, ImproperlyConfigured):
            give_up(str(error))  # a bad setting: it names itself and an example
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            forget_what_is_buffered()
            give_up(f"The output cannot be written: {error.strerror}.")
        named = os.environ["DJANGO_SETTINGS_MODULE"]  # by now what --settings says
        if isinstance(error, ModuleNotFoundError) and f"{named}.".startswith(f"{error.name}."):
            give_up(f"--settings {named}: there is no such module. Leave it out.")
        raise


def open_closed_streams():
    """A closed one (`>&-`) is None in Python, and the next file that is opened, the database, would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)  # nothing can be read from it either
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))


def hang_up():
    """Whoever read the output has seen enough (`| head -1`): end as other programs do then, by SIGPIPE's number."""
    forget_what_is_buffered()
    sys.exit(HUNG_UP)


def forget_what_is_buffered():
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def lock_file(name):
    return os.path.join(ROOT, "simulator", "locks", name + ".txt")


def digest(lock):
    with open(lock, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def interpreter():
    """The Python that .venv stands on: its real path, which changes when the system's Python does."""
    return os.path.realpath(PYTHON) if os.access(PYTHON, os.X_OK) else None


def stamped():
    """Lines of the stamp: interpreter, then the digest of each lock installed completely; [] without one."""
    try:
        with open(STAMP, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return lines if lines[:1] == [interpreter()] else []


def is_installed(lock):
    return digest(lock) in stamped()[1:]


def prepare(lock):
    """See that .venv holds that lock. One process at a time: the others wait and use what it made."""
    if is_installed(lock):
        return
    import fcntl

    with open(__file__) as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is setting up, waiting for it…")
            fcntl.flock(turn, fcntl.LOCK_EX)
        if not is_installed(lock):
            install(lock, turn)


def install(lock, turn):
    """Fill .venv and stamp it last, so that whatever was interrupted before is not trusted but made anew."""
    fresh = not stamped()
    if fresh:
        refuse_a_python_without_ensurepip()
    say("Setting up (once, about 30 s)…")
    if fresh:
        quietly([sys.executable, "-m", "venv", "--clear", VENV], turn)
    else:
        os.remove(STAMP)
    # Without compiling: what is never imported need not be compiled, and the rest is at its first import.
    options = "-q --disable-pip-version-check --no-input --no-user --no-compile --no-deps --require-hashes"
    quietly([PYTHON, "-m", "pip", "install", *options.split(), "-r", lock], turn)
    # The test lock holds everything of the run lock, so it serves every command.
    done = {digest(lock), digest(lock_file("run"))}
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        file.write("\n".join([interpreter()] + sorted(done)) + "\n")
    os.replace(STAMP + ".new", STAMP)


def refuse_a_python_without_ensurepip():
    try:
        # A name of it, too: the empty folder that a removed package leaves behind can be imported.
        import venv  # noqa: F401
        from ensurepip import version  # noqa: F401
    except ImportError:
        package = f"python{minor_version()}-venv"
        give_up(f"This Python cannot make an environment yet: apt install {package}, then run it again.")


def quietly(command, turn):
    """Run it without its output; if it fails, end with its last lines and what to do."""
    # The child keeps our turn: should we be killed, nobody else starts while it still writes into .venv.
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[turn.fileno()],
    )
    if done.returncode:
        last = done.stdout.decode(errors="replace").strip().splitlines()[-12:]
        say("\n".join(last))
        give_up(
            "Setting up failed. Check the network, pip's configuration and the free space, "
            "then run the same command again."
        )


def say(text):
    print(text, file=sys.stderr, flush=True)


def give_up(text):
    say(text)
    sys.exit(ENVIRONMENT)


if __name__ == "__main__":
    try:
        main(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
