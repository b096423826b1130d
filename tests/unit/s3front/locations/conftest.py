"""A directory to put locationConfig.json in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.shared.config.conftest import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)
