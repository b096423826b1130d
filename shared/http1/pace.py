"""A least rate: how long the other side of a connection may be waited for, all in all. Pure."""

from __future__ import annotations

from typing import Final

from shared import limits

_RATE: Final = limits.LEAST_RATE_BYTES


class Pace:
    """Waits for a body, and what they brought.

    Beyond ``grace_seconds`` every second of waiting has to bring ``LEAST_RATE_BYTES``, on average:
    a peer that trickles is given up like one that has gone, and one that is slow, or pauses, is
    not. Time in which nobody waits for the peer does not count.
    """

    __slots__ = ("_grace_seconds", "moved", "waited")

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self.moved = 0
        """Bytes that have come, or gone."""
        self.waited = 0.0
        """Seconds."""

    @property
    def left(self) -> float:
        """How long it may be waited for from now on."""
        return self.left_with(0)

    def left_with(self, more: int) -> float:
        """The same, with so many bytes more."""
        return self._grace_seconds + (self.moved + more) / _RATE - self.waited
