"""Operations whose bytes come with their commit, with a process that dies at every fail-point.

As in ``test_failpoints``, where they take two hops. Here the metadata daemon decides, writes the
bodies, syncs them, commits and answers; a front-end stores nothing before.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.failpoints import FailPoint
from tests.crash.operations import Copy, Operation, PutOver, UploadPart
from tests.crash.stage import HAPPENED, UNOWNED_IN_ONE_HOP, Stage, outcome
from tests.faults.processes import METADATA_POINTS, SEGMENT_POINTS, Victim, wait_until_connected

KINDS: tuple[type[Operation], ...] = (PutOver, Copy, UploadPart)
POINTS = (
    *sorted(SEGMENT_POINTS),
    *sorted(METADATA_POINTS),
    FailPoint.AFTER_DATA_STORED,
    FailPoint.AFTER_RECORD_COMMIT,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("point", POINTS)
def test_an_operation_that_is_cut_short(
    one_hop_stage: Stage, kind: type[Operation], point: FailPoint
) -> None:
    stage = one_hop_stage
    operation = kind(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, point, one_hop=True)
    victim.arm()
    response = outcome(operation)
    victim.wait_for_death()
    victim.revive()
    if point in SEGMENT_POINTS | METADATA_POINTS:
        assert response is not None
        operation.assert_unavailable(response)
    else:
        assert response is None
    unowned = point in UNOWNED_IN_ONE_HOP
    stage.assert_repeatable(operation, happened=point in HAPPENED, unowned=unowned)


def test_the_data_daemon_stores_nothing(one_hop_stage: Stage) -> None:
    stage = one_hop_stage
    operations = [kind(stage.front, stage.bucket) for kind in KINDS]
    victim = Victim(stage.running, stage.front, FailPoint.BEFORE_SEGMENT_WRITE)
    victim.arm()
    for operation in operations:
        assert operation.run().status == operation.status
        assert operation.happened()
    assert not victim.died()
    victim.revive()
    stage.assert_consistent()


def test_an_answer_that_was_lost_is_given_again(one_hop_stage: Stage) -> None:
    """The daemon is there again before the front-end gives up, which repeats its commit: what was
    committed is not done, nor stored, a second time."""
    stage = one_hop_stage
    for point in (FailPoint.AFTER_SEGMENT_FSYNC, FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT):
        operation = PutOver(stage.front, stage.bucket)
        victim = Victim(stage.running, stage.front, point, one_hop=True)
        victim.arm()
        with ThreadPoolExecutor(1) as clients:
            sent = clients.submit(operation.run)
            victim.wait_for_death()
            victim.process.kill()
            stage.running.start_daemons()
            assert sent.result().status == 200
        wait_until_connected(stage.front)
        assert operation.happened()
        stage.unowned += point in UNOWNED_IN_ONE_HOP
        stage.assert_consistent()
