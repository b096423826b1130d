"""A master key for each account (``defaultEncryptionKeyPerAccount``), of a keeper that makes some.

It is made when the first object of one of the account's buckets is encrypted that names no key of
its own, and remembered in the metadata (``..accountKeys``), by keeper and account. Of two processes
that make one at the same time, the one that is remembered first is the account's; the other key is
used by nobody, and the log names it.
"""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from s3front.keys.base import MasterKeys
from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.names import ACCOUNT_KEYS, SPLITTER
from shared.records.times import now, to_iso

KNOWN_MAX: Final = 10_000
_REQUEST_ID: Final = "account-keys"


class AccountKeys:
    """See the module."""

    def __init__(self, metadata: MetadataGateway, keeper: MasterKeys, log: EventLog) -> None:
        self._metadata = metadata
        self.keeper = keeper
        self._log = log
        self._known: dict[str, str] = {}
        self._making = asyncio.Lock()

    async def key_of(self, account: str) -> str:
        """The ID of the key of an account, by its canonical ID. Raises S3Error."""
        known = self._known.get(account)
        if known is not None:
            return known
        async with self._making:
            found = await self._read(account) or await self._make(account)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[account] = found
        return found

    async def _read(self, account: str) -> str | None:
        (entry,) = await self._metadata.get_each([(ACCOUNT_KEYS, self._name(account))], _REQUEST_ID)
        key_id = None if entry is None else entry.document.get("key")
        if entry is not None and not isinstance(key_id, str):
            # Another key in its place would be as good as a lost one.
            self._log.error("the key of an account cannot be read", account=account)
            raise S3Error("InternalError")
        return key_id

    async def _make(self, account: str) -> str:
        key_id = await self.keeper.create(f"Twofold: account {account}")
        record = orjson.dumps({"key": key_id, "created": to_iso(now())}).decode()
        operation = gateway.put(ACCOUNT_KEYS, self._name(account), record)
        try:
            requires = [gateway.is_absent(ACCOUNT_KEYS, self._name(account))]
            await self._metadata.commit([operation], requires, _REQUEST_ID)
        except ChangedError:
            self._log.warning(
                "a master key was made that nobody uses", keeper=self.keeper.name, key=key_id
            )
            found = await self._read(account)
            if found is None:
                raise S3Error("ServiceUnavailable") from None
            return found
        return key_id

    def _name(self, account: str) -> str:
        return f"{self.keeper.name}{SPLITTER}{account}"
