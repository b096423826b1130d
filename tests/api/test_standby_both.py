"""``dmd start --standby``: both halves of the daemon wait for their directories' owners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.installation import Installation
from tests.raw_http import call
from tests.servers import Process, wait_for

STANDING_BY = '"event":"standing by"'
SERVING = '"event":"serving'


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.stop_all()


def standing_by(installation: Installation) -> Process:
    """A stand-by, once both of its services wait."""
    standby = installation.program("dmd", "start", "--standby")
    standby.start()
    wait_for(lambda: standby.output.count(STANDING_BY) == 2, "both services to stand by")
    return standby


def test_a_stand_by_takes_both_directories_over(installation: Installation) -> None:
    owner, front = installation.start_both()
    assert call(front, "PUT", "/bucket").status == 200
    assert call(front, "PUT", "/bucket/key", b"before").status == 200
    standby = standing_by(installation)
    assert SERVING not in standby.output
    assert call(front, "PUT", "/bucket/key", b"body").status == 200
    owner.kill()
    wait_for(lambda: standby.output.count(SERVING) == 2, "both services to serve")
    wait_for(lambda: call(front, "GET", "/bucket/key").body == b"body", "the object")
    assert call(front, "PUT", "/bucket/other", b"after").status == 200
    assert standby.handle is not None
    assert standby.handle.poll() is None


def test_a_stand_by_that_waits_can_be_stopped(installation: Installation) -> None:
    installation.start("dmd", "start")
    standby = standing_by(installation)
    assert standby.stop() == 0
    assert SERVING not in standby.output
