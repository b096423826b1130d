"""Fixtures of the tests against services that others run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.data_server import RecordingLog
from tests.backends.s3_services import SERVICES, Remote, Service, chosen, remote
from tests.backends.s3_stores import Stores


@pytest.fixture(scope="session", params=chosen())
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """An S3 service that others run: a second instance of this server, or a real other one."""
    with SERVICES[request.param](tmp_path_factory.mktemp("remote")) as running:
        yield running


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture(params=[True, False], ids=["versioned", "plain"])
def there(request: pytest.FixtureRequest, service: Service) -> Remote:
    """A bucket that keeps versions, and one that does not."""
    return remote(service, versioned=request.param)


@pytest.fixture
def plain(service: Service) -> Remote:
    return remote(service, versioned=False)


@pytest.fixture
def versioned(service: Service) -> Remote:
    return remote(service, versioned=True)


@pytest.fixture
async def stores(log: RecordingLog) -> AsyncIterator[Stores]:
    made = Stores(log)
    yield made
    await made.close()
