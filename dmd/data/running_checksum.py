"""The checksum of a blob that is read from its beginning to its end, in whatever slices. Pure."""

from __future__ import annotations


class RunningChecksum:
    """``wanted`` is the CRC-32 of the ``size`` bytes; None when nobody knows it, and then nothing
    is ever wrong, nor looked at."""

    __slots__ = ("_size", "_wanted", "reached", "value")

    def __init__(self, wanted: int | None, size: int) -> None:
        self._wanted = wanted
        self._size = size
        self.value = 0
        """That of the bytes before ``reached``."""
        self.reached = 0
        """Where the bytes begin that are still to be looked at."""

    def misses(self, start: int, end: int) -> bool:
        """Whether some of the bytes of a slice are to be looked at before it goes out: those from
        ``reached`` to its end. Not when bytes before it were left out: that is no reading of the
        whole."""
        return self._wanted is not None and start <= self.reached < end

    def advance(self, value: int, reached: int) -> None:
        """Note the checksum of all bytes before ``reached``."""
        self.value = value
        self.reached = reached

    @property
    def wrong(self) -> bool:
        """Whether all bytes were looked at, and are not those that were stored."""
        if self._wanted is None or self.reached < self._size:
            return False
        return self.value != self._wanted
