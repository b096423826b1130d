"""The daemon that the processes of one ``s3front start`` have to themselves.

It keeps everything in memory, metadata (S3METADATA=mem) or data (S3DATA=mem, and locations of type
``mem``) or both. The supervisor binds its ports, on loopback and whichever are free, so that they
stay when a service is started again, and makes a secret that only its children know. They read both
in their environment, as all that configures them; nothing is on disk.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from shared.config.model import Config, PrivateDaemon
from shared.config.values import parse_port, parse_secret

PRIVATE_DAEMON: Final = "TWOFOLD_PRIVATE_DAEMON"
"""Environment variable: the private daemon, as ``described`` has it."""

PART_OF_PRIVATE_DAEMON: Final = "TWOFOLD_PART_OF_PRIVATE_DAEMON"
"""Environment variable: set in the processes of that daemon itself."""

BOUND_PORT: Final = "TWOFOLD_BOUND_PORT"
"""Environment variable of each of them, ``port:descriptor``: the socket that listens on its port,
which the supervisor has bound, and keeps while it starts the process again."""

LOOPBACK: Final = "127.0.0.1"

_NONE: Final = "-"


def described(daemon: PrivateDaemon) -> str:
    """The value of the variable."""
    ports = (daemon.metadata_port, daemon.data_port)
    shown = (_NONE if port is None else str(port) for port in ports)
    return ":".join((*shown, daemon.secret.reveal()))


def parse_private_daemon(text: str) -> PrivateDaemon:
    """What ``described`` made of it. Raises ValueError, which does not quote it."""
    metadata, _, rest = text.partition(":")
    data, _, secret = rest.partition(":")
    return PrivateDaemon(
        metadata_port=_port(metadata), data_port=_port(data), secret=parse_secret(secret)
    )


def _port(text: str) -> int | None:
    return None if text == _NONE else parse_port(text)


def with_private_metadata(config: Config) -> Config:
    """The configuration of those who ask the daemon: its metadata, if it has them, are in the place
    of what ``metadataClient`` names."""
    daemon = config.private_daemon
    if daemon is None or daemon.metadata_port is None:
        return config
    client = replace(config.metadata_client, host=LOOPBACK, port=daemon.metadata_port, tls=None)
    return replace(config, metadata_client=client)


def as_private_daemon(config: Config) -> Config:
    """The configuration of the daemon's own processes: as that of any other, but for where they
    listen, and whom they let in. Bodies do not come with commits, as there is no directory that
    both services share."""
    daemon = config.private_daemon
    assert daemon is not None
    plain = {"bind_address": LOOPBACK, "cert_file_paths": None}
    metadata, data = config.metadata_daemon, config.data_daemon
    if daemon.metadata_port is not None:
        metadata = replace(metadata, **plain, port=daemon.metadata_port, body_size_max_bytes=0)
    if daemon.data_port is not None:
        data = replace(data, **plain, port=daemon.data_port, socket_path=None)
    return replace(
        config, metadata_daemon=metadata, data_daemon=data, daemon_secret=(daemon.secret,)
    )
