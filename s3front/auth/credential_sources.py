"""Where the secrets of access keys come from.

A source is asked for each signed request, so one that has the answer at hand gives it without
waiting for anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from s3front.auth.identity import Principal
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts

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

    async def whose(self, access_key: str, session_token: str | None = None) -> Principal | None:
        """Who signs with a key, as of what is known here at present. It takes no secret, so that
        nothing has to be opened for it. Raises what ``find`` does."""


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

    async def whose(self, access_key: str, session_token: str | None = None) -> Principal | None:
        signer = await self.find(access_key, session_token)
        return None if signer is None else signer.principal

    def known(self, access_key: str) -> Signer | None:
        """Who signs with a key, without a token."""
        return self._signers.get(access_key)


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
        raise unknown_key(access_key)
    return signer


def unknown_key(access_key: str) -> S3Error:
    """What an access key is answered with that nobody signs with."""
    return S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
