"""The process of the data service: ``python -m dmd.data [--memory] [--standby]``."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from dmd.daemon_process import main
from dmd.data.base import BlobStore
from dmd.data.beside import note_metadata_beside
from dmd.data.both import open_both_stores
from dmd.data.data_directory import DataDirectory
from dmd.data.data_server import serve
from dmd.data.data_service import DataService, ServiceOptions
from dmd.data.disk import DiskOptions
from dmd.data.memory_store import MemoryStore
from dmd.disk_watch import watch_disk
from dmd.errors import SettingNeededError
from dmd.ownership.owned_directory import Ownership
from dmd.port_access import PortAccess
from dmd.process_options import NEW_METADATA_OPTION, STANDBY_OPTION
from shared.config import Config, ConfigError
from shared.process.descriptors import connections_within_limit
from shared.process.heap import keep_freed_memory
from shared.process.logs import Logger
from shared.process.program import STOP_SECONDS_MAX, serve_until_stopped

_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Freed memory that is kept for the bytes of the next blobs: to take a page again costs more than
to copy it."""


async def _serve(config: Config, memory: bool, log: Logger) -> None:
    keep_freed_memory(_KEPT_BYTES)
    settings = config.data_daemon
    access = PortAccess(config, lambda config: config.data_daemon, "dataDaemon", log)
    options = DiskOptions(config.data_no_sync, config.data_no_cache)
    store: BlobStore
    noting: asyncio.Task[None] | None = None
    watching: asyncio.Task[None] | None = None
    if memory:
        store = MemoryStore()
    else:
        ownership = Ownership.of(settings, standby=STANDBY_OPTION in sys.argv[1:])
        try:
            directory = DataDirectory(config.data_path, ownership, log)
        except SettingNeededError as error:
            raise ConfigError(config.file, f"dataDaemon.{error.key}", str(error)) from error
        beside = note_metadata_beside(
            directory, config.metadata_path, log, anew=NEW_METADATA_OPTION in sys.argv[1:]
        )
        noting = asyncio.create_task(beside)
        watching = asyncio.create_task(watch_disk(config.data_path, log))
        store = open_both_stores(directory, options, log, settings.packed_size_max_bytes)
    try:
        service = DataService(store, log, ServiceOptions(gate=access.gate))
        path = settings.socket_path and config.directory / settings.socket_path
        server = await serve(
            service,
            settings.bind_address,
            settings.port,
            access.tls,
            socket_path=path,
            connections_max=connections_within_limit(settings.max_connections),
        )
        log.info(
            "serving data",
            host=settings.bind_address,
            port=server.port,
            tls=access.tls is not None,
            secret=access.gate.secret.required,
        )
        await serve_until_stopped(access.reload)
        await server.close(STOP_SECONDS_MAX)
    finally:
        for task in (noting, watching):
            if task is not None:
                task.cancel()
        await store.close()


if __name__ == "__main__":
    main("data", _serve)
