"""Fixtures of the suite over every type of locations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.backends.places import CHOSEN, PLACE, Place, Server, new_bucket, server


@pytest.fixture(scope="session", params=CHOSEN, ids=[place.name for place in CHOSEN])
def at(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with locations of one type."""
    place: Place = request.param
    with server(place, tmp_path_factory.mktemp(place.name.replace(" ", "-"))) as running:
        yield running


@pytest.fixture(scope="session")
def s3(at: Server) -> Any:
    """A client of it."""
    return at.client()


@pytest.fixture
def bucket(s3: Any) -> str:
    """A fresh bucket at the place."""
    return new_bucket(s3, PLACE)
