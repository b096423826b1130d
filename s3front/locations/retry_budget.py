"""How often a place is asked again, and after what pause. Pure.

A place that fails is not helped by being asked more often than usual. So every request pays a tenth
of a try into the budget of its location, which holds ``TRIES_KEPT_MAX`` at most, and each further
try takes one out of it: over time there are at most a tenth more requests than clients make.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

TRIES_KEPT_MAX: Final = 10.0
TRIES_PER_REQUEST: Final = 0.1

TRIES_MAX: Final = 4
"""How often a request is sent in all."""

PAUSE_SECONDS_MIN: Final = 0.1
PAUSE_SECONDS_MAX: Final = 5.0


class RetryBudget:
    """See the module. ``chance`` returns numbers from 0 to 1."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._tries = TRIES_KEPT_MAX

    def note_request(self) -> None:
        """A request of a client begins."""
        self._tries = min(self._tries + TRIES_PER_REQUEST, TRIES_KEPT_MAX)

    def pause_seconds(self, tries: int, seconds_left: float) -> float | None:
        """How long to wait before the next try after so many that failed; None when there is to be
        none, or no time for one. The pause is anything up to twice as much each time, so that
        those that failed together do not come again together."""
        most = min(PAUSE_SECONDS_MIN * float(2**tries), PAUSE_SECONDS_MAX)
        pause = most * self._chance()
        if tries >= TRIES_MAX or pause >= seconds_left or self._tries < 1:
            return None
        self._tries -= 1
        return pause
