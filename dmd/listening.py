"""The listening sockets of a daemon, TCP and Unix."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from dmd.errors import StartupError
from shared.config.private_daemon import BOUND_PORT

BACKLOG: Final = 1024

_NO_SUCH_ADDRESS_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind_all(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of ``host`` that this machine has.

    ``localhost`` is often both 127.0.0.1 and ::1 by name while IPv6 is switched off, as in most
    containers: addresses that are not there are left out. Raises OSError when none is there, when
    the name is unknown, or when one of the addresses is taken. A port that a supervisor has bound
    is what it has bound.
    """
    bound_port, _, descriptor = os.environ.get(BOUND_PORT, "").partition(":")
    if descriptor and int(bound_port) == port:
        return [socket.socket(fileno=int(descriptor))]
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bind(family, address))
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS_HERE:
                for bound in sockets:
                    bound.close()
                raise
            missing = error
    if missing is not None and not sockets:
        raise missing
    return sockets


class PrivateSocket:
    """A Unix socket to which only the user that the daemon runs as can connect.

    Raises StartupError. A file that a dead process left is removed, never one on which somebody
    listens.
    """

    def __init__(self, path: Path) -> None:
        _check_directory(path)
        _remove_stale(path)
        self._path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.listener.setblocking(False)
            self.listener.bind(str(path))
            # Nobody can connect before it listens.
            path.chmod(0o600)
            self.listener.listen(BACKLOG)
            self._inode = path.stat().st_ino
        except OSError as error:
            self.listener.close()
            raise StartupError(f"{path}: {error.strerror or error}") from error

    def remove(self) -> None:
        """Remove the file, unless another process has put its own there."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()


def _check_directory(path: Path) -> None:
    try:
        mode = path.parent.stat().st_mode
    except OSError as error:
        raise StartupError(f"{path.parent}: {error.strerror}") from error
    if not stat.S_ISDIR(mode):
        raise StartupError(f"{path.parent}: not a directory")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StartupError(f"{path.parent}: others may write to the directory of {path.name}")


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StartupError(f"{path}: exists, and is not a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
    except FileNotFoundError:
        return
    except BlockingIOError:
        pass  # its queue of new connections is full
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror or error}") from error
    raise StartupError(f"{path}: another process listens there")


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
