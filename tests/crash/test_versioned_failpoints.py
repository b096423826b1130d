"""Versions, delete markers, null versions and object locks, with a process that dies on the way.

Operations are done one after the other, each in a bucket of its own, until a process dies in one of
them. What was acknowledged before is there after the restart, the one that was cut short has
happened or not as its fail-point says, and it and the rest can be done. The records always lie
where the manual puts them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.failpoints import FailPoint
from tests.crash.operations import STORING
from tests.crash.stage import HAPPENED, UNOWNED, Stage, outcome
from tests.crash.versioned_operations import (
    VERSIONED_OPERATIONS,
    DeleteLatestOverNull,
    PutNull,
    PutOverNull,
    Retain,
    VersionedOperation,
)
from tests.faults.processes import METADATA_POINTS, Victim
from tests.faults.stores import assert_metadata_is_well
from tests.raw_http import Response

Case = tuple[FailPoint, type[VersionedOperation]]
"""Where a process dies, and in which of the operations."""


def passes(kind: type[VersionedOperation], point: FailPoint) -> bool:
    return point in {armed.point for armed in kind.points}


ALL: list[Case] = [
    (armed.point, kind)
    for armed in STORING
    for kind in VERSIONED_OPERATIONS
    if passes(kind, armed.point)
]
FEW: list[Case] = [
    (FailPoint.BEFORE_COMMIT, DeleteLatestOverNull),
    (FailPoint.AFTER_COMMIT, PutOverNull),
    (FailPoint.AFTER_COMMIT, Retain),
    (FailPoint.AFTER_RECORD_COMMIT, PutNull),
]
CASES = ALL if os.environ.get("TWOFOLD_SOAK") else FEW


@pytest.mark.parametrize(
    ("point", "cut"), CASES, ids=[f"{point}-{kind.__name__}" for point, kind in CASES]
)
def test_operations_on_versions_until_one_is_cut_short(
    stage: Stage, point: FailPoint, cut: type[VersionedOperation]
) -> None:
    operations = [kind(stage) for kind in VERSIONED_OPERATIONS]
    place = VERSIONED_OPERATIONS.index(cut)
    acknowledged, operation, rest = operations[:place], operations[place], operations[place + 1 :]
    victim = Victim(stage.running, stage.front, point)
    victim.arm(1 + sum(passes(kind, point) for kind in VERSIONED_OPERATIONS[:place]))
    for earlier in acknowledged:
        assert earlier.run().status == earlier.status
    response = cut_short(operation, victim, point)
    for earlier in acknowledged:
        assert earlier.happened(), type(earlier)
    happened = operation.happened()
    told = response is not None and response.status == operation.status
    assert happened == (told or point in HAPPENED)
    stage.unowned += operation.stores_data and point in UNOWNED and not happened
    for later in rest if happened else (operation, *rest):
        assert not later.happened()
        assert later.run().status == later.status
        assert later.happened(), type(later)
    stage.assert_consistent()
    assert_metadata_is_well(stage.running.folder / "metadata")
    for done in operations:
        done.remove()
    stage.assert_consistent()


def cut_short(operation: VersionedOperation, victim: Victim, point: FailPoint) -> Response | None:
    """What the client is told, None when it is told nothing. All that died lives again.

    The metadata daemon comes back while the front-end waits for it, and may tell what became of
    the commit; or do it, when it was none.
    """
    with ThreadPoolExecutor(1) as client:
        told = client.submit(outcome, operation)
        if point not in METADATA_POINTS:
            told.result()
        victim.wait_for_death()
        victim.revive()
        return told.result()
