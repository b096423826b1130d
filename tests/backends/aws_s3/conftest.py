"""Fixtures of the tests against services that others run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.data_server import RecordingLog
from tests.backends.s3_services import Remote, Service, remote, twofold
from tests.backends.s3_stores import Stores


@pytest.fixture(scope="session")
def twofold_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A second instance of this server, as an S3 service."""
    with twofold(tmp_path_factory.mktemp("remote")) as running:
        yield running


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture(params=[True, False], ids=["versioned", "plain"])
def there(request: pytest.FixtureRequest, twofold_service: Service) -> Remote:
    """A bucket that keeps versions, and one that does not."""
    return remote(twofold_service, versioned=request.param)


@pytest.fixture
def plain(twofold_service: Service) -> Remote:
    return remote(twofold_service, versioned=False)


@pytest.fixture
def versioned(twofold_service: Service) -> Remote:
    return remote(twofold_service, versioned=True)


@pytest.fixture
async def stores(log: RecordingLog) -> AsyncIterator[Stores]:
    made = Stores(log)
    yield made
    await made.close()
