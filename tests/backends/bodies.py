"""Bytes for objects, each of them unlike any other place in the same body."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
PART: Final = 5 * MIB
"""The least size of every part but the last."""

SIZES: Final = (
    0,
    1,
    *(unit + more for unit in (64 * KIB, 256 * KIB, MIB) for more in (-1, 0, 1)),
    6 * MIB,
)


@lru_cache(maxsize=32)
def body_of_size(size: int, seed: int = 0) -> bytes:
    """So many bytes, the same each time."""
    return random.Random(f"{size} {seed}").randbytes(size)
