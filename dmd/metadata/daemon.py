"""The metadata daemon as a process part: opens its directory, serves port 9990, closes cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmd.belonging import check_new_store
from dmd.errors import StartupError
from dmd.listening import bind_all
from dmd.metadata import record_log, stored
from dmd.metadata.alarm import Alarm
from dmd.metadata.commit import CommitSettings
from dmd.metadata.commit_bodies import BodySettings, CommitBodies
from dmd.metadata.engines.base import Engine, EngineError, EngineFatalError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.metadata_directory import deployment_uuid, open_engine
from dmd.metadata.metadata_service import MetadataService
from dmd.metadata.pages import PacketSize
from dmd.metadata.record_log_namespace import RecordLogDispatcher, with_sub_level
from dmd.metadata.record_log_service import RecordLogService
from dmd.metadata.reserve import Reserve
from dmd.metadata.soundness import FaultNote, check_before_opening
from dmd.metadata.writer import Writer
from dmd.ownership.owned_directory import OwnedDirectory, Ownership
from dmd.rpc.dispatch import Dispatcher
from dmd.rpc.entrance import Entrance
from dmd.rpc.lean_server import LeanServer, Trace, message_budget
from dmd.rpc.polling import PollingShell
from shared import limits
from shared.daemon_secret import Gate
from shared.process.problems import cannot_listen
from shared.rpc.envelope import METADATA_NAMESPACE
from shared.rpc.streams import StreamSettings
from shared.tls import listening_options

if TYPE_CHECKING:
    from dmd.metadata.rest import RestInterface

RECORD_LOG_NAMESPACE = "/MDFile/recordLog"
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
    call_timeout_seconds: float = limits.RPC_CALL_TIMEOUT_SECONDS
    rest_port: int | None = None
    """The port of the debugging interface, None for none."""
    ownership: Ownership = field(default_factory=Ownership)
    trace: Trace | None = None
    data_path: Path | None = None
    """The data directory that may say which metadata ought to be here; None: make a new store."""
    reserve_bytes: int = 0
    """What is kept of the disk for deletions."""
    notes_faults: bool = False
    """Whether this process is to keep what becomes known of its own death."""
    bodies: BodySettings | None = None
    """The bodies that come with commits, None for none."""
    gate: Gate = field(default_factory=Gate)
    tls: ssl.SSLContext | None = None
    """TLS of both ports, None for plain ones."""


class _Network:
    """The port, and the two shells that serve it (``dmd.rpc.entrance``)."""

    def __init__(
        self,
        dispatchers: Mapping[str, Dispatcher],
        rest: RestInterface | None,
        log: Any,
        settings: MetadataSettings,
    ) -> None:
        self.rest = rest
        self._log = log
        self._tls = settings.tls
        self._dispatchers = dispatchers
        budget = message_budget(settings.message_bytes_max)
        self._lean = LeanServer(
            dispatchers,
            log,
            message_bytes_max=settings.message_bytes_max,
            trace=settings.trace,
            gate=settings.gate,
            budget=budget,
        )
        self._polling = PollingShell(
            dispatchers, settings.message_bytes_max, settings.gate, budget, _HANG_SECONDS
        )
        self._listeners: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port that is served."""
        port: int = self._listeners[0].sockets[0].getsockname()[1]
        return port

    async def listen(self, host: str, port: int) -> None:
        """Serve; raises OSError."""
        for listener in bind_all(host, port):
            server = await asyncio.get_running_loop().create_server(
                lambda: Entrance(self._lean, self._polling, self._log),
                sock=listener,
                **listening_options(self._tls),
            )
            self._listeners.append(server)

    async def drain(self) -> None:
        """Accept nothing more, and answer what was accepted."""
        for listener in self._listeners:
            listener.close()
        if self.rest is not None:
            await self.rest.close()
        drained = (dispatcher.drain(_DRAIN_SECONDS) for dispatcher in self._dispatchers.values())
        await asyncio.gather(*drained)

    async def close(self) -> None:
        """End all connections."""
        await self._lean.close(_HANG_SECONDS)
        await self._polling.close()


