#!/usr/bin/env python3
"""Runs the project's commands inside .venv, which it makes from the hash-pinned lock on first use.

Standard library only, and valid from Python 3.6 on, so that an old one gets a sentence and no traceback.
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
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # why a full disk fails a write


def main(argv):
    refuse_an_unfit_python()
    testing = argv[1:2] == ["test"]
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)  # may name another project of the user's
    try:
        prepare(lock_file("test" if testing else "run"))
    except OSError as error:
        give_up(f"Setting up failed: {error}.")
    keep_bytecode()
    if testing:
        # pytest itself, not a Django command: its options are not Django's, and it has to begin before Django.
        os.chdir(ROOT)
        if len(argv) == 2:  # the whole suite: on both cores, then one by one the tests that measure time
            size = "" if os.environ.get("CI") == "true" else " and not long"
            run_first([PYTHON, "-m", "pytest", "-n", "2", "-m", "not alone" + size])
            argv = argv + ["-m", "alone" + size]
        run([PYTHON, "-m", "pytest"] + argv[2:])
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        run([PYTHON, os.path.join(ROOT, "manage.py")] + argv[1:])
    run_django(argv)


def refuse_an_unfit_python():
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one has to be told
        give_up(f"This needs Python 3.11 or newer; this is Python {minor_version()}.")
    if os.name != "posix":
        give_up("This runs on Linux and macOS; on Windows use it inside WSL.")


def minor_version():
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def keep_bytecode():
    """Where Python is told to write none, put it into .venv: every start would compile a thousand modules again."""
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = BYTECODE


def run_first(command):
    """Run that command; if it fails, end with its exit code."""
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
    if argv[1:2] == ["up"]:  # it ends at once also before it runs, and half of its start is importing Django
        end_at_once_on(signal.SIGTERM, 0)
        end_at_once_on(signal.SIGINT, 130)
    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    if ROOT not in sys.path:  # with PYTHONSAFEPATH
        sys.path.insert(0, ROOT)
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        give_up(f"{error}: the environment is damaged. Delete {VENV} and run the same command again.")
    open_closed_streams()
    sys.stdout.reconfigure(errors="replace")  # for a terminal that cannot show an arrow
    try:
        try:
            execute_from_command_line(argv)
        finally:
            sys.stdout.flush()  # here: if Python's own flush at exit failed, it would print a traceback
    except BrokenPipeError:
        hang_up()
    except Exception as error:
        from django.core.exceptions import ImproperlyConfigured

        if isinstance(error, ImproperlyConfigured):
            give_up(str(error))  # a bad setting: it names itself and an example
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            forget_what_is_buffered()
            give_up(f"The output cannot be written: {error.strerror}.")
        named = os.environ["DJANGO_SETTINGS_MODULE"]  # by now the value of --settings, if given
        if isinstance(error, ModuleNotFoundError) and f"{named}.".startswith(f"{error.name}."):
            give_up(f"--settings {named}: there is no such module. Leave it out.")
        raise


def end_at_once_on(number, code):
    """Without an exception: one that is raised while an object is removed is only printed, and then `up` would go on.

    What is ignored stays so: a script that says `up &` keeps it from the Ctrl-C that is for what runs in front.
    """
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda *_: os._exit(code))


def open_closed_streams():
    """A closed one (`>&-`) is None in Python, and the next file that is opened, the database, would get its descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for stdin as well: reading has to fail
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))


def hang_up():
    """The reader of the output has gone (`| head -1`): end as other programs do then, with SIGPIPE's exit code."""
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
    """The real path of the Python behind .venv, which changes when the system's Python does."""
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
    """Make sure that .venv has what that lock lists. One process at a time: the others wait and use what it made."""
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
    """Fill .venv and stamp it last, so that after an interruption it is not trusted but filled again."""
    fresh = not stamped()
    if fresh:
        refuse_a_python_without_ensurepip()
    say("Setting up (once, about 30 s)…")
    if fresh:
        quietly([sys.executable, "-m", "venv", "--clear", VENV], turn)
    else:
        os.remove(STAMP)
    # Without compiling: modules that are never imported need none, the others are compiled at their first import.
    options = "-q --disable-pip-version-check --no-input --no-user --no-compile --no-deps --require-hashes"
    quietly([PYTHON, "-m", "pip", "install", *options.split(), "-r", lock], turn)
    # The test lock holds everything of the run lock, so it serves every command.
    done = {digest(lock), digest(lock_file("run"))}
    with open(STAMP + ".new", "w", encoding="utf-8") as file:
        file.write("\n".join([interpreter()] + sorted(done)) + "\n")
    os.replace(STAMP + ".new", STAMP)


def refuse_a_python_without_ensurepip():
    try:
        # A name in it, too: the empty folder that a removed package leaves behind can still be imported.
        import venv  # noqa: F401
        from ensurepip import version  # noqa: F401
    except ImportError:
        package = f"python{minor_version()}-venv"
        give_up(f"This Python cannot make an environment yet: apt install {package}, then run it again.")


def quietly(command, turn):
    """Run it without its output; if it fails, end with its last lines and what to do."""
    # The child inherits the lock: if we are killed, nobody else starts while it still writes into .venv.
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
