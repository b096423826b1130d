"""What is counted of a location, and the plain value that reports and metrics are made of. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

import msgspec

LATENCY_BOUNDS_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""The upper bounds of the histogram; one more bucket has what took longer."""


class PlaceReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one process knows of a location since it began with it.

    ``latencies`` count requests by the time until their answer began, all tries included, those
    that failed as well; the last of them are above all bounds.
    """

    state: str
    """``closed``, ``open`` or ``half-open``: that of the circuit."""
    reason: str
    """Why it is not closed."""
    requests: int
    retries: int
    failures: Mapping[str, int]
    """How many requests have failed, by trouble (``remote_store.Trouble``); ``CROWDED`` are those
    that found no room, ``CUT_OFF`` those that came while the circuit was open."""
    opened: int
    closed: int
    """How often the circuit was."""
    running: int
    waiting: int
    limit: int
    """Calls that the place is asked now, that wait, and that it may be asked at once."""
    reading: int
    writing: int
    """Bodies that pass through this process now."""
    latency_seconds: float
    latencies: tuple[int, ...]


class PlaceCounters:
    """Counts; ``report`` makes the value."""

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.opened = 0
        self.closed = 0
        self.failures: dict[str, int] = {}
        self.latency_seconds = 0.0
        self.latencies = [0] * (len(LATENCY_BOUNDS_SECONDS) + 1)

    def note_failure(self, trouble: str) -> None:
        """A request has failed."""
        self.failures[trouble] = self.failures.get(trouble, 0) + 1

    def note_latency(self, seconds: float) -> None:
        """The answer to a request has begun after so long, or will not come."""
        self.latency_seconds += seconds
        self.latencies[bisect_left(LATENCY_BOUNDS_SECONDS, seconds)] += 1
