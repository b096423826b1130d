"""The process of the metadata service: ``python -m dmd.metadata [--memory]``."""

from __future__ import annotations

import asyncio
import os
import sys

from dmd.daemon_process import main
from dmd.data.disk import DiskOptions
from dmd.disk_watch import watch_disk
from dmd.errors import SettingNeededError
from dmd.metadata.commit import CommitSettings
from dmd.metadata.commit_bodies import BodySettings
from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.metadata.engines.base import EngineFatalError
from dmd.metadata.frame_trace import trace_frames
from dmd.metadata.pages import PacketSize
from dmd.metadata.record_log import RecordLogSettings
from dmd.ownership.owned_directory import Ownership
from dmd.port_access import PortAccess
from dmd.process_options import NEW_METADATA_OPTION, STANDBY_OPTION
from shared.config import Config, ConfigError
from shared.process.logs import Logger
from shared.process.program import serve_until_stopped
from shared.rpc.streams import StreamSettings

_EX_IOERR = 74
"""Exit code after an input or output error (sysexits.h)."""


async def _serve(config: Config, memory: bool, log: Logger) -> None:
    settings = config.metadata_daemon
    access = PortAccess(config, lambda config: config.metadata_daemon, "metadataDaemon", log)
    stream = StreamSettings(settings.stream_max_pending_ack, settings.stream_ack_timeout_ms / 1000)
    ownership = Ownership.of(settings, standby=STANDBY_OPTION in sys.argv[1:])
    path = None if memory else config.metadata_path

    def die(error: EngineFatalError) -> None:
        # What the commit did is unknown, and only the disk can tell: the supervisor starts this
        # process again, which opens the store as it is.
        log.error("the outcome of a commit is unknown", reason=str(error))
        os._exit(_EX_IOERR)

    record_log = config.record_log
    commit = CommitSettings(
        config.replication_group_id,
        version_info=config.version_id_encoding == "hex",
        record_log=RecordLogSettings(
            record_log.record_log_name, record_log.max_age_seconds, record_log.max_size_bytes
        )
        if record_log.enabled
        else None,
    )
    body_bytes_max = min(settings.body_size_max_bytes, config.data_daemon.packed_size_max_bytes)
    disk = DiskOptions(config.data_no_sync, config.data_no_cache)
    bodies = BodySettings(config.data_path, body_bytes_max, disk) if body_bytes_max else None
    trace = trace_frames(os.environ.get("DEBUG", ""), sys.stderr)
    try:
        daemon = await MetadataDaemon.start(
            MetadataSettings(
                path,
                settings.bind_address,
                settings.port,
                stream,
                commit,
                PacketSize(settings.stream_max_packet_items, settings.stream_max_packet_size_bytes),
                settings.max_message_size_bytes,
                settings.call_timeout_ms / 1000,
                settings.rest_port if settings.rest_enabled else None,
                ownership,
                trace,
                notes_faults=not memory,
                reserve_bytes=settings.reserve_size_bytes,
                data_path=None if NEW_METADATA_OPTION in sys.argv[1:] else config.data_path,
                bodies=bodies,
                gate=access.gate,
                tls=access.tls,
            ),
            log,
            die,
        )
    except SettingNeededError as error:
        raise ConfigError(config.file, f"metadataDaemon.{error.key}", str(error)) from error
    log.info(
        "serving metadata",
        host=settings.bind_address,
        port=daemon.port,
        tls=access.tls is not None,
        secret=access.gate.secret.required,
    )
    if daemon.rest_port is not None:
        log.info("serving the debugging interface", port=daemon.rest_port)
    watching = None if path is None else asyncio.create_task(watch_disk(path, log))
    await serve_until_stopped(access.reload)
    if watching is not None:
        watching.cancel()
    await daemon.close()


if __name__ == "__main__":
    main("metadata", _serve)
