"""Django's settings: each product setting is read once, here, and a bad one names itself and an example."""

import io
import os
import re
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from simulator import datafolder, logs

ROOT = Path(__file__).resolve().parent.parent


def read_env_file(file: Path) -> None:
    """Set what the environment does not. A line that sets nothing ends the start: its setting would be ignored."""
    try:
        lines = [line.lstrip() for line in file.read_text("utf-8-sig").splitlines()]
    except (
        FileNotFoundError,
        IsADirectoryError,
    ):  # some keep their virtual environment in a folder of this name
        return
    except OSError as error:
        raise ImproperlyConfigured(f"{file} must be a readable file ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{file} must be UTF-8 text. Save it as such.") from None
    lines = ["" if line.startswith("#") else line for line in lines]
    for number, line in enumerate(lines, 1):
        if line and not re.match(r"(export )?[A-Za-z_0-9]+=", line):
            raise ImproperlyConfigured(
                f"line {number} of {file} must be NAME=value, without a space before the =. Example: SIM_RETRY_SCALE=0.05"
            )
    environ.Env.read_env(io.StringIO("\n".join(lines)))


read_env_file(ROOT / ".env")


def setting(name: str, default: str = "") -> str:
    """The value as given: environ.Env() would take one that begins with $ for the name of another variable.

    An empty one counts as not set: that is how files for containers leave a variable open.
    """
    return os.environ.get(name) or default


def _number(
    name: str, default: float, *, low: float, high: float, example: str, whole: bool = False
) -> float:
    try:
        value = float(setting(name, str(default)))
    except ValueError:
        value = float("nan")
    if not low <= value <= high or whole and not value.is_integer():
        kind = "a whole number" if whole else "a number"
        raise ImproperlyConfigured(
            f"{name} must be {kind} from {low:g} to {high:g}, not {setting(name)!r}. Example: {name}={example}"
        )
    return value


def _key(name: str, file: str) -> str:
    """The key as set, else the one kept in the data folder."""
    try:
        return setting(name) or datafolder.key(SIM_DATA_DIR, file)
    except datafolder.BadKey as error:
        raise ImproperlyConfigured(str(error)) from None
    except OSError as error:
        raise ImproperlyConfigured(
            f"SIM_DATA_DIR must be a writable folder ({error.filename or SIM_DATA_DIR}: {error.strerror}). "
            "Example: SIM_DATA_DIR=/tmp/simulator"
        ) from None


try:
    SIM_DATA_DIR = Path(setting("SIM_DATA_DIR") or ROOT / ".data").expanduser().resolve()
    shared = datafolder.is_shared(SIM_DATA_DIR)
except (OSError, RuntimeError) as error:  # the home of an unknown user, or a link to itself
    raise ImproperlyConfigured(
        f"SIM_DATA_DIR must be a writable folder ({error}). Example: SIM_DATA_DIR=/tmp/simulator"
    ) from None
if shared:
    raise ImproperlyConfigured(
        f"SIM_DATA_DIR must be a folder of its own, since it is closed to everybody else; others need {SIM_DATA_DIR}. "
        "Example: SIM_DATA_DIR=/tmp/simulator"
    )
SIM_RETRY_SCALE = _number("SIM_RETRY_SCALE", 1.0, low=0, high=1000, example="0.05")
SIM_CONCURRENCY = int(_number("SIM_CONCURRENCY", 100, low=1, high=10_000, example="100", whole=True))
SIM_KEEP_DAYS = _number("SIM_KEEP_DAYS", 14, low=0.01, high=36_500, example="14")
SIM_API_KEY = _key("SIM_API_KEY", "api_key")
if not datafolder.is_key(SIM_API_KEY):
    raise ImproperlyConfigured(
        "SIM_API_KEY must be 16 to 200 printable ASCII characters, without a space at either end. "
        "Unset it to have one made."
    )
LOG_FORMAT = setting("LOG_FORMAT", "text")
if LOG_FORMAT not in ("text", "json"):
    raise ImproperlyConfigured(
        f"LOG_FORMAT must be text or json, not {LOG_FORMAT!r}. Example: LOG_FORMAT=json"
    )

SECRET_KEY = _key("SECRET_KEY", "secret_key")
DEBUG = False
more_hosts = [host for each in setting("ALLOWED_HOSTS").split(",") if (host := each.strip())]
for host in more_hosts:
    if not re.fullmatch(r"\.?[\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f:.]+\]", host):
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS must be host names separated by commas, never '*', not {host!r}. "
            "Example: ALLOWED_HOSTS=sim.lan,192.168.1.5"
        )
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *more_hosts]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "simulator",
    "console",
]
# Host, Origin, security headers and static files are in front of Django: see console/asgi.py.
MIDDLEWARE = [
    "simulator.api.gate.gate",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "console.views.errors.wrong_method",
]
ROOT_URLCONF = "console.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": ["django.template.context_processors.request"],
            "builtins": ["django.templatetags.static", "console.templatetags.ui"],
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": SIM_DATA_DIR / "simulator.sqlite3",
        "CONN_MAX_AGE": None,  # the threads are kept (console.handlers), and so are their connections
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
            "PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=OFF; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY;",
        },
        "TEST": {"NAME": SIM_DATA_DIR / "test.sqlite3"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATICFILES_DIRS = [ROOT / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_MAX_AGE = 0  # revalidated each time, with a 304: after an upgrade no page gets an old script

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

# Cookies ignore the port: any other service on localhost could read or overwrite one named "csrftoken".
CSRF_COOKIE_NAME = "sim_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_FAILURE_VIEW = "console.views.errors.form_too_old"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024 + 64 * 1024

LOGGING = logs.config(LOG_FORMAT)
