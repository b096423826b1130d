"""Fixtures of the API tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import endpoint
from tests.api.support import new_name
from tests.servers import Cluster, Front, process_tree


@pytest.fixture
def undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the test sends, the front-ends live on and log nothing as unexpected. Of the
    processes of another server nothing is known."""
    if endpoint.URL:
        yield
        return
    shared_cluster: Cluster = request.getfixturevalue("shared_cluster")
    fronts = [front.process for front in shared_cluster.fronts]
    processes = [process_tree(process.pid) for process in fronts]
    logged = [len(process.output) for process in fronts]
    yield
    for process, length in zip(fronts, logged, strict=True):
        lines = process.output[length:].splitlines()
        unexpected = [line for line in lines if "Traceback" in line or '"level":"error"' in line]
        assert not unexpected, "\n".join(unexpected)
    assert [process_tree(process.pid) for process in fronts] == processes
    assert [process.poll() for process in fronts] == [None] * len(fronts)


@pytest.fixture
def plain_front(front: Front) -> Front:
    """A front-end without TLS, for what cannot be done over it: to close one direction alone."""
    return front


@pytest.fixture
def locked(s3: Any) -> str:
    """The name of a fresh bucket with object lock."""
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name
