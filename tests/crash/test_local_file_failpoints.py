"""Large bodies that a front-end writes itself, with that front-end dying at every fail-point.

As in ``test_failpoints``, where the data daemon writes them. Here it has no part in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest
import requests

from shared.failpoints import FailPoint
from tests.api.support import new_name
from tests.crash.operations import Copy, Operation, PutOver, UploadPart
from tests.crash.stage import UNOWNED, Stage, outcome, stage_in
from tests.faults.processes import FILE_POINTS, Victim, stopped, wait_until_connected
from tests.raw_http import call
from tests.servers import wait_for

LARGE = bytes(range(256)) * 1200
"""More than is packed."""


class PutLarge(PutOver):
    after = LARGE


class CopyLarge(Copy):
    data = LARGE


class UploadLargePart(UploadPart):
    data = LARGE


KINDS: tuple[type[Operation], ...] = (PutLarge, CopyLarge, UploadLargePart)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The data daemon says of each request that it has answered it."""
    settings = {"log": {"logLevel": "debug"}}
    with stage_in(tmp_path_factory.mktemp("local-files"), settings) as found:
        found.running.works = False
        found.running.work.kill()
        yield found


def uploads(stage: Stage) -> int:
    """How many the data daemon has had. What it says of them may be on its way: what it says of a
    later request comes behind."""
    running, mark = stage.running, f"/DataFile/{secrets.token_hex(20)}"
    asked = requests.get(f"http://127.0.0.1:{running.data_port}{mark}", timeout=10)
    assert asked.status_code == 404
    wait_for(lambda: mark in running.dmd_data.output, "what the data daemon says of a request")
    return running.dmd_data.output.count('"method":"PUT"')


def wait_until_beside(stage: Stage) -> None:
    """Wait until the front-end knows itself beside the data daemon."""

    def writes() -> bool:
        before = uploads(stage)
        assert call(stage.front, "PUT", f"/{stage.bucket}/{new_name()}", LARGE).status == 200
        return uploads(stage) == before

    wait_for(writes, "the front-end to write files itself")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("point", sorted(FILE_POINTS))
def test_an_operation_that_is_cut_short(
    stage: Stage, kind: type[Operation], point: FailPoint
) -> None:
    operation = kind(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, point, beside=True)
    victim.arm(2)  # the first time is that of learning where it is
    wait_until_beside(stage)
    assert outcome(operation) is None
    victim.wait_for_death()
    victim.revive()
    stage.assert_repeatable(operation, happened=False, unowned=point in UNOWNED)


class PutInBlocks(PutOver):
    """More than is collected before it is written."""

    after = bytes(range(256)) * (24 << 10)


def test_a_front_end_that_dies_between_two_blocks(stage: Stage) -> None:
    operation = PutInBlocks(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, FailPoint.AFTER_DATA_WRITE, beside=True)
    victim.arm(3)
    wait_until_beside(stage)
    assert outcome(operation) is None
    victim.wait_for_death()
    victim.revive()
    stage.assert_repeatable(operation, happened=False, unowned=False)


def test_the_data_daemon_has_no_part_in_it(stage: Stage) -> None:
    """Nor has it to be told: it knows the blob when it is asked for it."""
    wait_until_beside(stage)
    target = f"/{stage.bucket}/{new_name()}"
    with stopped(stage.running.dmd_data):
        assert call(stage.front, "PUT", target, LARGE).status == 200
    assert call(stage.front, "GET", target).body == LARGE
    stage.assert_consistent()


def test_a_data_daemon_that_is_started_again(stage: Stage) -> None:
    """It is asked again where it is then."""
    wait_until_beside(stage)
    for _ in range(2):
        stage.running.dmd_data.kill()
        stage.running.start_daemons()
        wait_until_connected(stage.front)
        before = uploads(stage)
        target = f"/{stage.bucket}/{new_name()}"
        assert call(stage.front, "PUT", target, LARGE).status == 200
        assert uploads(stage) == before + 1
        assert call(stage.front, "GET", target).body == LARGE
        wait_until_beside(stage)
    stage.assert_consistent()
