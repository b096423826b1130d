"""Python imports this by itself at its start, in the processes that ``tests.bench.instructions``
starts with this folder on their path.

LMDB is asked for a map of 1 TiB, of which pages come to be as they are used; Valgrind has 128 GiB
of addresses for all of a process.
"""

from __future__ import annotations

from typing import Any

import lmdb

_open = lmdb.open


def _open_small(*arguments: Any, **options: Any) -> lmdb.Environment:
    return _open(*arguments, **{**options, "map_size": 16 << 30})


lmdb.open = _open_small  # type: ignore[assignment]  # a class, of which nobody asks more
