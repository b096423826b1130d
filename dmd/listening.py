"""The listening sockets of a daemon."""

from __future__ import annotations

import errno
import socket
from typing import Final

BACKLOG: Final = 1024

_NO_SUCH_ADDRESS_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind_all(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on every address of ``host`` that this machine has.

    ``localhost`` is often both 127.0.0.1 and ::1 by name while IPv6 is switched off, as in most
    containers: addresses that are not there are left out. Raises OSError when none is there, when
    the name is unknown, or when one of the addresses is taken.
    """
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
