"""Why requests were refused lately, for whoever is asked: by their request IDs.

Noting waits for nothing. Some times a minute, and only if there is something, what was noted goes
into the sub-level ``REFUSALS`` in one commit. It is a help and no record of anything: of more than
a bounded number in that time the later ones are dropped, those of anybody first, and what cannot be
written is dropped as well. So whoever sends what is refused, as fast as he can, fills some tens of
MiB. A key begins with the period of wall-clock time in which it was written, so that old ones are
removed as a range (``s3front.work.old_periods``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.s3_errors import S3Error
from shared.records.names import REFUSALS

ANYBODY: Final = "*"
"""The caller of a request that nobody has signed."""

PERIOD_SECONDS: Final = 600
PERIODS_KEPT: Final = 6
"""Periods in which a refusal is found, so fifty minutes at least."""

NOTED_MAX: Final = 30
"""Refusals that are written at once, in each process,"""

ANONYMOUS_MAX: Final = 5
"""of which so many may be of requests that nobody has signed."""

WRITE_SECONDS: Final = 2.0

_TEXT_MAX: Final = 256
"""Characters of anything that a client chose."""

_REQUEST_ID: Final = "refusals"


class Refusal(msgspec.Struct, frozen=True, rename="camel"):
    """A request that was refused. ``time`` is ISO 8601; ``caller`` the ARN of who asked, ``*`` of
    anybody; ``reason`` in words, ``why`` its kind (``s3front.authz.reasons``); ``policy`` and
    ``statement`` name what decided, if one did."""

    request_id: str
    time: str
    operation: str
    caller: str
    peer: str
    action: str
    resource: str
    why: str
    reason: str
    layer: str = ""
    policy: str = ""
    statement: str = ""


class RefusalStore:
    """Of one process; ``run`` writes what was noted."""

    def __init__(self, metadata: MetadataGateway, clock: Callable[[], float] = time.time) -> None:
        self._metadata = metadata
        self._clock = clock
        self._noted: list[Refusal] = []
        self._of_anybody = 0

    def note(self, refusal: Refusal) -> None:
        """Have it written soon, unless there are too many."""
        is_anybody = refusal.caller == ANYBODY
        if len(self._noted) >= NOTED_MAX or (is_anybody and self._of_anybody >= ANONYMOUS_MAX):
            return
        self._of_anybody += is_anybody
        self._noted.append(refusal)

    async def run(self) -> NoReturn:
        """Write what is noted, for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what is noted."""
        noted, self._noted, self._of_anybody = self._noted, [], 0
        if not noted:
            return
        period = int(self._clock()) // PERIOD_SECONDS
        operations = [
            gateway.put(REFUSALS, _key(period, each.request_id), _text(each)) for each in noted
        ]
        try:
            await self._metadata.commit(operations, [], _REQUEST_ID)
        except (S3Error, ChangedError):
            return  # away or full: what was noted is of no use by the time it is back

    async def find(self, request_id: str) -> Refusal | None:
        """The refusal of a request; None where none is known, or none any more. Raises S3Error."""
        period = int(self._clock()) // PERIOD_SECONDS
        keys = [_key(period - age, request_id) for age in range(-1, PERIODS_KEPT)]
        found = await self._metadata.get_many([(REFUSALS, key) for key in keys], _REQUEST_ID)
        for entry in found:
            if entry is not None:
                return msgspec.json.decode(entry[0], type=Refusal)
        return None


def forgotten_before(now: float) -> str:
    """The keys before this one are looked for by nobody."""
    return _key(int(now) // PERIOD_SECONDS - PERIODS_KEPT, "")


def _key(period: int, request_id: str) -> str:
    return f"{period:012}.{request_id}"


def _text(refusal: Refusal) -> str:
    cut = {
        name: value[:_TEXT_MAX].encode("utf-8", "replace").decode()
        for name, value in msgspec.structs.asdict(refusal).items()
    }
    return msgspec.json.encode(Refusal(**cut)).decode()
