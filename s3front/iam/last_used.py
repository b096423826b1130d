"""When access keys were used last, as GetAccessKeyLastUsed tells it.

Uses are taken down in memory, and written from time to time, many keys at once, each at most once
in ``AGAIN_SECONDS``: nobody waits for it, and a key that is used a thousand times a second costs no
more than one that is used once. A process that dies takes what is not yet written with it.

They stand in a sub-level of their own, so that no front-end hears of them as of changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

import msgspec

from s3front.auth.credential_sources import Use
from s3front.iam.records import access_key_key
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, MetadataGateway
from s3front.s3_errors import S3Error
from shared.records.names import IAM, IAM_LAST_USED
from shared.records.times import from_iso, now, to_iso

FLUSH_SECONDS: Final = 20.0
"""How often it is written."""

AGAIN_SECONDS: Final = 300.0
"""How long a key is not written again, by one process."""

NOTED_MAX: Final = 10_000
"""Keys of which is known when they were written."""

_COMMIT_RECORDS: Final = 200
"""And as many are read at once."""
_REQUEST_ID: Final = "last-used"


class LastUse(msgspec.Struct, frozen=True):
    """``at`` is a time in ISO 8601."""

    at: str
    service: str
    region: str


class LastUses:
    """See the module."""

    def __init__(
        self, metadata: MetadataGateway, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._waiting: dict[str, LastUse] = {}
        self._written_at: dict[str, float] = {}

    def of(self, access_key: str) -> Use:
        """What is told of the uses of a key."""

        def used(service: str, region: str) -> None:
            if access_key in self._waiting:
                return
            at = self._written_at.get(access_key)
            if at is not None and self._clock() - at < AGAIN_SECONDS:
                return
            if len(self._waiting) < NOTED_MAX:
                self._waiting[access_key] = LastUse(to_iso(now()), service, region)

        return used

    async def run(self) -> NoReturn:
        """Write for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits; what cannot be written now waits on."""
        while self._waiting:
            keys = list(self._waiting)[:_COMMIT_RECORDS]
            batch = {key: self._waiting.pop(key) for key in keys}
            try:
                await self._write(batch)
            except S3Error:
                self._waiting = {**batch, **self._waiting}
                return
            if len(self._written_at) + len(batch) > NOTED_MAX:
                self._written_at.clear()
            self._written_at.update(dict.fromkeys(batch, self._clock()))

    async def _write(self, batch: Mapping[str, LastUse]) -> None:
        """Write some, as far as their keys are still there, and nobody has written a later use."""
        wanted = [(IAM_LAST_USED, key) for key in batch]
        found = await self._metadata.get_each(wanted, _REQUEST_ID)
        left = {
            key: use
            for (key, use), entry in zip(batch.items(), found, strict=True)
            if entry is None or str(entry.document.get("at", "")) <= use.at
        }
        while left:
            puts = [
                gateway.put(IAM_LAST_USED, key, msgspec.json.encode(use).decode())
                for key, use in left.items()
            ]
            requires = [gateway.is_present(IAM, access_key_key(key)) for key in left]
            try:
                await self._metadata.commit(puts, requires, _REQUEST_ID)
            except ChangedError as error:
                del left[list(left)[error.index]]
            else:
                return


async def last_use(
    metadata: MetadataGateway, access_key: str, request_id: str = _REQUEST_ID
) -> LastUse | None:
    """When a key was used last, as far as it is written; None: never. Raises S3Error."""
    return (await last_uses(metadata, [access_key], request_id)).get(access_key)


async def last_uses(
    metadata: MetadataGateway, access_keys: Sequence[str], request_id: str = _REQUEST_ID
) -> Mapping[str, LastUse]:
    """The same of many keys; without those that were never used. Raises S3Error."""
    uses: dict[str, LastUse] = {}
    for begin in range(0, len(access_keys), _COMMIT_RECORDS):
        part = access_keys[begin : begin + _COMMIT_RECORDS]
        found = await metadata.get_each([(IAM_LAST_USED, key) for key in part], request_id)
        for key, entry in zip(part, found, strict=True):
            use = None if entry is None else _use_of(entry)
            if use is not None:
                uses[key] = use
    return uses


def _use_of(entry: Found) -> LastUse | None:
    try:
        use = msgspec.convert(entry.document, LastUse)
        from_iso(use.at)
    except (msgspec.ValidationError, ValueError):
        return None
    return use
