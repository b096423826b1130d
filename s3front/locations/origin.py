"""Where a server is that a location is reached through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import socket
    import ssl

Addresses: TypeAlias = "Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, and what it wants to see in Proxy-Authorization."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    authorization: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """Those that are meant for it."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the server is. ``socket_path``: a Unix socket that is preferred while it connects.

    ``tls`` is for TCP alone: a Unix socket never leaves the machine. Through a ``proxy`` it is
    spoken with the server; without it, the proxy is asked instead. ``addresses``, as
    ``getaddrinfo`` gives them, are those to connect to without a proxy; None: they are looked up.
    """

    host: str
    port: int
    socket_path: Path | None = None
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    addresses: Addresses | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Pool(NamedTuple):
    """How many connections to an origin there may be, and how many of them idle; after how long a
    silence the kernel tries whether the other side lives, None for never."""

    idle_max: int = 256
    connections_max: int | None = None
    probe_seconds: int | None = None


ANY_POOL: Final = Pool()
