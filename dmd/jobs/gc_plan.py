"""What garbage collection does with a blob. Pure.

The blobs are listed first, and all metadata is read afterwards, in one snapshot. So a blob that is
listed and that the snapshot does not name is garbage, or it was made for a record that is still to
be committed. The grace tells them apart: front-ends commit no blob that is older than half of it
(``Config.commit_seconds_max``), and the other half covers the commit itself.

Garbage is put into quarantine, where it stays until a later collection, with a later snapshot,
finds it unnamed again and the time of quarantine over. Whoever opens it meanwhile takes it out. So
even a clock that was wrong when a blob was made removes none that a record names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EXAMPLES_MAX: Final = 10


class Verdict(StrEnum):
    """What is done with a blob."""

    KEEP = "keep"
    """A record names it."""
    SPARE = "spare"
    """No record names it, and it is too young to tell."""
    QUARANTINE = "quarantine"
    """It is garbage."""
    WAIT = "wait"
    """It is garbage in quarantine, and stays there for now."""
    PURGE = "purge"
    """It has been in quarantine for long enough: it is removed."""
    RESTORE = "restore"
    """It is in quarantine, and a record names it: something went wrong, and it is put back."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The time at which the listing began, and how long things take, all in milliseconds."""

    now_ms: int
    grace_ms: int
    quarantine_ms: int


@dataclass(frozen=True, slots=True)
class Blob:
    """A listed blob. ``named``: by a record; ``since_ms``: when it was put into quarantine, None if
    that is not known."""

    created_ms: int
    quarantined: bool
    named: bool
    since_ms: int | None = None


def judge(blob: Blob, waits: Waits) -> Verdict:
    """What to do with a blob."""
    if blob.named:
        return Verdict.RESTORE if blob.quarantined else Verdict.KEEP
    if blob.quarantined:
        # Where the time was lost, the wait begins again.
        since = waits.now_ms if blob.since_ms is None else blob.since_ms
        return Verdict.PURGE if since + waits.quarantine_ms < waits.now_ms else Verdict.WAIT
    if blob.created_ms + waits.grace_ms < waits.now_ms:
        return Verdict.QUARANTINE
    return Verdict.SPARE


@dataclass(slots=True)
class Tally:
    """Some blobs: how many, how many bytes, and the keys of a few."""

    blobs: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, key: str, size: int) -> None:
        """Count one."""
        self.blobs += 1
        self.bytes += size
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(key)


def ownership_problem(given: set[str], owners: set[str]) -> str | None:
    """Why the metadata stores that were given are not all that own the blobs; None if they are."""
    unknown = sorted(given - owners)
    if unknown:
        return (
            f"the data directory is not known to hold the blobs of metadata {', '.join(unknown)}; "
            "if it does, run `dmd gc --adopt` once"
        )
    absent = sorted(owners - given)
    if absent:
        return (
            f"the data directory also holds blobs of metadata {', '.join(absent)}: name that "
            "directory with --also-metadata, or, if it is gone for ever, run "
            "`dmd gc --disown` with its UUID"
        )
    return None
