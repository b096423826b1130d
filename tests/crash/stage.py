"""Where operations are cut short at fail-points, and what that is to leave behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.failpoints import FailPoint
from tests.api.support import new_name
from tests.crash.operations import Operation
from tests.faults.stores import Stores, assert_consistent, assert_settled
from tests.raw_http import Response, call
from tests.servers import Cluster, Front, cluster

HAPPENED = frozenset(
    (
        FailPoint.AFTER_COMMIT,
        FailPoint.AFTER_RECORD_COMMIT,
        FailPoint.AFTER_CLOSING_SLICE,
        FailPoint.AFTER_UPLOAD_CLOSED,
    )
)
"""The fail-points at which the commit that decides lies in the past."""

UNOWNED = frozenset(
    (
        # What a killed process has written is there: only a machine that stops loses it.
        FailPoint.AFTER_SEGMENT_WRITE,
        FailPoint.AFTER_SEGMENT_FSYNC,
        FailPoint.AFTER_DATA_LINK,
        FailPoint.AFTER_DIRECTORY_FSYNC,
        FailPoint.AFTER_DATA_STORED,
        FailPoint.BEFORE_COMMIT,
    )
)
"""Those at which a blob exists, and no record."""

UNOWNED_IN_ONE_HOP = frozenset(
    (FailPoint.AFTER_SEGMENT_WRITE, FailPoint.AFTER_SEGMENT_FSYNC, FailPoint.BEFORE_COMMIT)
)
"""The same where a blob comes with the commit: nothing is stored before that."""


class Stage:
    """A cluster of one front-end and no background work, which many cases use one by one."""

    def __init__(self, running: Cluster) -> None:
        self.running = running
        self.front: Front = running.fronts[0]
        self.unowned = 0
        """Blobs that the cases so far have left to nobody."""
        self.bucket = new_name()
        assert call(self.front, "PUT", f"/{self.bucket}").status == 200

    def assert_consistent(self) -> Stores:
        return assert_consistent(self.running, self.unowned)

    def assert_repeatable(self, operation: Operation, *, happened: bool, unowned: bool) -> None:
        """The operation, which was cut short, has ``happened`` or not, and has or has not left an
        ``unowned`` blob. It succeeds when it is repeated."""
        assert operation.happened() == happened
        self.unowned += unowned
        self.assert_consistent()
        repeated = operation.run()
        assert repeated.status == (operation.repeated_status if happened else operation.status)
        assert operation.happened()
        self.assert_consistent()


@contextmanager
def stage_in(folder: Path, more: Mapping[str, Any]) -> Iterator[Stage]:
    """A stage with these settings of its daemons. When it ends, the background work is done,
    and nothing may be left but what the cases have left to nobody."""
    settings = {"deleteDelaySeconds": 0, **more}
    with cluster(folder, fronts=0, settings=settings) as running:
        # A front-end waits so long for a daemon to come back and tell what became of a commit.
        running.add_front(settings={"metadataClient": {"callTimeoutMs": 2500}})
        stage = Stage(running)
        yield stage
        assert_settled(running, unowned_max=stage.unowned)


def outcome(operation: Operation) -> Response | None:
    """The response, None when the connection was closed without one."""
    try:
        return operation.run()
    except ConnectionError:
        return None
