"""The sockets of the S3 port.

The command binds them and its workers inherit them, so that a worker that is replaced never
closes the port.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from shared.config import Config
from shared.process.problems import cannot_listen

LISTEN_FDS = "TWOFOLD_LISTEN_FDS"
"""Environment variable: the listening sockets that a front-end inherits, comma-separated."""


def bind_sockets(config: Config) -> list[socket.socket]:
    """Sockets bound to the configured addresses, not listening yet; raises OSError.

    Every address of the machine is two sockets, as IPv6 ones do not serve IPv4 on every system.
    """
    sockets: list[socket.socket] = []
    try:
        for host, port in config.listen_addresses:
            for name in (host,) if host else ("0.0.0.0", "::"):  # noqa: S104  # the S3 port is public
                if name == "::" and not socket.has_dualstack_ipv6():
                    continue
                sockets.append(_bind(name, port))
    except OSError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setblocking(False)
            bound.bind(address)
            # Two processes that bound the same address both believe in it until one listens.
            bound.listen(1024)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise OSError(cannot_listen(host, port, error, "--port or S3_PORT")) from error
    return bound


def inherited_sockets() -> Sequence[socket.socket]:
    """The sockets that the supervisor has bound for this process."""
    names = os.environ.get(LISTEN_FDS, "")
    return [socket.socket(fileno=int(name)) for name in names.split(",") if name]
