"""What background work is doing: whoever holds its leases, what they say, and the dead letters.

It is read from the metadata, so that it can be asked for on any host. No two clocks are compared:
a holder is alive that writes its lease again while the question is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from s3front.metadata.gateway import Found, MetadataGateway
from s3front.work.dead_letters import DeadLetter, dead_letters
from s3front.work.job_lease import LOOK_SECONDS, RENEW_SECONDS, holder_in
from shared.records.names import LEASES, WORK_STATUS

WATCH_SECONDS_MAX: Final = 2 * (RENEW_SECONDS + LOOK_SECONDS)
"""How long a holder that writes nothing is believed to be alive: twice as long as one may take."""

_BETWEEN_LOOKS_SECONDS: Final = 0.2
_REQUEST_ID: Final = "work-status"

NOBODY, FAILING, WORKING = "nobody", "failing", "working"


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """``state`` is one of NOBODY, FAILING, WORKING; ``said`` is what the worker told last."""

    name: str
    state: str
    holder: str | None
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WorkReport:
    """``letters`` are the first of the dead letters, ``letters_by_queue`` counts all of them."""

    workers: Sequence[WorkerReport]
    letters_by_queue: dict[str, int] = field(default_factory=dict)
    letters: Sequence[DeadLetter] = ()

    @property
    def is_well(self) -> bool:
        """Whether all work is done, and nothing waits for an operator."""
        working = all(worker.state == WORKING for worker in self.workers)
        return working and not self.letters_by_queue


async def report(metadata: MetadataGateway, workers: Sequence[str], letters_max: int) -> WorkReport:
    """Look at these workers, which takes a few seconds, and at dead letters. Raises S3Error."""
    leases = [(LEASES, name) for name in workers]
    before = await metadata.get_each(leases, _REQUEST_ID)
    counts: Counter[str] = Counter()
    letters: list[DeadLetter] = []
    async with aclosing(dead_letters(metadata)) as found:
        async for letter in found:
            counts[letter.queue] += 1
            if len(letters) < letters_max:
                letters.append(letter)
    now = await _watch(metadata, leases, before)
    said = await metadata.get_each([(WORK_STATUS, name) for name in workers], _REQUEST_ID)
    reports = []
    for name, old, new, told in zip(workers, before, now, said, strict=True):
        document = {} if told is None else told.document
        holder = None if new is None else holder_in(new)
        state = NOBODY
        if holder is not None and new != old:
            state = FAILING if "failures" in document else WORKING
        reports.append(WorkerReport(name, state, holder, document))
    return WorkReport(reports, dict(counts), letters)


async def _watch(
    metadata: MetadataGateway,
    leases: Sequence[tuple[str, str]],
    before: Sequence[Found | None],
) -> list[Found | None]:
    """The leases as soon as those that are held were written again, or when it is late."""
    until = time.monotonic() + WATCH_SECONDS_MAX
    while True:
        now = await metadata.get_each(leases, _REQUEST_ID)
        unchanged = any(old == new for old, new in zip(before, now, strict=True) if old is not None)
        if not unchanged or time.monotonic() > until:
            return now
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
