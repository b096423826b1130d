"""Fixtures of the tests with real S3 programs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients import tree
from tests.clients.sdk import Sdk, Uploaded, uploaded_by
from tests.clients.stored import Bucket
from tests.servers import Front


@pytest.fixture(scope="module", params=["http", "https"])
def endpoint(request: pytest.FixtureRequest, front: Front, tls_front: Front) -> Front:
    """The shared server over HTTP, then over HTTPS."""
    return front if request.param == "http" else tls_front


@pytest.fixture(scope="session")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> tree.BigFile:
    """The file of 100 MiB: leave it as it is."""
    return tree.big_file(tmp_path_factory.mktemp("big"))


@pytest.fixture(scope="module")
def program_bucket(s3: Any) -> Iterator[Bucket]:
    """The name of a bucket that the module's program makes and removes.

    What a failed test leaves behind is removed.
    """
    bucket = Bucket(s3, f"clients-{uuid.uuid4().hex[:16]}")
    yield bucket
    bucket.remove()


@pytest.fixture(scope="module")
def uploaded(
    sdk: Sdk,
    program_bucket: Bucket,
    big_file: tree.BigFile,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Uploaded]:
    """A bucket that the SDK of the module has filled."""
    folder = tmp_path_factory.mktemp("sdk")
    with uploaded_by(sdk, program_bucket, big_file, folder) as bucket:
        yield bucket
