"""minio's SDK for Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.program import BUILD, require
from tests.clients.sdk import PartCopyTests, Sdk
from tests.servers import Front

# 100 MiB go up and down: on a busy machine, that takes its time.
pytestmark = pytest.mark.timeout(300)

_SCRIPT = Path(__file__).parent / "minio_commands.py"
# The SDK raises ValueError for a key with a segment of "." or "..".
_INEXPRESSIBLE = frozenset({"dots/../up/./here"})


@pytest.fixture(scope="module")
def sdk(front: Front) -> Iterator[Sdk]:
    python = require(BUILD / "pyclients" / "bin" / "python")
    # -P: the script's folder is no place to import from.
    argv = [str(python), "-P", str(_SCRIPT)]
    with Sdk.running(argv, front, inexpressible=_INEXPRESSIBLE) as running:
        yield running


class TestMinioPython(PartCopyTests):
    """The tests that every SDK passes."""
