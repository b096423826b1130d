"""A master key for each account (``defaultEncryptionKeyPerAccount``), of a keeper that makes some.

It is made when the first object of one of the account's buckets is encrypted that names no key of
its own, and remembered in the metadata (``..accountKeys``), by keeper and account. Of two processes
that make one at the same time, the one that is remembered first is the account's; the other key is
used by nobody, and the log names it. In the place of one that was retired (``retired_keys``)
another one is made; processes look for that every ``LOOK_SECONDS`` while they use it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import orjson

from s3front.keys.base import MasterKeys
from s3front.keys.retired_keys import RETIRED, retired_of
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, MetadataGateway, Requirement
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.names import ACCOUNT_KEYS, KEY_JOBS, SPLITTER
from shared.records.times import now, to_iso

KNOWN_MAX: Final = 10_000
LOOK_SECONDS: Final = 10.0
_REQUEST_ID: Final = "account-keys"


class _Known(NamedTuple):
    key_id: str
    looked_at: float


class AccountKeys:
    """See the module."""

    def __init__(
        self,
        metadata: MetadataGateway,
        keeper: MasterKeys,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self.keeper = keeper
        self._log = log
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def key_of(self, account: str) -> str:
        """The ID of the key of an account, by its canonical ID. Raises S3Error."""
        known = self._is_known(account)
        if known is not None:
            return known
        # Nobody waits for the service because of another account.
        lock = self._looking.setdefault(account, asyncio.Lock())
        async with lock:
            known = self._is_known(account)
            if known is not None:
                return known
            looked_at = self._clock()
            found = await self._find(account)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[account] = _Known(found, looked_at)
        return found

    def _is_known(self, account: str) -> str | None:
        known = self._known.get(account)
        if known is None or self._clock() - known.looked_at >= LOOK_SECONDS:
            return None
        return known.key_id

    async def _find(self, account: str) -> str:
        name = self._name(account)
        wanted = [(ACCOUNT_KEYS, name), (KEY_JOBS, RETIRED)]
        entry, retired = await self._metadata.get_each(wanted, _REQUEST_ID)
        if entry is None:
            return await self._make(account, gateway.is_absent(ACCOUNT_KEYS, name))
        key_id = self._key_in(entry, account)
        if f"{self.keeper.name}:{key_id}" not in retired_of(retired) or entry.revision is None:
            return key_id
        return await self._make(account, gateway.has_revision(ACCOUNT_KEYS, name, entry.revision))

    def _key_in(self, entry: Found, account: str) -> str:
        key_id = entry.document.get("key")
        if not isinstance(key_id, str):
            # Another key in its place would be as good as a lost one.
            self._log.error("the key of an account cannot be read", account=account)
            raise S3Error("InternalError")
        return key_id

    async def _make(self, account: str, required: Requirement) -> str:
        key_id = await self.keeper.create(f"Twofold: account {account}")
        record = orjson.dumps({"key": key_id, "created": to_iso(now())}).decode()
        operation = gateway.put(ACCOUNT_KEYS, self._name(account), record)
        try:
            await self._metadata.commit([operation], [required], _REQUEST_ID)
        except ChangedError:
            self._log.warning(
                "a master key was made that nobody uses", keeper=self.keeper.name, key=key_id
            )
        else:
            return key_id
        wanted = [(ACCOUNT_KEYS, self._name(account))]
        (entry,) = await self._metadata.get_each(wanted, _REQUEST_ID)
        if entry is None:
            raise S3Error("ServiceUnavailable")
        return self._key_in(entry, account)

    def _name(self, account: str) -> str:
        return f"{self.keeper.name}{SPLITTER}{account}"


async def account_keys(metadata: MetadataGateway) -> Collection[str]:
    """The keys that accounts have, as records name them. Raises S3Error."""
    return {key for key, _, _ in await _every(metadata)}


async def forget_account_key(metadata: MetadataGateway, key_id: str) -> None:
    """Have an account that did nothing since its key was retired make another one. Raises
    S3Error."""
    for key, name, revision in await _every(metadata):
        if key == key_id and revision is not None:
            requires = [gateway.has_revision(ACCOUNT_KEYS, name, revision)]
            try:
                deletion = gateway.delete(ACCOUNT_KEYS, name)
                await metadata.commit([deletion], requires, _REQUEST_ID)
            except ChangedError:
                pass  # it has another one by now


async def _every(metadata: MetadataGateway) -> list[tuple[str, str, int | None]]:
    """Keys, as records name them; the names of their records, and their revisions."""
    names = await metadata.keys(ACCOUNT_KEYS, {}, _REQUEST_ID)
    found = await metadata.get_each([(ACCOUNT_KEYS, name) for name in names], _REQUEST_ID)
    return [
        (f"{name.partition(SPLITTER)[0]}:{entry.document.get('key')}", name, entry.revision)
        for name, entry in zip(names, found, strict=True)
        if entry is not None
    ]
