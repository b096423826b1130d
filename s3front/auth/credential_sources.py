"""Where the secrets of access keys come from.

A source is asked for each signed request, so one that has the answer at hand gives it without
waiting for anything. One that has to ask elsewhere stands behind a cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from s3front.auth.identity import Principal
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts

CACHED_MAX: Final = 10_000
"""Access keys that are remembered; unknown ones count, so that guessing them costs no memory."""

CACHED_SECONDS: Final = 10.0
"""How long a key that was withdrawn may still be good, and a new one unknown."""


Use = Callable[[str, str], None]
"""Is told that an access key was used: for which service (``s3``), and in which region."""


class Uses(Protocol):
    """What takes down when access keys were used last."""

    def of(self, access_key: str) -> Use:
        """What is told of the uses of a key."""


class Signer(msgspec.Struct, frozen=True):
    """Who signs with an access key, and its secret, which ``repr`` hides. ``use`` is told once a
    signature is found to be right; None: nobody wants to know."""

    principal: Principal
    secret: str
    use: Use | None = None

    def __repr__(self) -> str:
        return f"Signer({self.principal!r})"

    def used(self, service: str = "s3", region: str = "N/A") -> None:
        """Tell that a signature was right. One of Version 2 names no region."""
        if self.use is not None:
            self.use(service, region)


class Credentials(Protocol):
    """A source of credentials."""

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        """Who signs with a key, and with the token that came with it; None for a key that is not
        known here. Keys of sessions are known with their token alone.

        Raises InvalidToken (altered, of another key or another installation, or the key is not of
        a session), ExpiredToken, and S3Error when that cannot be said now."""


class FileCredentials:
    """The accounts of ``conf/authdata.json``. It never waits."""

    def __init__(self, accounts: Accounts) -> None:
        self.use(accounts)

    def use(self, accounts: Accounts) -> None:
        """Take these from the next request on."""
        self._signers = {
            credential.access_key: Signer(principal_of(credential.account), credential.secret)
            for credential in accounts.credentials
        }

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        if session_token is not None:
            raise invalid_token(session_token)
        return self._signers.get(access_key)

    def known(self, access_key: str) -> Signer | None:
        """Who signs with a key, without a token."""
        return self._signers.get(access_key)


class CachedCredentials:
    """What a slower source answers, remembered for some seconds, a bounded number of keys.

    Of many requests that ask for one key at once, the first asks for all. A failure is not
    remembered.
    """

    def __init__(
        self,
        source: Credentials,
        keys_max: int = CACHED_MAX,
        seconds_max: float = CACHED_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._keys_max = keys_max
        self._seconds_max = seconds_max
        self._clock = clock
        self._known: dict[str, tuple[float, Signer | None]] = {}
        self._asked: dict[str, asyncio.Task[Signer | None]] = {}

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        if session_token is not None:
            # What a token says is no secret of the source's: there is nothing to be remembered.
            return await self._source.find(access_key, session_token)
        found = self._known.get(access_key)
        if found is not None and self._clock() - found[0] < self._seconds_max:
            return found[1]
        asked = self._asked.get(access_key)
        if asked is None:
            asked = asyncio.get_running_loop().create_task(self._ask(access_key))
            self._asked[access_key] = asked
        # Whoever goes away must not take the answer from the others.
        return await asyncio.shield(asked)

    async def _ask(self, access_key: str) -> Signer | None:
        try:
            signer = await self._source.find(access_key)
            self._known.pop(access_key, None)
            if len(self._known) >= self._keys_max:
                del self._known[next(iter(self._known))]
            self._known[access_key] = self._clock(), signer
            return signer
        finally:
            del self._asked[access_key]


def principal_of(account: Account) -> Principal:
    """An account itself, as it asks for something."""
    return Principal(
        account.canonical_id, account.name, account.short_id, account.arn, user_id=account.short_id
    )


def invalid_token(session_token: str) -> S3Error:
    """What a token is answered with that opens nothing here."""
    return S3Error("InvalidToken", fields={"Token-0": session_token})


def expired_token(session_token: str) -> S3Error:
    """What a token is answered with whose time is over."""
    return S3Error("ExpiredToken", fields={"Token-0": session_token})


def known(signer: Signer | None, access_key: str) -> Signer:
    """What a source has found; raises InvalidAccessKeyId when that is nobody."""
    if signer is None:
        raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
    return signer
