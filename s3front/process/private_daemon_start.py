"""Starts, with the front-ends, the daemon that keeps in memory what is to be kept there.

See ``shared.config.private_daemon``. Its services are children of the supervisor beside the
front-ends, started again as these are; what they kept is gone then, which the log says. They end
with the supervisor, however that ends.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from typing import Final

from s3front.locations.location_config import Location
from shared.config import Config
from shared.config.environment import MEMORY_KEY
from shared.config.model import PrivateDaemon
from shared.config.private_daemon import (
    BOUND_PORT,
    LOOPBACK,
    PART_OF_PRIVATE_DAEMON,
    PRIVATE_DAEMON,
    described,
)
from shared.config.values import Secret
from shared.process.supervisor import Child

_SECRET_BYTES: Final = 32


def private_children(config: Config, locations: Mapping[str, Location]) -> list[Child]:
    """The services that the configuration asks for, and their address in the environment of this
    process, which its children inherit. Raises OSError when no port can be had."""
    metadata = _bound() if config.backends.metadata == "mem" else None
    keeps_data = any(location.type == "mem" for location in locations.values())
    data = _bound() if keeps_data else None
    if metadata is None and data is None:
        return []
    daemon = PrivateDaemon(
        metadata_port=None if metadata is None else _port(metadata),
        data_port=None if data is None else _port(data),
        secret=Secret(secrets.token_hex(_SECRET_BYTES)),
    )
    os.environ[PRIVATE_DAEMON] = described(daemon)
    kept = {
        "metadata": (metadata, "all buckets, and what objects are in them"),
        "data": (data, "the bytes of all objects in memory"),
    }
    return [
        _child(service, listener, keeps)
        for service, (listener, keeps) in kept.items()
        if listener is not None
    ]


def _bound() -> socket.socket:
    """A socket that listens on a free port of loopback."""
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind((LOOPBACK, 0))
    listener.listen(1024)
    return listener


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _child(service: str, listener: socket.socket, keeps: str) -> Child:
    port, descriptor = _port(listener), listener.detach()
    return Child(
        f"dmd-{service}",
        [sys.executable, "-m", f"dmd.{service}", "--memory"],
        (descriptor,),
        environ={PART_OF_PRIVATE_DAEMON: "yes", BOUND_PORT: f"{port}:{descriptor}"},
        keeps=keeps,
        without=(MEMORY_KEY,),  # the daemons have no keys
    )
