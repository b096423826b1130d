"""Segments of releases whose state codes were one bit apart: their deletions, in today's code.

Called by ``dmd.data.packed.packed_store`` at its start, a segment at a time, in the thread that
changes states, beside everything else. Doing it again does no harm. The directory remembers which
segments are left (``dmd.data.data_directory``), and forgets it when a pass has come to its end;
from then on an old "deleted" is damage to an old "live", and read as that.
"""

from __future__ import annotations

import os
from typing import Final

from dmd.data.packed.segment import scan, write_state
from shared.segment_records import State

_TODAYS: Final = {
    State.OLD_DELETED: State.DELETED,
    State.OLD_QUARANTINED: State.QUARANTINED,
}


def rewrite_states(descriptor: int, segment: int) -> int:
    """Give the records of a segment today's codes, durably; returns how many had another one.

    Blocks; raises OSError. A live record keeps the old code: that of a deleted one is far from it.
    """
    count = 0
    for record in scan(descriptor, segment):
        state = _TODAYS.get(record.state)
        if state is not None:
            write_state(descriptor, record, state)
            count += 1
    # Whatever the count is: a pass that was killed may have left what no disk has yet.
    os.fsync(descriptor)
    return count
