"""Fixtures that every kind of test may use: a running server, clients, fresh buckets."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests import endpoint
from tests.clients_boto3 import s3_client
from tests.endpoint import BUCKET_PREFIX
from tests.servers import (
    OTHER_ACCESS_KEY,
    OTHER_SECRET_KEY,
    Cluster,
    Front,
    Tls,
    cluster,
    make_tls,
)
from tests.temporary import folder_in_memory

_ENDPOINT = pytest.StashKey[Front]()


def pytest_configure() -> None:
    """Have the folders of tests in memory, unless it is said where they are to be, and compile
    modules once: every process that is started imports most of ours. How long an example takes says
    how busy the machine is, and is no failure."""
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and (folder := folder_in_memory()):
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """At an endpoint, leave out the tests that need more than S3."""
    if not endpoint.URL:
        return
    chosen = [item for item in items if endpoint.can_run(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what tests have made at an endpoint. There may be much of it, so that this is not in
    the time of the last test."""
    server = session.config.stash.get(_ENDPOINT, None)
    if server is None:
        return
    endpoint.remove_buckets(s3_client(server))
    if endpoint.HAS_SECOND_ACCOUNT:
        endpoint.remove_buckets(s3_client(server, OTHER_ACCESS_KEY, OTHER_SECRET_KEY))


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate for localhost."""
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Cluster]:
    """One dmd and two front-ends (the second over HTTPS) that tests share: leave it running."""
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.add_front(tls=tls)
        yield running


@pytest.fixture(scope="session")
def front(request: pytest.FixtureRequest) -> Front:
    """The shared front-end over HTTP, or the endpoint that the tests are about."""
    # Not asked for by its parameter: a test needs the cluster's processes only when it says so.
    if not endpoint.URL:
        running: Cluster = request.getfixturevalue("shared_cluster")
        return running.fronts[0]
    server = endpoint.endpoint_front(endpoint.URL)
    request.config.stash[_ENDPOINT] = server
    return server


@pytest.fixture(scope="session")
def tls_front(shared_cluster: Cluster) -> Front:
    """The shared front-end over HTTPS."""
    return shared_cluster.fronts[1]


@pytest.fixture(scope="session")
def s3(front: Front) -> Any:
    """boto3's client of the first account."""
    return s3_client(front)


@pytest.fixture(scope="session")
def other_s3(front: Front) -> Any:
    """boto3's client of the second account."""
    return s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY)


@pytest.fixture
def bucket(s3: Any) -> str:
    """A fresh bucket of the first account."""
    name = f"{BUCKET_PREFIX}{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    return name
