"""The sockets that a daemon listens on."""

from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from dmd.errors import StartupError
from dmd.listening import PrivateSocket, bind_all

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


# -- Unix sockets ----------------------------------------------------------------------------------


def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    private = PrivateSocket(tmp_path / "socket")
    assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o600
    with private.listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
    private.remove()
    assert not (tmp_path / "socket").exists()


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    PrivateSocket(tmp_path / "socket").listener.close()
    with PrivateSocket(tmp_path / "socket").listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))


def test_the_socket_of_a_living_process_stays(tmp_path: Path) -> None:
    with PrivateSocket(tmp_path / "socket").listener:
        with pytest.raises(StartupError, match="another process listens"):
            PrivateSocket(tmp_path / "socket")
        assert (tmp_path / "socket").is_socket()


def test_a_socket_that_others_took_over_is_not_removed(tmp_path: Path) -> None:
    first = PrivateSocket(tmp_path / "socket")
    # Kept, so that its inode is not given to the second.
    (tmp_path / "socket").rename(tmp_path / "moved")
    second = PrivateSocket(tmp_path / "socket")
    first.remove()
    assert (tmp_path / "socket").is_socket()
    first.listener.close()
    second.listener.close()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "socket").write_bytes(b"precious")
    with pytest.raises(StartupError, match="not a socket"):
        PrivateSocket(tmp_path / "socket")
    assert (tmp_path / "socket").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/socket", "No such file"), ("open/socket", "others may"), ("x" * 200, "too long")],
)
def test_a_place_where_no_socket_can_be(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(StartupError, match=reason):
        PrivateSocket(tmp_path / name)
