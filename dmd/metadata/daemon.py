"""The metadata daemon as a process part: opens its directory, serves port 9990, closes cleanly."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from dmd.directory import OwnedDirectory, Ownership
from dmd.errors import StartupError
from dmd.listening import bind_all
from dmd.metadata.directory import deployment_uuid, open_engine
from dmd.metadata.engines.base import Engine, EngineFatalError
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.service import MetadataService
from dmd.metadata.writer import Writer
from shared.rpc.envelope import METADATA_NAMESPACE
from shared.rpc.server import (
    RpcNamespace,
    create_application,
    create_server,
    disconnect_clients,
)
from shared.rpc.streams import StreamSettings

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
    ownership: Ownership = field(default_factory=Ownership)


@dataclass(frozen=True, slots=True)
class _Network:
    """The parts that serve the port."""

    runner: web.AppRunner
    server: Any
    namespace: RpcNamespace


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
                directory = OwnedDirectory(settings.path, settings.ownership, log)
                opened.callback(directory.release)
                engine = open_engine(settings.path)
                opened.callback(engine.close)
                deployment = deployment_uuid(settings.path)
            opened.pop_all()  # from here on, close ends them
        writer = Writer(engine, log, on_fatal)
        service = MetadataService(engine, writer, deployment, settings.path)
        server = create_server()
        namespace = RpcNamespace(METADATA_NAMESPACE, service, settings.stream, log)
        server.register_namespace(namespace)
        runner = web.AppRunner(
            create_application(server), access_log=None, shutdown_timeout=_HANG_SECONDS
        )
        await runner.setup()
        daemon = cls(_Network(runner, server, namespace), engine, writer, directory)
        try:
            for listener in bind_all(settings.host, settings.port):
                await web.SockSite(runner, listener).start()
        except OSError as error:
            await daemon.close()
            raise StartupError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
            ) from error
        return daemon

    async def close(self) -> None:
        """Stop listening, finish what was accepted, release the store."""
        runner = self._network.runner
        for site in list(runner.sites):
            await site.stop()
        await self._network.namespace.drain(_DRAIN_SECONDS)
        await self._writer.close()
        await disconnect_clients(self._network.server)
        await runner.cleanup()
        self._engine.close()
        if self._directory is not None:
            self._directory.release()
