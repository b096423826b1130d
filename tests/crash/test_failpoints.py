"""Every operation, with a process that dies at every fail-point on its way.

What the client was told and what the stores hold must agree, and say the same as the table below:
an operation has happened from its commit on and not before, a blob whose record was never
committed is left to nobody, and nothing else is. The request is then repeated, and succeeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.failpoints import ArmedFailPoint, FailPoint
from tests.crash.operations import OPERATIONS, Complete, DeleteMany, Operation, PutOver
from tests.crash.stage import HAPPENED, UNOWNED, Stage, outcome
from tests.faults.processes import (
    DATA_POINTS,
    GC_POINTS,
    METADATA_POINTS,
    WORK_POINTS,
    Victim,
)
from tests.faults.stores import assert_settled, expire_leases, read_stores
from tests.raw_http import Response, call
from tests.servers import Process

WORK = frozenset(
    (
        FailPoint.BEFORE_DATA_UNLINK,
        FailPoint.AFTER_DATA_UNLINK,
        FailPoint.AFTER_QUEUED_DATA_DELETION,
    )
)
"""Those that background work alone comes to."""

KEYS = frozenset((FailPoint.AFTER_KEYS_REWRAPPED,))
"""Those of work that goes over all records for their keys: ``tests/api/test_key_rotation.py``."""

PLACES = frozenset((FailPoint.AFTER_STRAY_NOTED, FailPoint.AFTER_PLACE_COMPLETION))
"""Those of what is done at places that others run: ``tests/backends/test_native_crashes.py``."""

PAIRS = [(operation, armed) for operation in OPERATIONS for armed in operation.points]


def assert_told(operation: Operation, response: Response | None, armed: ArmedFailPoint) -> None:
    """What the client is told when a process dies there."""
    if armed.point in METADATA_POINTS and armed.visit > 1:
        # What is left of the upload is not the client's affair.
        assert response is not None
        assert response.status in (200, 204)
    elif armed.point in DATA_POINTS | METADATA_POINTS:
        assert response is not None
        operation.assert_unavailable(response)
    else:
        assert response is None


@pytest.mark.parametrize(
    ("kind", "armed"), PAIRS, ids=[f"{kind.__name__}-{armed}" for kind, armed in PAIRS]
)
def test_an_operation_that_is_cut_short(
    stage: Stage, kind: type[Operation], armed: ArmedFailPoint
) -> None:
    operation = kind(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, armed.point)
    victim.arm(armed.visit)
    response = outcome(operation)
    victim.wait_for_death()
    victim.revive()
    assert_told(operation, response, armed)
    happened = armed.point in HAPPENED or (armed.point in METADATA_POINTS and armed.visit > 1)
    unowned = kind.stores_data and armed.point in UNOWNED
    stage.assert_repeatable(operation, happened=happened, unowned=unowned)


@pytest.mark.parametrize(
    "point", sorted(set(FailPoint) - METADATA_POINTS - GC_POINTS - WORK_POINTS)
)
def test_operations_come_to_no_other_point(stage: Stage, point: FailPoint) -> None:
    """Else the table of operations, and with it the test above, would miss some."""
    others = [kind for kind in OPERATIONS if point not in {armed.point for armed in kind.points}]
    operations = [kind(stage.front, stage.bucket) for kind in others]
    victim = Victim(stage.running, stage.front, point)
    victim.arm()
    for operation in operations:
        assert operation.run().status == operation.status
        assert operation.happened()
    assert not victim.died()
    victim.revive()
    stage.assert_consistent()


# --- Further than the first visit ----------------------------------------------------------------


class PutLarge(PutOver):
    """More than the data daemon writes at a time."""

    after = bytes(range(256)) * (12 << 10)


def test_a_data_daemon_that_dies_between_two_writes(stage: Stage) -> None:
    operation = PutLarge(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, FailPoint.AFTER_DATA_WRITE)
    victim.arm(2)
    operation.assert_unavailable(operation.run())
    victim.wait_for_death()
    victim.revive()
    assert not operation.happened()
    stage.assert_consistent()
    assert operation.run().status == 200
    assert operation.happened()


class DeleteTwoSlices(DeleteMany):
    """A batch that is two commits: of 100 keys, and of the rest."""

    keys_count = 150

    def left(self) -> int:
        """How many objects are still there: all of a slice, or none."""
        found = [self.content(f"/{self.bucket}/{key}") for key in self.keys]
        for part in (found[:100], found[100:]):
            assert set(part) in ({None}, {b"old"})
        return sum(data is not None for data in found)


def test_a_front_end_that_dies_in_the_middle_of_a_batch(stage: Stage) -> None:
    operation = DeleteTwoSlices(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, FailPoint.AFTER_RECORD_COMMIT)
    victim.arm()
    assert outcome(operation) is None
    victim.wait_for_death()
    victim.revive()
    assert operation.left() == 50
    assert operation.run().status == 200
    assert operation.left() == 0
    stage.assert_consistent()


def test_a_daemon_that_dies_in_the_middle_of_a_batch(stage: Stage) -> None:
    """Each key is answered for itself."""
    operation = DeleteTwoSlices(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, FailPoint.BEFORE_COMMIT)
    victim.arm(2)
    answer = operation.run().xml
    victim.wait_for_death()
    victim.revive()
    assert [node.findtext("Key") for node in answer.iter("Deleted")] == operation.keys[:100]
    errors = {node.findtext("Key"): node.findtext("Code") for node in answer.iter("Error")}
    assert errors == dict.fromkeys(operation.keys[100:], "ServiceUnavailable")
    assert operation.left() == 50
    stage.assert_consistent()


class CompleteOneOfMany(Complete):
    """An upload with more parts than are removed at a time, of which the object uses the first."""

    def prepare(self) -> None:
        super().prepare()
        for number in range(3, 502):
            assert self.send_part(number, b"unused").status == 200


def test_a_front_end_that_dies_between_two_slices_of_parts(stage: Stage) -> None:
    operation = CompleteOneOfMany(stage.front, stage.bucket)
    victim = Victim(stage.running, stage.front, FailPoint.AFTER_CLOSING_SLICE)
    victim.arm()
    assert outcome(operation) is None
    victim.wait_for_death()
    victim.revive()
    assert operation.happened()
    left = stage.assert_consistent().uploads[stage.bucket]
    assert {f"closing..|..{operation.upload_id}", f"{operation.upload_id}..|..00501"} <= set(left)
    assert f"{operation.upload_id}..|..00500" not in left
    assert_settled(stage.running, stage.unowned)
    assert operation.happened()


# --- Background work -----------------------------------------------------------------------------

# The metadata daemon's commits: the worker takes its lease, and the queue is emptied.
WAYS_TO_DIE = [
    *map(ArmedFailPoint, sorted(WORK)),
    ArmedFailPoint(FailPoint.BEFORE_COMMIT, 2),
    ArmedFailPoint(FailPoint.AFTER_COMMIT, 2),
]


@contextmanager
def deletions_alone(work: Process) -> Iterator[Process]:
    """The process of background work, which has no other worker if it starts in this block."""
    usual = work.argv
    work.argv = [usual[0], "-m", "tests.faults.work_process", "deletions"]
    try:
        yield work
    finally:
        work.kill()
        work.argv = usual


@pytest.mark.parametrize("armed", WAYS_TO_DIE, ids=str)
def test_a_deletion_from_the_queue_that_is_cut_short(stage: Stage, armed: ArmedFailPoint) -> None:
    assert_settled(stage.running, stage.unowned)
    stage.running.work.kill()
    expire_leases(stage.running)
    target = f"/{stage.bucket}/deleted"
    assert call(stage.front, "PUT", target, b"data").status == 200
    assert call(stage.front, "DELETE", target).status == 204
    assert len(read_stores(stage.running).queue) == 1
    victim = Victim(stage.running, stage.front, armed.point)
    with deletions_alone(stage.running.work) as work:
        victim.arm(armed.visit)
        if work.handle is None:
            work.start()
        victim.wait_for_death()
    victim.revive()
    stage.assert_consistent()
    assert_settled(stage.running, stage.unowned)
    stage.assert_consistent()


def test_every_fail_point_is_tested() -> None:
    passed = {armed.point for operation in OPERATIONS for armed in operation.points}
    assert passed.isdisjoint(WORK)
    assert passed | WORK | KEYS | PLACES | GC_POINTS == set(FailPoint)
