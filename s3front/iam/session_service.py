"""Temporary credentials: given out, and known again when a request is signed with them.

``find`` is asked for every request that brings a session token. What a token says is remembered, a
bounded number of tokens, and who that is for as long as no identity changes: then it is looked up
again, which takes no call to anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from s3front.auth.credential_sources import Signer, expired_token, invalid_token
from s3front.auth.identity import Principal
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_ids import SESSION_KEY_PREFIX, new_access_key_id, new_secret
from s3front.iam.kept_signers import KeptSigners
from s3front.iam.provider_keys import ProviderKeys
from s3front.iam.sealing_keys import SealingKeyring
from s3front.iam.session_principals import session_principal
from s3front.iam.sessions import (
    TOKEN_CHARACTERS_MAX,
    Session,
    TokenError,
    seal,
    sealing_key_id,
    unseal,
)
from s3front.policies.policy_memory import document_memory

TOKENS_MAX: Final = 4096
"""Tokens of which is remembered what they say, and"""
SESSIONS_BYTES_MAX: Final = 32 * 1024 * 1024
"""the memory that the sessions and their policies take, as far as can be said, all in all."""

_SESSION_BYTES: Final = 4_000
_TOKEN_CHARACTER: Final = 4
"""Bytes of a character of a token, and of what it says."""


class Issued(msgspec.Struct, frozen=True):
    """Temporary credentials, to be told once. ``expires`` is in seconds since 1970."""

    access_key: str
    secret: str
    token: str
    expires: int

    def __repr__(self) -> str:
        """Without what is secret."""
        return f"Issued({self.access_key!r})"


class _Known(msgspec.Struct):
    """``generation`` is that of the directory from which the signer was made."""

    access_key: str
    key_id: str
    session: Session
    signer: Signer | None
    generation: int


class SessionService:
    """See the module. ``providers`` has the keys of identity providers. ``clock`` is the wall
    clock, in seconds."""

    def __init__(
        self,
        directory: Directory,
        sealing: SealingKeyring,
        providers: ProviderKeys,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.directory = directory
        self.sealing = sealing
        self.providers = providers
        self._clock = clock
        self._known: KeptSigners[_Known] = KeptSigners(TOKENS_MAX, SESSIONS_BYTES_MAX)

    @property
    def now(self) -> int:
        """The wall clock, in whole seconds."""
        return int(self._clock())

    async def issue(self, session: Session) -> Issued:
        """Credentials of a session, which has no secret yet. Raises IamError (more is to be in the
        token than has room), and S3Error: NotImplemented without a master key."""
        key = await self.sealing.current()
        access_key = new_access_key_id(session.account_id, SESSION_KEY_PREFIX)
        session = msgspec.structs.replace(session, secret=new_secret())
        token = seal(session, access_key, key)
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise IamError(
                "PackedPolicyTooLarge",
                "The session has more policies, tags and claims than its token has room for.",
            )
        return Issued(access_key, session.secret, token, session.expires)

    async def find(self, access_key: str, session_token: str | None = None) -> Signer | None:
        """Who signs with an access key and the token that came with it; None without a token, and
        when that session is over, as what it was of is gone.

        Raises InvalidToken, ExpiredToken, and S3Error when the token cannot be opened now.
        """
        if session_token is None:
            return None
        token = session_token
        known = self._known.get(token)
        if known is None or known.access_key != access_key:
            known = await self._open(access_key, token)
        elif not self.sealing.has(known.key_id):
            self._known.forget(token)
            raise invalid_token(token)
        if self._clock() >= known.session.expires:
            raise expired_token(token)
        await self.directory.ready()
        signer = self._signer(token, known)
        if signer is None:
            # What it is of may be newer than what is known here.
            await self.directory.refresh()
            signer = self._signer(token, known)
        return signer

    async def whose(self, access_key: str, session_token: str | None = None) -> Principal | None:
        """See ``Credentials``. What the token says is remembered, or was sealed by a key that is
        open since."""
        signer = await self.find(access_key, session_token)
        return None if signer is None else signer.principal

    async def _open(self, access_key: str, token: str) -> _Known:
        """What a token says. Raises InvalidToken."""
        try:
            key_id = sealing_key_id(token)
            key = await self.sealing.find(key_id)
            if key is None:
                raise invalid_token(token)
            session = unseal(token, access_key, key)
        except TokenError as error:
            raise invalid_token(token) from error
        known = _Known(access_key, key_id, session, None, -1)
        self._keep(token, known, None)
        return known

    def _keep(self, token: str, known: _Known, principal: Principal | None) -> None:
        size = _SESSION_BYTES + _TOKEN_CHARACTER * len(token)
        if principal is not None:
            size += document_memory(principal.tags)
        self._known.keep(token, known, size, principal)

    def _signer(self, token: str, known: _Known) -> Signer | None:
        generation = self.directory.generation
        if known.generation != generation:
            principal = session_principal(self.directory, known.session)
            known.signer = None if principal is None else Signer(principal, known.session.secret)
            known.generation = generation
            self._keep(token, known, principal)
        return known.signer
