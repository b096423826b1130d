"""Where a server is that a location is reached through."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the server is. ``socket_path``: a Unix socket that is preferred while it connects.

    ``tls`` is for TCP alone: a Unix socket never leaves the machine.
    """

    host: str
    port: int
    socket_path: Path | None = None
    tls: ssl.SSLContext | None = None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
