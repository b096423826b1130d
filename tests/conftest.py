"""Fixtures that every kind of test may use: a running server, clients, fresh buckets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients_boto3 import s3_client
from tests.servers import (
    OTHER_ACCESS_KEY,
    OTHER_SECRET_KEY,
    Cluster,
    Front,
    Tls,
    cluster,
    make_tls,
)


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
def front(shared_cluster: Cluster) -> Front:
    """The shared front-end over HTTP."""
    return shared_cluster.fronts[0]


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
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    return name
