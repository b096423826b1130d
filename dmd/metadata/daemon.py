"""The metadata daemon as a process part: opens its directory, serves port 9990, closes cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping
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
from shared.rpc.dispatch import Dispatcher
from shared.rpc.entrance import Entrance
from shared.rpc.envelope import METADATA_NAMESPACE
from shared.rpc.lean_server import LeanServer
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


class _Network:
    """The port, and the two shells that serve it (``shared.rpc.entrance``)."""

    def __init__(self, dispatchers: Mapping[str, Dispatcher], log: Any) -> None:
        self._dispatchers = dispatchers
        self._lean = LeanServer(dispatchers, log)
        self._server = create_server()
        for namespace, dispatcher in dispatchers.items():
            self._server.register_namespace(RpcNamespace(namespace, dispatcher))
        self._runner = web.AppRunner(
            create_application(self._server), access_log=None, shutdown_timeout=_HANG_SECONDS
        )
        self._listeners: list[asyncio.Server] = []

    @property
    def port(self) -> int:
        """The port that is served."""
        port: int = self._listeners[0].sockets[0].getsockname()[1]
        return port

    async def listen(self, host: str, port: int) -> None:
        """Serve; raises OSError."""
        await self._runner.setup()
        other = self._runner.server
        assert other is not None
        for listener in bind_all(host, port):
            server = await asyncio.get_running_loop().create_server(
                lambda: Entrance(self._lean, other), sock=listener
            )
            self._listeners.append(server)

    async def drain(self) -> None:
        """Accept nothing more, and answer what was accepted."""
        for listener in self._listeners:
            listener.close()
        for dispatcher in self._dispatchers.values():
            await dispatcher.drain(_DRAIN_SECONDS)

    async def close(self) -> None:
        """End all connections."""
        await self._lean.close(_HANG_SECONDS)
        await disconnect_clients(self._server)
        await self._runner.cleanup()


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
        return self._network.port

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
        dispatcher = Dispatcher(service, settings.stream, log)
        network = _Network({METADATA_NAMESPACE: dispatcher}, log)
        daemon = cls(network, engine, writer, directory)
        try:
            await network.listen(settings.host, settings.port)
        except OSError as error:
            await daemon.close()
            raise StartupError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
            ) from error
        return daemon

    async def close(self) -> None:
        """Stop listening, finish what was accepted, release the store."""
        await self._network.drain()
        await self._writer.close()
        await self._network.close()
        self._engine.close()
        if self._directory is not None:
            self._directory.release()
