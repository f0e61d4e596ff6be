"""What every test may use: a data folder that is not the developer's, a real receiver, the whole product running."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import django
import pytest
import trustme
from django.conf import settings

from .faults.receiver import FaultReceiver
from .receiving import Receiver
from .serving import DEFAULTS, ForkedServer, Server, migrated

# Before Django reads its settings, which is why pyproject.toml does not name them to pytest-django.
assert not settings.configured, "unset DJANGO_SETTINGS_MODULE: the tests would use the real data folder"
_folder = tempfile.TemporaryDirectory(prefix="simulator-")
os.environ.update(DEFAULTS, SIM_DATA_DIR=_folder.name)
django.setup()
# Or the workers of xdist, which inherit the environment, would begin with the settings.
del os.environ["DJANGO_SETTINGS_MODULE"]


IN_CI = os.environ.get("CI") == "true"  # long forms there, short ones while working


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills", type=int, default=40 if IN_CI else 12, help="kills of the crash loop (200 take 5 minutes)"
    )


def pytest_unconfigure() -> None:
    _folder.cleanup()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port that remembers every request; see tests/receiving.py."""
    started = Receiver().start()
    yield started
    started.stop()


@pytest.fixture
async def faulty() -> AsyncIterator[FaultReceiver]:
    """A receiver that answers as badly as its path says; see tests/faults/behaviours.py."""
    async with FaultReceiver() as started:
        yield started


@pytest.fixture
async def transport() -> AsyncIterator[Any]:
    from simulator.wire import Transport

    made = Transport()
    yield made
    await made.aclose()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of test servers; see tests/certificates.py."""
    return trustme.CA()


@pytest.fixture(scope="session")
def cafile(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
async def tls(cafile: str) -> AsyncIterator[Any]:
    """A transport that trusts that authority."""
    from simulator.wire import Transport

    made = Transport(cafile=cafile)
    yield made
    await made.aclose()


@pytest.fixture
async def engine(transactional_db: None) -> AsyncIterator[Any]:
    """One of its own, on this test's loop, with a retry timetable fifty times faster."""
    from simulator.engine import Engine

    running = Engine(scale=0.02)
    await running.start()
    yield running
    await running.stop(grace=0.2)


@pytest.fixture
def endpoint(transactional_db: None, receiver: Receiver) -> Any:
    """One that gets everything, at the receiver."""
    from simulator.models import Endpoint

    return Endpoint.register(url=receiver.url, events=["*"])


@pytest.fixture(autouse=True)
def no_engine_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has stopped stays the engine of its process, which in tests goes on."""
    from simulator import engine

    monkeypatch.setattr(engine, "_current", None)


@pytest.fixture
def kind_of_server() -> Callable[..., Server]:
    """What `make_server` makes. Where no test judges a start it is `forked` instead."""
    return Server


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Server]:
    return partial(ForkedServer, migrated(tmp_path_factory.mktemp("migrated")))


@pytest.fixture
def make_server(
    tmp_path_factory: pytest.TempPathFactory, kind_of_server: Callable[..., Server]
) -> Iterator[Callable[..., Server]]:
    """Makes servers: `make_server(SIM_RETRY_SCALE="0.05")`, each in its own folder; `start=False` leaves it to you."""
    made: list[Server] = []

    def make(*, folder: Path | None = None, start: bool = True, **env: str) -> Server:
        made.append(kind_of_server(folder or tmp_path_factory.mktemp("server"), **env))
        return made[-1].start() if start else made[-1]

    yield make
    for server in made:
        server.finish()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """`up`, ready, in a temporary data folder; see tests/serving.py."""
    return make_server()


@pytest.fixture
def idle(make_server: Callable[..., Server]) -> Server:
    """A server that was not started yet."""
    return make_server(start=False)
