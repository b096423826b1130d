"""A hold on deletions: while it lasts, no bytes go that any record has named since it began.

Theory of operation. Bytes are removed by what the deletion queue says, which front-ends read from
the metadata daemon. While somebody holds deletions, the daemon shows the queue as empty to them. A
worker that has read a part of the queue before goes on with that part: the records that named
those bytes were gone by then, and are in no copy that is made later. Garbage collection reads the
queue as records that name bytes, and is kept away altogether.

A hold is a shared lock on a file of the metadata directory, so it ends with the process that has
it, however that ends; and it outlives the daemon, so that a restart meanwhile changes nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FILE_NAME: Final = "hold"


@contextmanager
def deletions_held(metadata: Path) -> Iterator[None]:
    """Hold the deletions of a metadata directory. Raises OSError where there are no locks."""
    descriptor = os.open(metadata / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # at most a moment: a daemon that looks
        yield
    finally:
        os.close(descriptor)


def are_held(metadata: Path) -> bool:
    """Whether somebody holds deletions at this moment."""
    try:
        descriptor = os.open(metadata / FILE_NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # nobody can hold anything there
    finally:
        os.close(descriptor)
    return False
