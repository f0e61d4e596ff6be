"""Where the console listens: which port is taken, what is said when none is free, and how it is reached."""

import errno
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from console import listening
from console.listening import CannotListen, bind, is_local, url


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with closing(bind("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("localhost", "http://127.0.0.1:"),
        ("127.0.0.2", "http://127.0.0.2:"),
        ("::1", "http://[::1]:"),
        ("[::1]", "http://[::1]:"),
    ],
)
def test_whoever_uses_the_address_reaches_the_socket(host: str, address: str) -> None:
    with closing(bind(host, 0)) as bound:
        where = url(bound)
        assert where == f"{address}{bound.getsockname()[1]}"
        *_, port = where.rpartition(":")
        caller = socket.create_connection((bound.getsockname()[0], int(port)), 5)
        answerer, _ = bound.accept()
        with closing(caller), closing(answerer):
            assert answerer.getpeername() == caller.getsockname()


def test_a_port_that_is_taken_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(CannotListen, match=f"127.0.0.1 port {taken}: .*in use.* --port"):
        bind("127.0.0.1", taken)


def test_without_a_port_the_first_free_one_is_taken(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "DEFAULT_PORT", taken)
    with closing(bind("127.0.0.1", None)) as bound:
        assert taken < bound.getsockname()[1] < taken + listening.TRIED_PORTS


@pytest.mark.parametrize(("theirs", "ours"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_a_port_that_a_receiver_has_on_the_other_loopback_address_is_left_to_it(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(bind(theirs, 0)) as receiver:
        port = receiver.getsockname()[1]
        monkeypatch.setattr(listening, "DEFAULT_PORT", port)
        with closing(bind(ours, None)) as bound:
            assert bound.getsockname()[1] > port
        with closing(bind(ours, port)) as asked_for:
            assert asked_for.getsockname()[1] == port


def test_when_all_of_them_are_taken_it_says_which_were_tried(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "DEFAULT_PORT", taken)
    monkeypatch.setattr(listening, "TRIED_PORTS", 1)
    with pytest.raises(CannotListen, match=f"No port from {taken} to {taken} is free.*--port"):
        bind("127.0.0.1", None)


@pytest.mark.parametrize("port", [8000, None])
def test_an_address_that_is_not_here_is_not_taken_for_ports_that_are_not_free(port: int | None) -> None:
    with pytest.raises(CannotListen, match="Cannot listen on 192.0.2.1: .*assign.* --host"):
        bind("192.0.2.1", port)


def test_a_machine_without_ipv6_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*given: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(listening.socket, "socket", unsupported)
    with pytest.raises(CannotListen, match="Cannot listen on ::1: Address family .* --host"):
        bind("::1", None)


def test_after_an_end_with_open_connections_the_port_can_be_used_again_at_once() -> None:
    with closing(bind("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        caller = socket.create_connection(("127.0.0.1", port), 5)
        answerer, _ = bound.accept()
        answerer.close()  # who closes first keeps the address in TIME_WAIT
        assert caller.recv(1) == b""
        caller.close()
    with closing(bind("127.0.0.1", port)) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1", "127.255.0.9"])
def test_what_only_this_machine_reaches_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.0.2.1", "10.0.0.1", "::ffff:10.0.0.1"])
def test_what_others_may_reach_is_not_local(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize("host", ["simulator.invalid", "a" * 64 + ".example", ""])
def test_a_name_without_an_address_is_named_with_those_that_have_one(host: str) -> None:
    with pytest.raises(CannotListen, match="Use 127.0.0.1, localhost or ::1"):
        is_local(host)
