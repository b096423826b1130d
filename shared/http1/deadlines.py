"""Who is to be looked at when: a timer wheel. Pure, the clock is the caller's.

Connections have deadlines by the thousands, and nearly all are put off before they come: with
every request, and with every byte of a body. So a deadline that is put off costs nothing here:
whoever is looked at too early says when it is due now. Only one that comes before the next look has
to be told.
"""

from __future__ import annotations

import heapq
import math
from typing import Final, Protocol

NOT_WATCHED: Final = -math.inf
"""The next look at somebody that nobody looks at: no deadline comes before it."""


class Watched(Protocol):
    """Who has deadlines; ``look_at`` is when it is looked at next, for its wheel alone to set."""

    look_at: float

    def check(self, now: float) -> float:
        """Give up what is overdue; returns the next deadline, infinite when there is none."""

    def look_by(self, deadline: float) -> None:
        """Have it looked at by then, if it would be later."""


class Wheel:
    """Holds whom it was given, each at one time, in slots of ``tick_seconds``."""

    def __init__(self, tick_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._slots: dict[int, set[Watched]] = {}
        self._order: list[int] = []
        """A heap of the slots."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, watched: Watched, seconds: float) -> None:
        """Have somebody looked at by this time of the clock, and at no other; a tick later at
        most."""
        self.remove(watched)
        slot = self._slot(seconds)
        members = self._slots.get(slot)
        if members is None:
            members = self._slots[slot] = set()
            heapq.heappush(self._order, slot)
        members.add(watched)
        watched.look_at = seconds
        self._count += 1

    def remove(self, watched: Watched) -> None:
        """Look at somebody no more, if it is here."""
        if watched.look_at != NOT_WATCHED:
            self._slots[self._slot(watched.look_at)].remove(watched)
            watched.look_at = NOT_WATCHED
            self._count -= 1

    def take_due(self, now: float) -> list[Watched]:
        """Remove whose time has come, and return them."""
        due: list[Watched] = []
        while self._order and self._order[0] * self._tick_seconds <= now:
            due += self._slots.pop(heapq.heappop(self._order))
        for watched in due:
            watched.look_at = NOT_WATCHED
        self._count -= len(due)
        return due

    def _slot(self, seconds: float) -> int:
        return math.ceil(seconds / self._tick_seconds)
