"""Fixtures of the tests against services that others run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.s3_services import Service, twofold


@pytest.fixture(scope="session")
def twofold_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A second instance of this server, as an S3 service."""
    with twofold(tmp_path_factory.mktemp("remote")) as running:
        yield running
