"""Metadata daemons as processes, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import Cluster, Process, accepts_connections, free_port, wait_for


class MetadataProcess:
    """``dmd start metadata`` in a folder of its own; ``settings`` go into ``metadataDaemon``,
    ``record_log`` is the section of that name, ``debug`` the variable, ``environ`` has others."""

    def __init__(
        self,
        folder: Path,
        record_log: dict[str, Any] | None = None,
        debug: str = "",
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self.port = free_port()
        section = {"bindAddress": "127.0.0.1", "port": self.port, **settings}
        document = {"metadataDaemon": section, "recordLog": record_log or {}}
        environ = {"DEBUG": debug, **(environ or {})}
        self.process: Process = Cluster(folder, document, environ).dmd_metadata
        self.directory = folder / "metadata"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process.start()
        wait_for(self._serves, "the metadata daemon to serve")

    def _serves(self) -> bool:
        handle = self.process.handle
        assert handle is not None
        assert handle.poll() is None, f"the metadata daemon ended:\n{self.process.output}"
        return accepts_connections(self.port)


@contextmanager
def metadata_process(
    folder: Path,
    record_log: dict[str, Any] | None = None,
    debug: str = "",
    environ: dict[str, str] | None = None,
    **settings: Any,
) -> Iterator[MetadataProcess]:
    """A daemon that runs until the end of the block."""
    daemon = MetadataProcess(folder, record_log, debug, environ, **settings)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.process.kill()
