"""A CloudServer that somebody has installed: whether it is one, and how its halves are started.

Nothing of it is part of the project. Its npm scripts say how each half is started. It is given its
own ``config.json`` with the addresses of this run, and folders of this run for what it stores.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.servers import REGION, REPOSITORY, Process, accepts_connections

LAST_LINES = 20


class InteropError(Exception):
    """Why the halves cannot be tried together, for people."""


class Half(StrEnum):
    """A program of the original; the value is its npm script."""

    METADATA = "start_mdserver"
    DATA = "start_dataserver"
    FRONT = "start_s3server"


@dataclass(frozen=True)
class Original:
    """A CloudServer in a folder, which is left as it is."""

    folder: Path
    scripts: Mapping[str, str]
    settings: Mapping[str, Any]
    """Its own ``config.json``."""

    def process(self, half: Half, name: str, folder: Path, addresses: Mapping[str, Any]) -> Process:
        """One of its halves, not started yet. ``addresses`` go on top of its own configuration;
        ``folder`` has the folders ``data`` and ``metadata``."""
        config = folder / f"{name}.json"
        endpoints = {**self.settings.get("restEndpoints", {}), "localhost": REGION}
        config.write_text(
            json.dumps({**self.settings, "restEndpoints": endpoints, "clusters": 1, **addresses})
        )
        environ = {key: value for key, value in os.environ.items() if key != "S3BACKEND"}
        environ |= {
            "PATH": f"{self.folder / 'node_modules' / '.bin'}:{os.environ['PATH']}",
            "S3_CONFIG_FILE": str(config),
            "S3AUTH_CONFIG": str(REPOSITORY / "conf" / "authdata.json"),
            "S3DATAPATH": str(folder / "data"),
            "S3METADATAPATH": str(folder / "metadata"),
            "S3DATA": "multiple",
            "S3METADATA": "file",
            # It would ask a server of its maker's for orders.
            "REMOTE_MANAGEMENT_DISABLE": "1",
        }
        command = f"cd {shlex.quote(str(self.folder))} && {self.scripts[half]}"
        return Process(name, ["sh", "-c", command], environ, folder / f"{name}.log")


def find_original(folder: Path) -> Original:
    """The CloudServer in a folder; raises InteropError when there is none that could be started."""
    if not folder.is_dir():
        raise InteropError(f"{folder}: no such folder")
    package = _document(folder / "package.json", "is this the folder of a CloudServer?")
    name, scripts = package.get("name"), package.get("scripts") or {}
    missing = [half for half in Half if half not in scripts]
    if missing:
        raise InteropError(
            f"{folder / 'package.json'}: {name} is no CloudServer, or none of this kind: it has no "
            f"script {', '.join(missing)}"
        )
    settings = _document(folder / "config.json", "its own configuration is the base of ours")
    if shutil.which("node") is None:
        raise InteropError("node is not on the PATH: install the Node.js that CloudServer asks for")
    modules = folder / "node_modules"
    absent = [name for name in package.get("dependencies") or {} if not (modules / name).is_dir()]
    if absent or not modules.is_dir():
        what = f"lacks {', '.join(absent)}" if modules.is_dir() else "is missing"
        raise InteropError(f"{modules} {what}: run `yarn install` in {folder}")
    return Original(folder, scripts, settings)


def _document(path: Path, hint: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InteropError(f"{path} is missing: {hint}") from None
    except (OSError, ValueError) as error:
        raise InteropError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise InteropError(f"{path} is no JSON object: {hint}")
    return document


def wait_until_up(process: Process, port: int, seconds: float) -> None:
    """Return when a half listens; raises InteropError, with its last lines, when it never does."""
    deadline = time.monotonic() + seconds
    while not accepts_connections(port):
        assert process.handle is not None
        code = process.handle.poll()
        if code is not None:
            raise InteropError(f"{process.name} ended with code {code}\n{last_lines(process)}")
        if time.monotonic() > deadline:
            raise InteropError(
                f"{process.name} does not listen on port {port} after {seconds:g} s\n"
                f"{last_lines(process)}"
            )
        time.sleep(0.05)  # between two looks at the port


def last_lines(process: Process) -> str:
    """The end of what a process printed."""
    lines = process.output.splitlines()[-LAST_LINES:] or ["(it printed nothing)"]
    return "\n".join(["Its last lines:", *(f"    {line[:500]}" for line in lines)])
