"""Master keys of services that nothing is to be under any more, in the metadata (``..keyJobs``).

A key file says itself which of its keys are retired. Of a service's the operator says it (``s3front
keys rotate``, ``retire``); background work then wraps what is under them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, MetadataGateway
from s3front.s3_errors import S3Error
from shared.records.names import KEY_JOBS
from shared.records.times import now, to_iso

RETIRED: Final = "retired"
"""The key of the record."""

_REQUEST_ID: Final = "retired-keys"
_TRIES: Final = 5


class RetiredKeys:
    """See the module. Every method raises S3Error when the daemon is away."""

    def __init__(self, metadata: MetadataGateway) -> None:
        self._metadata = metadata

    async def every(self) -> tuple[str, ...]:
        """Their names, as records have them."""
        found, _ = await self._read()
        return tuple(sorted(found))

    async def since(self, key_id: str) -> str | None:
        """When a key was retired (ISO 8601); None for one that is not."""
        found, _ = await self._read()
        return found.get(key_id)

    async def add(self, key_id: str) -> None:
        """Retire a key."""
        await self._change(lambda found: {key_id: to_iso(now()), **found})

    async def remove(self, key_id: str) -> None:
        """It is gone, or used again."""
        await self._change(lambda found: {k: when for k, when in found.items() if k != key_id})

    async def _read(self) -> tuple[dict[str, str], int | None]:
        (found,) = await self._metadata.get_each([(KEY_JOBS, RETIRED)], _REQUEST_ID)
        if found is None:
            return {}, None
        return retired_of(found), found.revision

    async def _change(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        for _ in range(_TRIES):
            found, revision = await self._read()
            changed = change(found)
            if changed == found:
                return
            put = gateway.put(KEY_JOBS, RETIRED, orjson.dumps({"keys": changed}).decode())
            required = (
                gateway.is_absent(KEY_JOBS, RETIRED)
                if revision is None
                else gateway.has_revision(KEY_JOBS, RETIRED, revision)
            )
            try:
                await self._metadata.commit([put], [required], _REQUEST_ID)
            except ChangedError:
                continue
            return
        raise S3Error("ServiceUnavailable", "somebody else changes the retired keys all the time")


def retired_of(found: Found | None) -> dict[str, str]:
    """What their record says: which keys are retired, and since when."""
    keys = None if found is None else found.document.get("keys")
    known = keys if isinstance(keys, dict) else {}
    return {str(key): str(when) for key, when in known.items()}
