"""``limits`` of a location in ``locationConfig.json``: what one process asks of its place."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from shared.config.validation import Section
from shared.config.values import Rule

_MOST: Final = 10_000
_DEADLINE_SECONDS_MAX: Final = 600


def _whole(most: int) -> Rule:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ValueError(f"must be a whole number from 1 to {most}")
        return value

    return Rule(read)


class PlaceLimits(Section, frozen=True, kw_only=True):
    """For one location and one process."""

    calls_max: Annotated[int, _whole(_MOST)] = msgspec.field(default=64, name="maxCalls")
    """How many calls the place is asked at once."""

    bodies_max: Annotated[int, _whole(_MOST)] = msgspec.field(default=256, name="maxBodies")
    """How many bodies are read, and how many are written, at once, at the pace of clients."""

    deadline_seconds: Annotated[int, _whole(_DEADLINE_SECONDS_MAX)] = 30
    """How long it may be until an answer begins, and between two blocks of a body."""
