"""@aws-sdk/client-s3, with @aws-sdk/lib-storage for uploads by parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.node_sdk import node_sdk
from tests.clients.sdk import PartCopyTests, Sdk
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def sdk(front: Front) -> Iterator[Sdk]:
    with node_sdk("aws_sdk.mjs", front) as running:
        yield running


class TestAwsSdk(PartCopyTests):
    """The tests that every SDK passes."""
