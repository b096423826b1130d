"""A RING for tests, as processes: so many connectors on one folder of blobs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.servers import REPOSITORY, Process, accepts_connections, free_port, wait_for

_SECONDS = 10.0


@dataclass
class Connector:
    """A host that runs sproxyd."""

    process: Process
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process.start()
        wait_for(lambda: accepts_connections(self.port), self.process.name)

    def tell(self, **fault: Any) -> None:
        """What goes wrong from now on (``sproxyd_server``)."""
        requests.put(f"http://{self.address}/control", json=fault, timeout=_SECONDS)

    def said(self) -> dict[str, list[str]]:
        """What it was asked, and what of it is against the rules."""
        said: dict[str, list[str]] = requests.get(
            f"http://{self.address}/control", timeout=_SECONDS
        ).json()
        return said


@dataclass
class Ring:
    """The RING; ``folder`` has a file for each blob."""

    folder: Path
    connectors: list[Connector]

    @property
    def bootstrap(self) -> list[str]:
        return [connector.address for connector in self.connectors]

    @property
    def details(self) -> dict[str, Any]:
        """Those of its location."""
        return {"connector": {"sproxyd": {"bootstrap": self.bootstrap}}}

    def blobs(self) -> set[str]:
        """Of all blobs."""
        return {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}

    def violations(self) -> list[str]:
        """All that was asked against the rules, of those that run."""
        running = [each for each in self.connectors if each.process.handle is not None]
        return [line for connector in running for line in connector.said()["violations"]]


@contextlib.contextmanager
def ring(folder: Path, hosts: int = 2, path: str = "/proxy/arc/") -> Iterator[Ring]:
    """A RING that ends with the block, and was asked nothing against the rules in it."""
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    running = Ring(blobs, [])
    try:
        for number in range(hosts):
            name, port = f"sproxyd-{number + 1}", free_port()
            argv = ["-m", "tests.backends.sproxyd_server", str(port), str(blobs), path]
            environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
            log = folder / f"{name}.log"
            process = Process(name, [sys.executable, *argv], environ, log)
            running.connectors.append(Connector(process, port))
            running.connectors[-1].start()
        yield running
        assert running.violations() == []
    finally:
        for connector in running.connectors:
            connector.process.kill()
