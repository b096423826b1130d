"""One laid-out data directory for all tests of a run: making 3,511 directories takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dmd.data.harness import files_in


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def directory(shared_directory: Path) -> Iterator[Path]:
    """A data directory without blobs."""
    yield shared_directory
    for path in files_in(shared_directory):
        path.unlink()
