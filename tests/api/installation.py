"""An installation as an operator has it: a folder with configuration, and the commands run on it.

``tests.servers.Cluster`` starts the halves as most tests want them; this one starts any command
line, for the tests of the commands themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import REPOSITORY, Front, Process, Tls, free_port, wait_for

OWN_VARIABLES = (
    "S3",
    "SCALITY",
    "LISTEN_ADDR",
    "DAEMON_SECRET",
    "DATA_HOST",
    "DATA_PORT",
    "METADATA_HOST",
    "METADATA_PORT",
    "LOG_",
    "ENDPOINT",
    "SSL",
)
"""Beginnings of the variables that would change what a test configures."""
_SERVING = '"event":"serving'


@dataclass
class Installation:
    """A folder with ``config.json``, ``conf/authdata.json`` and two directories for data.

    ``settings`` are put into the configuration on top of the ports; write it again after a change.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.metadata_port, self.data_port = free_port(), free_port(), free_port()
        self.config = self.folder / "config.json"
        self.authdata = self.folder / "conf" / "authdata.json"
        self.data = self.folder / "data"
        self.metadata = self.folder / "metadata"
        for folder in (self.data, self.metadata, self.authdata.parent):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / "conf" / "authdata.json", self.authdata)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)
        }
        self.environ = {
            **kept,
            "PYTHONPATH": str(REPOSITORY),
            "S3_CONFIG_FILE": str(self.config),
            "S3AUTH_CONFIG": str(self.authdata),
            "S3DATAPATH": str(self.data),
            "S3METADATAPATH": str(self.metadata),
            **self.environ,
        }
        self._started: list[Process] = []
        self.write_config()

    def write_config(self) -> None:
        """Write config.json as ``settings`` are now."""
        document: dict[str, Any] = {
            "listenOn": [f"127.0.0.1:{self.port}"],
            "metadataClient": {"host": "127.0.0.1", "port": self.metadata_port},
            "dataClient": {"host": "127.0.0.1", "port": self.data_port},
            "metadataDaemon": {"bindAddress": "127.0.0.1", "port": self.metadata_port},
            "dataDaemon": {"bindAddress": "127.0.0.1", "port": self.data_port},
        }
        for key, value in self.settings.items():
            known = document.get(key)
            document[key] = {**known, **value} if isinstance(known, dict) else value
        self.config.write_text(json.dumps(document))

    def use_tls(self, tls: Tls) -> None:
        """Serve HTTPS."""
        self.settings["certFilePaths"] = {"key": str(tls.key), "cert": str(tls.certificate)}
        self.write_config()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command that ends by itself."""
        return subprocess.run(
            [sys.executable, "-m", *argv],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def program(self, *argv: str) -> Process:
        """A command that serves, not started yet; ``stop_all`` ends it."""
        name = f"{'-'.join(argv).replace('/', '-')}-{len(self._started)}"
        process = Process(
            name, [sys.executable, "-m", *argv], self.environ, self.folder / f"{name}.log"
        )
        self._started.append(process)
        return process

    def start(self, *argv: str) -> Process:
        """Start a command that serves, and wait until all of it does."""
        process = self.program(*argv)
        self.start_again(process)
        return process

    def start_again(self, process: Process) -> None:
        """Start a command that has ended, and wait until all of it serves."""
        expected = process.output.count(_SERVING) + _processes_of(process)
        process.start()

        def serves() -> bool:
            assert process.handle is not None
            assert process.handle.poll() is None, process.output[-4000:]
            return process.output.count(_SERVING) == expected

        wait_for(serves, f"{process.name} to serve")

    def start_both(self, *, tls: Tls | None = None, workers: int = 1) -> tuple[Process, Front]:
        """Start ``dmd start`` and ``s3front start``; returns when they work together."""
        dmd = self.start("dmd", "start")
        process = self.start("s3front", "start", "--workers", str(workers))
        front = Front(process, self.port, tls)
        front.wait()
        return dmd, front

    def ports_of(self, process: Process) -> list[int]:
        """The ports that a command listens on."""
        match process.argv[2:]:
            case ["s3front", "work"]:
                return []
            case ["s3front", *_]:
                return [self.port]
            case ["dmd", "start", "metadata", *_]:
                return [self.metadata_port]
            case ["dmd", "start", "data", *_]:
                return [self.data_port]
        return [self.metadata_port, self.data_port]

    def stop_all(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()


def _processes_of(process: Process) -> int:
    """How many processes of a command say that they serve."""
    match process.argv[2:]:
        case ["s3front", "start", "--workers", count]:
            return int(count) + 1
        case ["s3front", "start"]:
            return 2
        case ["dmd", "start"] | ["dmd", "start", "--memory"]:
            return 2
    return 1


def occupied_port() -> socket.socket:
    """A socket that listens on a loopback port."""
    return socket.create_server(("127.0.0.1", 0))
