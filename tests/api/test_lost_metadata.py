"""Metadata that is lost while the objects are there: not begun anew without being asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.installation import Installation
from tests.raw_http import call
from tests.servers import wait_for

EX_CONFIG = 78


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation that has served an object, and stopped; its metadata is away."""
    made = Installation(tmp_path)
    dmd, front = made.start_both()
    assert call(front, "PUT", "/bucket").status == 200
    assert call(front, "PUT", "/bucket/key", b"body").status == 200
    uuid = (made.metadata / "uuid").read_text()

    def named() -> bool:
        return bool(json.loads((made.data / "about.json").read_text()).get("metadata") == uuid)

    wait_for(named, "the data directory to name its metadata")
    front.process.stop()
    dmd.stop()
    shutil.move(made.metadata, tmp_path / "kept")
    made.metadata.mkdir()
    yield made
    made.stop_all()


@pytest.mark.parametrize("part", [(), ("metadata",)], ids=["both", "apart"])
def test_an_empty_metadata_directory_beside_objects_is_refused(
    installation: Installation, part: tuple[str, ...]
) -> None:
    refused = installation.run("dmd", "start", *part)
    assert refused.returncode == EX_CONFIG
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("dmd: ")]
    uuid = (installation.folder / "kept" / "uuid").read_text()
    assert line.startswith(f"dmd: {installation.metadata}: there is no metadata store here")
    for needed in (uuid, "`dmd restore`", "S3METADATAPATH", "--new-metadata"):
        assert needed in line
    assert not (installation.metadata / "metadata.lmdb").exists()


def test_metadata_that_came_back_is_served(installation: Installation) -> None:
    installation.metadata.rmdir()
    shutil.move(installation.folder / "kept", installation.metadata)
    dmd, front = installation.start_both()
    assert call(front, "GET", "/bucket/key").body == b"body"
    assert installation.run("dmd", "check").returncode == 0
    dmd.stop()


def test_new_metadata_is_made_when_it_is_asked_for(installation: Installation) -> None:
    # Something else has made a store: what is checked says that it is another one.
    other = installation.folder / "other"
    other.mkdir()
    installation.environ["S3METADATAPATH"] = str(other)
    installation.environ["S3DATAPATH"] = str(installation.folder / "nowhere")
    metadata = installation.start("dmd", "start", "metadata")
    metadata.stop()
    installation.environ["S3DATAPATH"] = str(installation.data)
    checked = installation.run("dmd", "check")
    assert checked.returncode == 1
    assert "other-metadata: the blobs are those of metadata" in checked.stdout

    installation.environ["S3METADATAPATH"] = str(installation.metadata)
    dmd = installation.program("dmd", "start", "--new-metadata")
    dmd.start()
    uuid = installation.metadata / "uuid"
    about = installation.data / "about.json"
    wait_for(
        lambda: uuid.exists() and json.loads(about.read_text()).get("metadata") == uuid.read_text(),
        "the data directory to name the new metadata",
    )
    dmd.stop()
    assert installation.run("dmd", "check").returncode == 0
