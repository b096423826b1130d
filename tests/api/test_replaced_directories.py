"""Directories that are emptied, moved or replaced under the daemon that owns them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.servers import Cluster, Process, wait_for

EX_SOFTWARE = 70


@pytest.fixture
def running(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def assert_ends(process: Process) -> None:
    assert process.handle is not None
    wait_for(lambda: process.handle is not None and process.handle.poll() is not None, "its end")
    assert process.handle.returncode == EX_SOFTWARE
    assert "was emptied, moved or replaced while it was in use" in process.output


def test_the_owner_of_a_directory_that_is_another_one_ends(running: Cluster) -> None:
    """It would acknowledge what is gone, and a second daemon could own the directory beside it."""
    try:
        running.start_daemons()
        for child in (running.folder / "data").iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        (running.folder / "metadata").rename(running.folder / "elsewhere")
        (running.folder / "metadata").mkdir()
        for process in (running.dmd_data, running.dmd_metadata):
            assert_ends(process)
    finally:
        running.stop()
