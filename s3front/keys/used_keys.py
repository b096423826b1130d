"""Which master keys were ever used: their names, as records have them (``file:2026-a1b2``), in the
metadata (``..masterKeys``).

A name is written before the first object is sealed by its key, so that a key that is lost is missed
by whoever starts, and a backup of the metadata says which keys it needs, without a look at all
records. It goes when the key is removed, which is when no record names it any more. With the name
of a key of a key file stands what tells it from another one (``keyring_file.secret_check``): where
two hosts have made keys of one name, the second of them seals nothing.

Whoever goes on using a key looks every ``LOOK_SECONDS`` whether it is noted still, and which keys
of services were retired meanwhile: those are given out no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from s3front.encryption.key_wrapping import WrappingKey
from s3front.keys.base import KeyContext, MasterKeys
from s3front.keys.file_keyring import KeyringKeeper
from s3front.keys.keyring_file import secret_check
from s3front.keys.retired_keys import RETIRED, retired_of
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.s3_errors import S3Error
from shared.records.names import KEY_JOBS, MASTER_KEYS
from shared.records.times import now, to_iso

LOOK_SECONDS: Final = 10.0

_REQUEST_ID: Final = "master-keys"
_NOTED_MAX: Final = 10_000
_CHECK: Final = "check"


class UsedKeys:
    """See the module. Every method raises S3Error when the daemon is away."""

    def __init__(
        self, metadata: MetadataGateway, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._looked_at: dict[str, float] = {}
        self.retired: Mapping[str, str] = {}
        """The keys of services that are, as it was found when a key was noted last."""

    def has(self, key_id: str) -> bool:
        """Whether this process knows that a key is noted."""
        looked_at = self._looked_at.get(key_id)
        return looked_at is not None and self._clock() - looked_at < LOOK_SECONDS

    async def note(self, key_id: str, check: str | None = None) -> None:
        """Note that a key is used from now on; ``check`` tells it from others, None: nothing does.
        Raises ServiceUnavailable when another one of this name is used already."""
        at = self._clock()
        if key_id in self._looked_at:
            self._looked_at[key_id] = at  # it was noted, and one request looks for all
        try:
            await self._note(key_id, check)
        except BaseException:
            self._looked_at.pop(key_id, None)
            raise
        if len(self._looked_at) >= _NOTED_MAX:
            self._looked_at.clear()
        self._looked_at[key_id] = at

    async def _note(self, key_id: str, check: str | None) -> None:
        wanted = [(MASTER_KEYS, key_id), (KEY_JOBS, RETIRED)]
        noted, retired = await self._metadata.get_each(wanted, _REQUEST_ID)
        self.retired = retired_of(retired)
        if noted is None:
            document = {"used": to_iso(now())} | ({} if check is None else {_CHECK: check})
            operation = gateway.put(MASTER_KEYS, key_id, orjson.dumps(document).decode())
            requires = [gateway.is_absent(MASTER_KEYS, key_id)]
            with suppress(ChangedError):
                await self._metadata.commit([operation], requires, _REQUEST_ID)
                return
            (noted,) = await self._metadata.get_each(wanted[:1], _REQUEST_ID)  # somebody has
        if check is not None and noted is not None and noted.document.get(_CHECK, check) != check:
            raise _another_key(key_id)

    async def forget(self, key_id: str) -> None:
        """A key is used no more. Who uses it all the same notes it again, after ``LOOK_SECONDS`` at
        the latest."""
        await self._metadata.commit([gateway.delete(MASTER_KEYS, key_id)], [], _REQUEST_ID)

    async def every(self) -> Mapping[str, Mapping[str, Any]]:
        """All that is noted, by the names of keys."""
        keys = await self._metadata.keys(MASTER_KEYS, {}, _REQUEST_ID)
        found = await self._metadata.get_each([(MASTER_KEYS, key) for key in keys], _REQUEST_ID)
        return {
            key: entry.document for key, entry in zip(keys, found, strict=True) if entry is not None
        }


async def missing_keys(used: UsedKeys, keepers: Mapping[str, MasterKeys]) -> Sequence[str]:
    """The names of keys that were used and that are not in their key file any more, or whose keeper
    is not set up. Keepers elsewhere are not asked. Raises S3Error."""
    missing = []
    for key_id, document in (await used.every()).items():
        name, _, its_own = key_id.partition(":")
        keeper = keepers.get(name)
        if keeper is None:
            missing.append(key_id)
        elif isinstance(keeper, KeyringKeeper):
            check = keeper.check_of(its_own)
            if check is None or document.get(_CHECK, check) != check:
                missing.append(key_id)
    return missing


def _another_key(key_id: str) -> S3Error:
    error = S3Error("ServiceUnavailable")
    error.__cause__ = RuntimeError(
        f"the master key {key_id} of this key file is another one than that of this name which "
        "objects are encrypted by: use one key file on all hosts"
    )
    return error


class Noted:
    """A keeper that notes the keys that it gives out for new objects, before it does. In the place
    of a key that was retired it gives out the current one, as a key file does by itself."""

    def __init__(self, keeper: MasterKeys, used: UsedKeys) -> None:
        self._keeper = keeper
        self._used = used

    @property
    def name(self) -> str:
        return self._keeper.name

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        key = await self._noted(key_id, context)
        if key_id is not None and key.key_id in self._used.retired:
            return await self._noted(None, context)
        return key

    async def _noted(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        key = await self._keeper.wrapping_key(key_id, context)
        if not self._used.has(key.key_id):
            # The secret of what a service gives out is a new one each time.
            check = None if key.wrapped else secret_check(key.secret)
            await self._used.note(key.key_id, check)
        return key

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        return await self._keeper.opened(key_id, wrapped, context)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        return await self._keeper.open_original(key_id, ciphered)

    async def create(self, description: str) -> str:
        return await self._keeper.create(description)

    async def look(self) -> str | None:
        return await self._keeper.look()

    async def close(self) -> None:
        await self._keeper.close()