class MetadataDaemon:
    """A running metadata daemon; make one with ``start``."""

    def __init__(
        self,
        network: _Network,
        engine: Engine,
        writer: Writer,
        directory: OwnedDirectory | None,
        faults: FaultNote | None,
        bodies: CommitBodies | None,
    ) -> None:
        self._faults = faults
        self._bodies = bodies
        self._network = network
        self._engine = engine
        self._writer = writer
        self._directory = directory

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._network.port

    @property
    def rest_port(self) -> int | None:
        """The port of the debugging interface, None when it is off."""
        return None if self._network.rest is None else self._network.rest.port

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
            faults: FaultNote | None = None
            engine: Engine = MemoryEngine()
            deployment = str(uuid.uuid4())
            if settings.path is not None:
                directory = OwnedDirectory(settings.path, settings.ownership, log)
                opened.callback(directory.release)
                faults = _doubt(settings, log)
                if faults is not None:
                    opened.callback(faults.close)
                engine = open_engine(settings.path)
                opened.callback(engine.close)
                _settle_record_logs(engine, settings)
                deployment = deployment_uuid(settings.path)
            opened.pop_all()  # from here on, close ends them
        reserve = None
        if settings.path is not None and isinstance(engine, LmdbEngine):
            reserve = Reserve(settings.path, settings.reserve_bytes, engine.has_free, log)
        bodies = None if settings.bodies is None else CommitBodies(settings.bodies)
        writer = Writer(
            engine,
            log,
            on_fatal,
            settings.commit,
            settings.call_timeout_seconds,
            reserve,
            None if bodies is None else bodies.segments,
        )
        packet_size, bytes_max = settings.packet_size, settings.message_bytes_max
        alarm = Alarm(log, None if faults is None else faults.add)
        service = MetadataService(
            engine, writer, deployment, settings.path, packet_size, alarm, bodies
        )
        dispatchers = {METADATA_NAMESPACE: Dispatcher(service, settings.stream, log, bytes_max)}
        log_service = None
        if settings.commit.record_log is not None:
            log_service = RecordLogService(engine, settings.commit.record_log, packet_size, alarm)
            dispatchers[RECORD_LOG_NAMESPACE] = RecordLogDispatcher(
                log_service, settings.stream, log, bytes_max
            )
        rest = None
        if settings.rest_port is not None:
            rest = _debugging_interface(service, log_service, log, settings)
        network = _Network(dispatchers, rest, log, settings)
        daemon = cls(network, engine, writer, directory, faults, bodies)
        try:
            # The main port last: who finds that one open finds all of them open.
            if rest is not None and settings.rest_port is not None:
                port, setting = settings.rest_port, "metadataDaemon.restPort"
                await rest.listen(bind_all(settings.host, port), settings.tls)
            port, setting = settings.port, "--metadata-port or METADATA_PORT"
            await network.listen(settings.host, port)
        except OSError as error:
            await daemon.close()
            raise StartupError(cannot_listen(settings.host, port, error, setting)) from error
        return daemon

    async def close(self) -> None:
        """Stop listening, finish what was accepted, release the store."""
        await self._network.drain()
        await self._writer.close()
        await self._network.close()
        if self._bodies is not None:
            self._bodies.close()
        self._engine.close()
        if self._faults is not None:
            self._faults.close()
        if self._directory is not None:
            self._directory.release()


def _debugging_interface(
    service: MetadataService,
    log_service: RecordLogService | None,
    log: Any,
    settings: MetadataSettings,
) -> RestInterface:
    """Is loaded where it is wanted only, because aiohttp serves it."""
    from dmd.metadata.rest import RestInterface, RestService  # noqa: PLC0415  # on first use

    services = {METADATA_NAMESPACE: RestService(service)}
    if log_service is not None:
        services[RECORD_LOG_NAMESPACE] = RestService(log_service, with_sub_level)
    return RestInterface(services, log, settings.message_bytes_max, settings.gate)


def _doubt(settings: MetadataSettings, log: Any) -> FaultNote | None:
    """Look at a store that there is reason to doubt, and have faults noted from now on."""
    assert settings.path is not None
    if settings.data_path is not None and not (settings.path / FILE_NAME).exists():
        check_new_store(settings.path, settings.data_path)
    try:
        check_before_opening(settings.path, log)
    except OSError as error:
        raise StartupError(f"{settings.path}: {error.strerror or error}") from error
    if not settings.notes_faults:
        return None
    try:
        return FaultNote(settings.path)
    except OSError as error:  # a full disk is no reason not to start
        log.warning("faults cannot be noted", reason=str(error))
        return None


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
