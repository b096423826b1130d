"""The metadata daemon as a process part: opens its directory, serves port 9990, closes cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from dmd.directory import OwnedDirectory
from dmd.errors import StartupError
from dmd.listening import bind_all
from dmd.metadata import record_log, stored
from dmd.metadata.commit import CommitSettings
from dmd.metadata.engines.base import Engine, EngineError, EngineFatalError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.keys import FORMAT_KEY
from dmd.metadata.pages import PacketSize
from dmd.metadata.record_log_namespace import RecordLogNamespace, with_sub_level
from dmd.metadata.record_log_service import RecordLogService
from dmd.metadata.rest import RestInterface, RestService
from dmd.metadata.service import MetadataService
from dmd.metadata.writer import Writer
from shared import limits
from shared.rpc.envelope import METADATA_NAMESPACE
from shared.rpc.server import (
    RpcNamespace,
    create_application,
    create_server,
    disconnect_clients,
)
from shared.rpc.streams import StreamSettings

FORMAT_VERSION = 1
RECORD_LOG_NAMESPACE = "/MDFile/recordLog"
_LEVELDB_NAME = "rootDB"
_DRAIN_SECONDS = 5.0
"""How long calls and streams under way may take when the daemon stops."""

_HANG_SECONDS = 0.5
"""How long a client may take to close its connection when it was told to."""


@dataclass(frozen=True, slots=True)
class MetadataSettings:
    """Where and how to serve. ``path`` None keeps everything in memory; port 0 takes a free one."""

    path: Path | None
    host: str
    port: int
    stream: StreamSettings
    commit: CommitSettings = field(default_factory=CommitSettings)
    packet_size: PacketSize = field(default_factory=PacketSize)
    message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX
    rest_port: int | None = None
    """The port of the debugging interface, None for none."""


@dataclass(frozen=True, slots=True)
class _Network:
    """The parts that serve the port."""

    runner: web.AppRunner
    server: Any
    namespaces: tuple[RpcNamespace, ...]
    rest: RestInterface


class MetadataDaemon:
    """A running metadata daemon; make one with ``start``."""

    def __init__(
        self,
        network: _Network,
        engine: Engine,
        writer: Writer,
        directory: OwnedDirectory | None,
    ) -> None:
        self._network = network
        self._engine = engine
        self._writer = writer
        self._directory = directory

    @property
    def port(self) -> int:
        """The port that is served."""
        port: int = self._network.runner.addresses[0][1]
        return port

    @property
    def rest_port(self) -> int | None:
        """The port of the debugging interface, None when it is off."""
        return self._network.rest.port

    @classmethod
    async def start(
        cls,
        settings: MetadataSettings,
        log: Any,
        on_fatal: Callable[[EngineFatalError], None],
    ) -> MetadataDaemon:
        """Open the store and listen; raises StartupError."""
        with contextlib.ExitStack() as opened:
            directory = None
            engine: Engine = MemoryEngine()
            deployment = str(uuid.uuid4())
            if settings.path is not None:
                directory = OwnedDirectory(settings.path)
                opened.callback(directory.release)
                engine = _open_engine(settings.path)
                opened.callback(engine.close)
                _settle_record_logs(engine, settings)
                deployment = _deployment_uuid(settings.path)
            opened.pop_all()  # from here on, close ends them
        writer = Writer(engine, log, on_fatal, settings.commit)
        packet_size = settings.packet_size
        service = MetadataService(engine, writer, deployment, settings.path, packet_size)
        server = create_server()
        server.eio.max_http_buffer_size = settings.message_bytes_max
        namespaces = [RpcNamespace(METADATA_NAMESPACE, service, settings.stream, log)]
        rest_services = {METADATA_NAMESPACE: RestService(service)}
        if settings.commit.record_log is not None:
            log_service = RecordLogService(engine, settings.commit.record_log, packet_size)
            namespaces.append(
                RecordLogNamespace(RECORD_LOG_NAMESPACE, log_service, settings.stream, log)
            )
            rest_services[RECORD_LOG_NAMESPACE] = RestService(log_service, with_sub_level)
        for namespace in namespaces:
            server.register_namespace(namespace)
        runner = web.AppRunner(
            create_application(server), access_log=None, shutdown_timeout=_HANG_SECONDS
        )
        await runner.setup()
        rest = RestInterface(rest_services, log)
        daemon = cls(_Network(runner, server, tuple(namespaces), rest), engine, writer, directory)
        port = settings.port
        try:
            for listener in bind_all(settings.host, port):
                await web.SockSite(runner, listener).start()
            if settings.rest_port is not None:
                port = settings.rest_port
                await rest.listen(bind_all(settings.host, port))
        except OSError as error:
            await daemon.close()
            raise StartupError(
                f"cannot listen on {settings.host}:{port}: {error.strerror or error}"
            ) from error
        return daemon

    async def close(self) -> None:
        """Stop listening, finish what was accepted, release the store."""
        runner = self._network.runner
        for site in list(runner.sites):
            await site.stop()
        await self._network.rest.close()
        drained = (namespace.drain(_DRAIN_SECONDS) for namespace in self._network.namespaces)
        await asyncio.gather(*drained)
        await self._writer.close()
        await disconnect_clients(self._network.server)
        await runner.cleanup()
        self._engine.close()
        if self._directory is not None:
            self._directory.release()


def _open_engine(path: Path) -> Engine:
    if (path / _LEVELDB_NAME).exists() and not (path / FILE_NAME).exists():
        raise StartupError(
            f"{path}: {_LEVELDB_NAME} is a LevelDB database of CloudServer, which this daemon "
            "cannot read; name another directory in S3METADATAPATH"
        )
    engine = LmdbEngine(path)
    try:
        _check_format(engine, path)
    except BaseException:
        engine.close()
        raise
    return engine


def _check_format(engine: Engine, path: Path) -> None:
    """Note the format in a new store, refuse one that is not known."""
    try:
        with engine.transaction() as transaction:
            found = transaction.get(FORMAT_KEY)
            if found is None:
                transaction.put(FORMAT_KEY, str(FORMAT_VERSION).encode())
    except (EngineError, EngineFatalError) as error:
        raise StartupError(f"{path}: cannot write to the metadata store: {error}") from error
    if found is None:
        return
    if not found.isdigit():
        raise StartupError(f"{path}: format version {found.decode(errors='replace')!r} is damaged")
    if int(found) > FORMAT_VERSION:
        raise StartupError(
            f"{path}: format version {int(found)} was written by a newer release; "
            f"this one knows {FORMAT_VERSION}"
        )


def _settle_record_logs(engine: Engine, settings: MetadataSettings) -> None:
    """Note which log of changes is going to be written, and which are not."""
    written = settings.commit.record_log
    try:
        with engine.transaction() as transaction:
            record_log.settle(transaction, None if written is None else written.name)
    except (EngineError, EngineFatalError, stored.CorruptRecordError) as error:
        raise StartupError(
            f"{settings.path}: cannot write to the metadata store: {error}"
        ) from error


def _deployment_uuid(path: Path) -> str:
    """The UUID of this deployment, kept in the file ``uuid`` as the original keeps it."""
    file = path / "uuid"
    try:
        if file.exists():
            return str(uuid.UUID(file.read_text("ascii").strip()))
        value = str(uuid.uuid4())
        unfinished = path / "uuid.new"
        with unfinished.open("w", encoding="ascii") as stream:
            stream.write(value)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.rename(file)
        _fsync_directory(path)
    except (OSError, ValueError) as error:
        raise StartupError(f"{file}: {error}") from error
    return value


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
