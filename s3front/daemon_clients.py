"""The clients of both services of the daemon, as the configuration says.

Whatever process of this half speaks to the daemon has them: front-ends, background work, and the
commands that ask about it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.location_config import (
    Location,
    Surroundings,
    load_locations,
    location_warnings,
)
from s3front.locations.origin import Origin
from s3front.locations.outbound import outbound
from s3front.locations.registry import TYPES
from s3front.rpc.rpc_client import CONNECT_WAIT_SECONDS, RpcClient
from shared.config import Config, ConfigError
from shared.config.errors import ENVIRONMENT
from shared.credentials import Credentials, data_credentials, metadata_credentials
from shared.process.logs import EventLog
from shared.rpc.envelope import METADATA_NAMESPACE


def metadata_client(
    config: Config, log: EventLog, *, connect_wait_seconds: float = CONNECT_WAIT_SECONDS
) -> RpcClient:
    """The client of the metadata service, not started yet. Raises ConfigError."""
    private = config.private_daemon
    if config.backends.metadata == "mem" and (private is None or private.metadata_port is None):
        raise ConfigError(
            ENVIRONMENT,
            "S3BACKEND" if os.environ.get("S3BACKEND") else "S3METADATA",
            "the metadata is in the memory of `s3front start`, where nobody else can reach it",
        )
    credentials = metadata_credentials(config)
    settings = config.metadata_client
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return RpcClient(
        f"{credentials.scheme}://{host}:{settings.port}",
        METADATA_NAMESPACE,
        log,
        call_timeout_seconds=settings.call_timeout_ms / 1000,
        connect_wait_seconds=connect_wait_seconds,
        credentials=credentials,
    )


def data_client(config: Config) -> DmdFileStore:
    """The client of the data service. Raises ConfigError."""
    settings = config.data_client
    socket_path = settings.socket_path and config.directory / settings.socket_path
    origin = Origin(settings.host, settings.port, socket_path)
    return DmdFileStore(origin, credentials=data_credentials(config), data_path=config.data_path)


def daemon_credentials(config: Config) -> tuple[Credentials, Credentials]:
    """What is shown to both services, read again. Raises ConfigError."""
    return metadata_credentials(config), data_credentials(config)


def renew(client: RpcClient, store: DmdFileStore, read: tuple[Credentials, Credentials]) -> None:
    """Show these from the next connection on."""
    metadata, data = read
    client.credentials = client.credentials.renewed(metadata)
    store.credentials = store.credentials.renewed(data)


def surroundings(config: Config, store: DmdFileStore, log: EventLog) -> Surroundings:
    """What the stores of locations are made with. Raises ConfigError."""
    is_one_place = config.backends.data != "multiple"
    return Surroundings(store, log, config.private_daemon, outbound(config), is_one_place)


def usable_locations(config: Config, log: EventLog) -> Mapping[str, Location]:
    """The configured locations, with a warning for each that cannot be used. Raises ConfigError."""
    locations = load_locations(config, TYPES)
    for warning in location_warnings(locations, TYPES):
        log.warning("location without effect", location=warning)
    private = config.private_daemon
    for name, location in locations.items():
        if location.type == "mem" and (private is None or private.data_port is None):
            log.warning(
                "location without effect",
                location=f"location {name!r}: its bytes are in the memory of `s3front start`, "
                "which has to be started after it was configured; what needs it is answered by 503",
            )
        if location.type == "file" and config.backends.metadata == "mem":
            log.warning(
                "location is not in memory",
                location=f"location {name!r}: its bytes stay on disk, and nothing says what they "
                "are of once this server has ended",
            )
    return locations
