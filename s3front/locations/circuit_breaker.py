"""The circuit breaker of one place: whether it is asked at all while it fails.

Closed, everything is asked. After ``FAILURES_IN_A_ROW``, or when half of the last ``WINDOW``
answers were failures, it opens: nothing is asked for a while, so that nobody waits for what will
not come. Then it is half-open: one request is let through to try; its success closes the circuit,
its failure opens it again for twice as long, ``REST_SECONDS_MAX`` at most, plus up to a quarter, so
that many processes do not try all at once.

A place that comes and goes is left alone for longer each time: only when the circuit has stayed
closed for ``CALM_SECONDS`` does it begin with the shortest rest again.

A try that takes long, because its client does, must not keep the place shut: after
``TRY_SECONDS_MAX`` another one is let through. What was asked before the circuit opened says
nothing about the place as it is now, so that its end changes nothing.

Pure: it is told what happened, and asks a clock, in seconds.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

import msgspec

FAILURES_IN_A_ROW: Final = 5
WINDOW: Final = 40
WINDOW_LEAST: Final = 20
"""Of fewer answers than these, no share is taken."""

REST_SECONDS_MIN: Final = 1.0
REST_SECONDS_MAX: Final = 30.0
CALM_SECONDS: Final = 60.0
TRY_SECONDS_MAX: Final = 10.0


class CircuitState(Enum):
    """As metrics and reports name it."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Leave(msgspec.Struct, frozen=True, gc=False):
    """Leave to ask, as ``admit`` gives it: of which time between two changes, and whether it is a
    try."""

    period: int
    is_try: bool


class CircuitBreaker:
    """See the module. ``chance`` returns numbers from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float], chance: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._period = 0
        self._in_a_row = 0
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._rest_seconds = REST_SECONDS_MIN
        self._calm_at = -math.inf
        """When it will have been closed for long enough."""
        self._try_at = 0.0
        self._try_until = 0.0
        self.state = CircuitState.CLOSED
        self.reason = ""
        """Why it is not closed."""

    @property
    def is_shut(self) -> bool:
        """Whether nothing would be admitted now."""
        match self.state:
            case CircuitState.CLOSED:
                return False
            case CircuitState.OPEN:
                return self._clock() < self._try_at
            case CircuitState.HALF_OPEN:
                return self._clock() < self._try_until

    def admit(self) -> Leave | None:
        """Leave to ask; None while there is none."""
        if self.state is CircuitState.CLOSED:
            return Leave(self._period, is_try=False)
        if self.is_shut:
            return None
        self.state = CircuitState.HALF_OPEN
        self._try_until = self._clock() + TRY_SECONDS_MAX
        return Leave(self._period, is_try=True)

    def succeeded(self, leave: Leave) -> bool:
        """The place has answered, whatever it said; whether that has closed the circuit."""
        if leave.period != self._period:
            return False
        if self.state is CircuitState.CLOSED:
            self._in_a_row = 0
            self._window.append(True)
            return False
        self._change(CircuitState.CLOSED, "")
        self._calm_at = self._clock() + CALM_SECONDS
        return True

    def failed(self, leave: Leave, reason: str) -> bool:
        """The place was not there, or talked nonsense; whether that has opened the circuit, which
        was closed before."""
        if leave.period != self._period:
            return False
        if self.state is not CircuitState.CLOSED:
            self._open(reason, is_again=True)
            return False
        self._in_a_row += 1
        self._window.append(False)
        failures = self._window.count(False)
        is_half = len(self._window) >= WINDOW_LEAST and failures * 2 >= len(self._window)
        if self._in_a_row < FAILURES_IN_A_ROW and not is_half:
            return False
        self._open(reason, is_again=self._clock() < self._calm_at)
        return True

    def abandoned(self, leave: Leave) -> None:
        """Nobody will know what became of it: its client went away. Another one may try."""
        if leave.is_try and leave.period == self._period:
            self._try_until = 0.0

    def _open(self, reason: str, *, is_again: bool) -> None:
        self._change(CircuitState.OPEN, reason)
        longer = min(self._rest_seconds * 2, REST_SECONDS_MAX)
        self._rest_seconds = longer if is_again else REST_SECONDS_MIN
        rest_seconds = self._rest_seconds * (1 + self._chance() / 4)
        self._try_at = self._clock() + rest_seconds

    def _change(self, state: CircuitState, reason: str) -> None:
        self.state = state
        self.reason = reason
        self._period += 1
        self._in_a_row = 0
        self._window.clear()
