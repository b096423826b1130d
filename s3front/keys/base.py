"""What a keeper of master keys must offer: a key file, Vault, a KMS.

A keeper gives out wrapping keys (``s3front.encryption.key_wrapping``), and opens those that it has
given out. Its master keys stay with it, but for those of a key file. A new keeper is one file of
this folder, with a class that follows ``MasterKeys``, and one row where they are made.

A keeper waits no longer than its time-out, and says what went wrong in S3's terms
(``key_trouble``). Of secrets nothing is logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Protocol

from s3front.encryption.key_wrapping import WrappingKey
from s3front.s3_errors import S3Error

KeyContext = Mapping[str, str]
"""What a keeper holds a wrapped key against (AWS KMS: its encryption context)."""


class KeyTrouble(Enum):
    """Why a keeper does not give a key."""

    AWAY = "is away"
    """It cannot be reached, is too slow, or asks for patience: the same call may succeed later."""
    DENIED = "does not let this server use the key"
    NOT_FOUND = "has no such key"
    DISABLED = "has disabled the key"
    """Also one that waits for its deletion."""
    REFUSED = "does not open what was given"
    """The wrapped key was altered, or is of another key or context."""


_CODES: Final = {
    KeyTrouble.AWAY: "ServiceUnavailable",
    KeyTrouble.DENIED: "AccessDenied",
    KeyTrouble.NOT_FOUND: "KMS.NotFoundException",
    KeyTrouble.DISABLED: "KMS.DisabledException",
    KeyTrouble.REFUSED: "InternalError",
}


class KeeperError(S3Error):
    """A key cannot be had. ``trouble`` says why; ``reason`` is for the log, as the cause: clients
    learn the code and the message alone. ``code`` is that of the trouble, unless it is said."""

    def __init__(
        self, trouble: KeyTrouble, message: str, reason: str = "", code: str | None = None
    ) -> None:
        super().__init__(code or _CODES[trouble], message)
        self.trouble = trouble
        self.reason = reason
        if reason:
            self.__cause__ = RuntimeError(reason)

    def again(self) -> KeeperError:
        """The same once more, for another request."""
        return KeeperError(self.trouble, self.message, self.reason, self.code)


class AwayError(KeeperError):
    """A key service does not do what it is there for at the moment. ``has_answered``: it is there,
    but wants to be asked less, or lacks something that its operator has to give it."""

    def __init__(self, reason: str, *, has_answered: bool = False) -> None:
        super().__init__(
            KeyTrouble.AWAY,
            "The service that keeps the encryption keys is not available at the moment. "
            "Please try again.",
            reason,
        )
        self.has_answered = has_answered

    def again(self) -> AwayError:
        return AwayError(self.reason, has_answered=self.has_answered)


class NoCurrentKeyError(AwayError):
    """A key service has no key of the name that is configured."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, has_answered=True)

    def again(self) -> NoCurrentKeyError:
        return NoCurrentKeyError(self.reason)


async def why_unusable(keeper: MasterKeys) -> str | None:
    """Have a keeper make a data key and open it again: None, or what is wrong with it, in words for
    the operator. Raises S3Error."""
    context = {"twofold": "look"}
    made = await keeper.wrapping_key(None, context)
    opened = await keeper.opened(made.key_id.partition(":")[2], made.wrapped, context)
    return None if opened == made.secret else "it opens something else than it has made"


class MasterKeys(Protocol):
    """One keeper. Key IDs are the keeper's own here, without its name in front."""

    @property
    def name(self) -> str:
        """What stands in front of key IDs in records: ``file``, ``vault``, ``aws``, ``kmip``."""

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        """A key to wrap the keys of new blobs by: of the master key that a client named, None for
        the current one. ``WrappingKey.key_id`` has the keeper's name in front. Raises S3Error."""

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        """The secret of a wrapping key that was given out with this context. Raises S3Error."""

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        """The data key of an object that CloudServer has encrypted, as it had this keeper wrap it.
        ``key_id`` is as its record has it. Raises S3Error."""

    async def create(self, description: str) -> str:
        """Make a new master key, which nothing uses yet; its ID. Raises S3Error: NotImplemented
        where others do that."""

    async def look(self) -> str | None:
        """Whether it can be used: None, or why not, in words for the operator."""

    async def close(self) -> None:
        """Give up its connections."""


class ServiceKeys(MasterKeys, Protocol):
    """A keeper that asks a service."""

    async def rotate(self, description: str) -> str:
        """Make a new master key, the current one where the service itself says which that is; its
        ID. Raises S3Error."""
