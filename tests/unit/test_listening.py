"""The sockets that a daemon listens on."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from dmd.listening import bind_all

LOOPBACK = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
# TEST-NET-1 (RFC 5737) and the documentation prefix (RFC 3849): nobody's.
ABSENT = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
ABSENT_IPV6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: Any) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(addresses))


def test_addresses_that_the_machine_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ABSENT_IPV6, LOOPBACK, ABSENT)
    (listener,) = bind_all("localhost", 0)
    with listener, socket.socket() as client:
        assert listener.getsockname()[0] == "127.0.0.1"
        client.connect(listener.getsockname())


def test_a_host_without_any_address_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ABSENT, ABSENT)
    with pytest.raises(OSError, match="assign") as caught:
        bind_all("elsewhere", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_an_address_that_is_named_twice_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, LOOPBACK, LOOPBACK)
    (listener,) = bind_all("localhost", 0)
    listener.close()


def test_a_taken_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = (*LOOPBACK[:4], other.getsockname())
        resolve_to(monkeypatch, LOOPBACK, taken)
        with pytest.raises(OSError, match="in use"):
            bind_all("localhost", 0)
