"""The keys that session tokens are sealed by, as the metadata keep them: sealed by a master key.

The first is made by whoever needs it first, in a commit of which one succeeds. Every front-end
hears of it as of any other change of identities, and opens it once. When another one takes its
place (``replaced``), what was sealed by it stays good until it ends, unless all sessions are to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.records import SESSIONS_KEY, SealedKey, SealingKeys, sealing_key_name
from s3front.iam.sessions import SealingKey, new_sealing_key
from s3front.iam.store import IdentityStore
from s3front.keys.sealed_text import open_text, seal_text
from s3front.keys.sealing import Keys
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.times import from_iso, now, to_iso

LONGEST_SESSION: Final = timedelta(hours=37)
"""A little more than the longest that there is (STS API reference, GetSessionToken)."""

KEPT_MAX: Final = 16
"""Keys that are kept for tokens that there are; of more, the sessions of the oldest end."""


class SealingKeyring:
    """See the module. ``keys`` are the master keys that there are now."""

    def __init__(
        self, directory: Directory, store: IdentityStore, keys: Callable[[], Keys], log: EventLog
    ) -> None:
        self._directory = directory
        self._store = store
        self._keys = keys
        self._log = log
        self._opened: dict[str, SealingKey] = {}
        self._lock = asyncio.Lock()

    async def current(self) -> SealingKey:
        """The key for new tokens; it is made if there is none. Raises S3Error: NotImplemented
        without a master key."""
        entry = self._first()
        if entry is None:
            await self._directory.refresh()
            entry = self._first()
        if entry is None:
            await self._make()
            entry = self._first()
        if entry is None:
            raise S3Error("ServiceUnavailable")
        return await self._open(entry)

    async def find(self, key_id: str) -> SealingKey | None:
        """The key of an ID; None: there is none. Raises ServiceUnavailable when it cannot be
        opened."""
        entry = self._entry(key_id)
        if entry is None:
            await self._directory.refresh()
            entry = self._entry(key_id)
        return None if entry is None else await self._open(entry)

    def has(self, key_id: str) -> bool:
        """Whether a key is known now; what it has sealed is good only as long as it is."""
        return self._entry(key_id) is not None

    def _entries(self) -> tuple[SealedKey, ...]:
        record = self._directory.identities.get(SealingKeys, SESSIONS_KEY)
        return () if record is None else record.keys

    def _first(self) -> SealedKey | None:
        return next(iter(self._entries()), None)

    def _entry(self, key_id: str) -> SealedKey | None:
        return next((each for each in self._entries() if each.id == key_id), None)

    async def _open(self, entry: SealedKey) -> SealingKey:
        opened = self._opened.get(entry.id)
        if opened is None:
            name = sealing_key_name(entry.id)
            try:
                text = await open_text(self._keys(), entry.secret, name)
            except S3Error as error:
                # The client can do nothing about it, nor is it refused.
                reason = str(error.__cause__ or error)
                self._log.error("the key of session tokens cannot be opened", reason=reason)
                raise S3Error("ServiceUnavailable") from error
            opened = self._opened[entry.id] = SealingKey(entry.id, bytes.fromhex(text))
        return opened

    async def _make(self) -> None:
        async with self._lock:
            if self._first() is not None:
                return
            entry = await sealed_key(self._keys())

            def decide(directory: Directory) -> Change[None]:
                if directory.identities.text(SESSIONS_KEY) is not None:
                    return Change({}, None)
                record = SealingKeys(keys=(entry,))
                return Change({record.key: record}, None)

            await self._store.change(decide)


def replaced(
    directory: Directory, entry: SealedKey, at: datetime, *, end_sessions: bool
) -> Change[int]:
    """Seal new tokens by another key from now on, which is ``at``; how many keys are kept for
    tokens that there are. ``end_sessions``: none is, so that all sessions are over. Pure."""
    record = directory.identities.get(SealingKeys, SESSIONS_KEY)
    kept: list[SealedKey] = []
    newer = at
    for each in () if record is None or end_sessions else record.keys:
        # Nothing was sealed by it since there was a newer one.
        if len(kept) < KEPT_MAX and newer > at - LONGEST_SESSION:
            kept.append(each)
        newer = from_iso(each.created)
    changed = SealingKeys(keys=(entry, *kept))
    return Change({changed.key: changed}, len(kept))


async def sealed_key(keys: Keys) -> SealedKey:
    """A new key, as the record has it. Raises S3Error: NotImplemented without a master key."""
    made = new_sealing_key()
    try:
        secret = await seal_text(keys, made.secret.hex(), sealing_key_name(made.key_id))
    except S3Error as error:
        if error.code == "NotImplemented":
            raise no_master_key() from error
        raise
    return SealedKey(id=made.key_id, secret=secret, created=to_iso(now()))


def no_master_key() -> S3Error:
    """Temporary credentials are asked for, and nothing can seal them."""
    return S3Error(
        "NotImplemented",
        "Temporary credentials are sealed by a master key, and this server has none. Its operator "
        "makes one by: s3front keys create",
    )
