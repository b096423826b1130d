"""docs/locations.md takes one from nothing to a location: what stands there is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.backends.rings import ring
from tests.clients.awscli import AwsCli
from tests.servers import REPOSITORY, Cluster, cluster

_URL = "http://localhost:8000"
_INDENT = "    "
_SECONDS = 100.0
PICTURE = os.urandom(300_000)


def blocks_of(section: str) -> list[str]:
    """The indented blocks of a section of the document."""
    text = (REPOSITORY / "docs" / "locations.md").read_text()
    lines = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0].splitlines()
    blocks = [""]
    for line in lines:
        if line.startswith(_INDENT):
            blocks[-1] += line.removeprefix(_INDENT) + "\n"
        elif blocks[-1]:
            blocks.append("")
    return [block for block in blocks if block]


def replaced(text: str, by: Mapping[str, str]) -> str:
    """Text for this machine: each thing has to stand in it."""
    for name, here in by.items():
        assert name in text, name
        text = text.replace(name, here)
    return text


def start(folder: Path, entry: str) -> Any:
    """A cluster with a location as it is written in the document."""
    locations = folder / "locations.json"
    document = {"us-east-1": {"type": "file", "details": {}}, **json.loads(f"{{{entry}}}")}
    locations.write_text(json.dumps(document))
    return cluster(folder, environ={"S3_LOCATION_FILE": str(locations)})


def run(script: str, running: Cluster, folder: Path) -> str:
    """Run commands of the document; what they print."""
    front = running.fronts[0]
    aws = AwsCli(front, folder)
    kept = ("HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    programs = f"{Path(sys.executable).parent}:{aws.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", replaced(script, {_URL: front.url})],
        env={
            **front.process.environ,
            **{name: aws.environ[name] for name in kept},
            "PATH": programs,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_a_ring(tmp_path: Path) -> None:
    entry, commands = blocks_of("scality")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    with ring(tmp_path / "ring") as there:
        first, second = there.bootstrap
        entry = replaced(entry, {"10.0.0.1:81": first, "10.0.0.2:81": second})
        with start(tmp_path, entry) as running:
            run(commands, running, tmp_path)
        assert len(there.blobs()) == 1


def test_a_folder(tmp_path: Path) -> None:
    entry, commands = blocks_of("folder")
    photos = tmp_path / "photos"
    (photos / "2026").mkdir(parents=True)
    (photos / "2026" / "cat.jpg").write_bytes(PICTURE)
    (photos / "a name with spaces").write_bytes(b"x")
    with start(tmp_path, replaced(entry, {"/srv/photos": str(photos)})) as running:
        listed = run(replaced(commands, {"/srv/photos": str(photos)}), running, tmp_path)
    assert (tmp_path / "cat.jpg").read_bytes() == PICTURE
    assert "300000 2026/cat.jpg" in listed
    assert "1 a name with spaces" in listed


@pytest.mark.parametrize("section", ["scality", "folder"])
def test_commands_name_the_server(section: str) -> None:
    """``aws`` would go to Amazon without it."""
    lines = "\n".join(blocks_of(section)).splitlines()
    asked = [line.strip() for line in lines if line.strip().startswith("aws ")]
    assert asked
    assert all(line.startswith(f"aws --endpoint-url {_URL} ") for line in asked)
