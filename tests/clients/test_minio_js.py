"""minio's SDK for JavaScript.

It sends the source of a copy with its plus signs as they are, which stand for spaces in that
header: of the keys, those with a plus sign are not copied here.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5, sha256

import pytest

from tests.clients import tree
from tests.clients.node_sdk import node_sdk
from tests.clients.sdk import Sdk, SdkTests, Uploaded
from tests.clients.stored import Description
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def sdk(front: Front) -> Iterator[Sdk]:
    with node_sdk("minio.mjs", front) as running:
        yield running


class TestMinioJavaScript(SdkTests):
    """The tests that every SDK passes, and one of its own."""

    def test_objects_are_joined_as_parts(self, uploaded: Uploaded, big_file: tree.BigFile) -> None:
        """``composeObject`` copies each source as a part.

        It does not copy one object by parts: it begins every range at 0, whatever it is told.
        """
        first, second = big_file.path.name, "five MiB.bin"
        uploaded.ask("join", keys=[first, second], to="joined")
        parts = [big_file.path.read_bytes(), tree.files()[second]]
        digests = b"".join(md5(part, usedforsecurity=False).digest() for part in parts)
        etag = f'"{md5(digests, usedforsecurity=False).hexdigest()}-2"'
        joined = {"joined": (etag, sum(map(len, parts)))}
        assert uploaded.bucket.listing() == uploaded.listing | joined
        assert uploaded.bucket.sha256("joined") == sha256(b"".join(parts)).hexdigest()
        assert uploaded.bucket.description("joined") == Description()
        uploaded.ask("remove", keys=["joined"])
        assert uploaded.bucket.listing() == uploaded.listing
