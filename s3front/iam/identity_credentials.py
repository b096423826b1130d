"""Who signs with an access key: keys of the configuration, keys of users and accounts that the
metadata keep, and those of sessions.

*Rules*

1. A key of the configuration wins. It needs no metadata, and never waits.
2. A stored key is answered from memory. Its sealed secret is opened when it is first used, once for
   all that wait for it, and remembered as long as its record is the same; who that is, as long as
   none of the records behind it changes.
3. Before a key is refused, the metadata are asked whether there is something new: a key that was
   made, or enabled, a moment ago by another process is good at once. One that was withdrawn is good
   for ``LOOK_SECONDS`` more.
4. What cannot be known is no refusal. Without the metadata (``Directory.ready``), or without the
   master key that a secret is sealed by, the answer is that the service is unavailable.

A key that is disabled, has expired, or whose user is gone is answered as one that is not there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from s3front.auth.credential_sources import FileCredentials, Signer, Uses
from s3front.auth.identity import Principal
from s3front.iam.directory import Directory
from s3front.iam.kept_signers import KeptSigners
from s3front.iam.records import ACTIVE, AccessKey, secret_name
from s3front.keys.sealed_text import open_text
from s3front.keys.sealing import Keys
from s3front.metadata.kept_records import KeptRecords
from s3front.policies.policy_memory import document_memory
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.times import from_iso

SIGNERS_MAX: Final = 5_000
"""Who signs with so many keys is remembered, and"""
SIGNERS_BYTES_MAX: Final = 32 * 1024 * 1024
"""the memory that they and their policies take, as far as can be said, all in all."""

_SIGNER_BYTES: Final = 2_000
_RECORD_BYTES: Final = 200
"""Of a record behind it, which is remembered to see whether it is changed."""

SECRETS_MAX: Final = 10_000
"""Secrets that are remembered opened."""

_TRIES: Final = 3
_UNAVAILABLE: Final = 503


_Text = tuple[str, str | None]
"""The key of a record, and what it is."""


class _KeptSigner(msgspec.Struct):
    """``behind`` are the records that it is made of: keys and texts. Up to ``generation`` of the
    directory none of these has changed. ``expires`` is in seconds since 1970."""

    signer: Signer
    behind: Sequence[_Text]
    expires: float
    accounts: object
    generation: int


class _Opened(msgspec.Struct, frozen=True):
    """The secret of an access key, and the record that has it sealed."""

    record: str
    secret: str
    size: int = 1

    def __repr__(self) -> str:
        return "_Opened()"


class Sessions(Protocol):
    """Who knows the keys that come with a token."""

    async def find(self, access_key: str, token: str) -> Signer | None:
        """See ``Credentials``."""

    async def whose(self, access_key: str, token: str) -> Principal | None:
        """See ``Credentials``."""


class IdentityCredentials:
    """See the module. ``keys`` are the master keys that there are now; ``sessions`` know the keys
    that come with a token; ``uses`` are told of each use of a stored key."""

    def __init__(
        self,
        of_file: FileCredentials,
        directory: Directory,
        keys: Callable[[], Keys],
        log: EventLog,
        *,
        sessions: Sessions | None = None,
        uses: Uses | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._of_file = of_file
        self._directory = directory
        self._keys = keys
        self._log = log
        self._sessions: Sessions = of_file if sessions is None else sessions
        self._uses = uses
        self._clock = clock
        self._signers: KeptSigners[_KeptSigner] = KeptSigners(SIGNERS_MAX, SIGNERS_BYTES_MAX)
        self._secrets: KeptRecords[str, _Opened] = KeptRecords(SECRETS_MAX, SECRETS_MAX)
        self._opening: dict[tuple[str, str], asyncio.Task[str]] = {}

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        """See ``Credentials``."""
        signer = self._of_file.known(access_key)
        if signer is not None and session_token is None:
            return signer
        if signer is not None:
            return await self._of_file.find(access_key, session_token)
        if session_token is not None:
            return await self._sessions.find(access_key, session_token)
        await self._directory.ready()
        found = self._kept(access_key) or await self._made(access_key)
        if found is None:
            await self._directory.refresh()
            found = self._kept(access_key) or await self._made(access_key)
        return found

    async def whose(self, access_key: str, session_token: str | None = None) -> Principal | None:
        """See ``Credentials``."""
        signer = self._of_file.known(access_key)
        if signer is not None:
            return await self._of_file.whose(access_key, session_token)
        if session_token is not None:
            return await self._sessions.whose(access_key, session_token)
        await self._directory.ready()
        kept = self._kept(access_key)
        if kept is not None:
            return kept.principal
        record = self._good(access_key)
        return None if record is None else self._behind(record)[0]

    # --- Who signs -------------------------------------------------------------------------------

    def _kept(self, access_key: str) -> Signer | None:
        kept = self._signers.get(access_key)
        if kept is None:
            return None
        directory = self._directory
        if kept.generation != directory.generation:
            identities = directory.identities
            if kept.accounts is not directory.file_accounts or any(
                identities.text(key) is not text for key, text in kept.behind
            ):
                self._signers.forget(access_key)
                return None
            kept.generation = directory.generation
        return kept.signer if self._clock() < kept.expires else None

    async def _made(self, access_key: str) -> Signer | None:
        directory = self._directory
        for _ in range(_TRIES):
            record = self._good(access_key)
            if record is None:
                return None
            text = directory.identities.text(record.key)
            assert text is not None
            secret = await self._secret(record, text)
            if directory.identities.text(record.key) is text:
                return self._signer(record, secret)
        raise S3Error("ServiceUnavailable")  # it was changed each time, meanwhile

    def _good(self, access_key: str) -> AccessKey | None:
        """The record of a key that somebody may sign with at present."""
        record = self._directory.access_key(access_key)
        if record is None or record.status != ACTIVE:
            return None
        return record if self._clock() < _expires(record) else None

    def _behind(self, record: AccessKey) -> tuple[Principal | None, Sequence[_Text]]:
        """Who signs with a key, and the texts of all records that this is made of."""
        directory = self._directory
        principal: Principal | None = None
        behind = [(record.key, directory.identities.text(record.key))]
        if record.user_id is None:
            account = directory.account(record.account)
            if account is not None and record.id in account.access_keys:
                principal = directory.principal_of_account(account)
                behind.append((account.key, directory.identities.text(account.key)))
        else:
            user = directory.user_by_id(record.user_id)
            if user is not None and record.id in user.access_keys:
                principal = directory.principal_of_user(user)
                behind += directory.texts_behind(user)
        return principal, behind

    def _signer(self, record: AccessKey, secret: str) -> Signer | None:
        """Who signs with a key, of whom nothing is remembered."""
        directory = self._directory
        principal, behind = self._behind(record)
        if principal is None:
            return None
        use = None if self._uses is None else self._uses.of(record.id)
        signer = Signer(principal, secret, use)
        kept = _KeptSigner(
            signer,
            behind,
            _expires(record),
            directory.file_accounts,
            directory.generation,
        )
        size = _SIGNER_BYTES + _RECORD_BYTES * len(behind) + document_memory(principal.tags)
        self._signers.keep(record.id, kept, size, principal)
        return signer

    # --- Secrets -----------------------------------------------------------------------------

    async def _secret(self, record: AccessKey, text: str) -> str:
        """The secret of a key, whose record is this text."""
        opened = self._secrets.get(record.id)
        if opened is not None and opened.record is text:
            return opened.secret
        opening = self._opening.get((record.id, text))
        if opening is None:
            opening = asyncio.get_running_loop().create_task(self._open(record, text))
            self._opening[record.id, text] = opening
        # Whoever goes away must not take the answer from the others.
        return await asyncio.shield(opening)

    async def _open(self, record: AccessKey, text: str) -> str:
        try:
            secret = await open_text(self._keys(), record.secret, secret_name(record.id))
            self._secrets.keep(record.id, _Opened(text, secret))
            return secret
        except S3Error as error:
            # The client can do nothing about it, nor is it refused.
            if error.status != _UNAVAILABLE:
                self._log.error(
                    "the secret of an access key cannot be opened",
                    access_key=record.id,
                    reason=str(error.__cause__ or error),
                )
                raise S3Error("ServiceUnavailable") from error
            raise
        finally:
            del self._opening[record.id, text]


def _expires(record: AccessKey) -> float:
    """The time from which on a key is good no more, in seconds since 1970."""
    return math.inf if record.expires is None else from_iso(record.expires).timestamp()
