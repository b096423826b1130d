"""What a scrub decides: whether a blob is well, how fast to read, and where to go on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

DAMAGE_MAX: Final = 10_000
"""Damaged blobs that a report tells one by one; more are counted."""

_STATE_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a blob brought: length and MD5 of its bytes, or why it cannot be read."""

    size: int = 0
    md5: str = ""
    problem: str | None = None


def damage_of(size: int, md5: str | None, reading: Reading) -> str | None:
    """What is wrong with a blob of which a record says ``size`` and perhaps ``md5``."""
    if reading.problem is not None:
        return reading.problem
    if reading.size != size:
        return f"it has {reading.size} bytes instead of {size}"
    if md5 is not None and reading.md5 != md5:
        return f"the MD5 of its bytes is {reading.md5} instead of {md5}"
    return None


@dataclass(frozen=True, slots=True)
class Damage:
    """A blob that is not well, and the record that names it; no blob if it is the record."""

    sub_level: Sequence[str]
    key: str
    version: str | None
    blob: str
    reason: str


@dataclass(slots=True)
class ScrubState:
    """How far a scrub has come. ``cursor`` is the last physical key that is done, in hex; empty at
    the beginning; ``unverified`` counts the blobs without a known digest."""

    metadata: str
    cursor: str = ""
    complete: bool = False
    blobs: int = 0
    bytes: int = 0
    unverified: int = 0
    damaged: int = 0
    damage: list[Damage] = field(default_factory=list)

    def found(self, damage: Damage) -> None:
        """Note a damaged blob."""
        self.damaged += 1
        if len(self.damage) < DAMAGE_MAX:
            self.damage.append(damage)

    def document(self) -> dict[str, Any]:
        """For a file or a report."""
        return {"scrub": _STATE_FORMAT, **asdict(self)}


def parse_state(document: Any, metadata: str) -> ScrubState:
    """The state that ``document`` was made of, or a new one, if that scrub was complete.

    Raises ValueError when it is none, or one of other metadata.
    """
    try:
        members = dict(document)
        known = members.pop("scrub") == _STATE_FORMAT
        members["damage"] = [Damage(**entry) for entry in members["damage"]]
        state = ScrubState(**members)
        bytes.fromhex(state.cursor)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it is no state of a scrub") from error
    if not known:
        raise ValueError("it is of another release")
    if state.metadata != metadata:
        raise ValueError(f"it is of metadata {state.metadata}, this is {metadata}")
    return ScrubState(metadata) if state.complete else state


class Pace:
    """Keeps to a number of bytes a second; what was not read in time is not made up for."""

    def __init__(self, bytes_a_second: float, now: float) -> None:
        self._rate = bytes_a_second
        self._free_at = now

    def pause(self, count: int, now: float) -> float:
        """The seconds to wait after reading ``count`` bytes, before reading more."""
        self._free_at = max(self._free_at, now - 1.0) + count / self._rate
        return max(0.0, self._free_at - now)
