"""Session tokens: temporary credentials that carry all that is known of them. Pure.

Whoever signs with temporary credentials sends the token along, so that any front-end knows who it
is without asking anybody: nothing is stored when credentials are given out. The token is sealed, so
that nobody can make one, change it, or read the secret key that is in it.

Form of a token, in base64 (RFC 4648, section 5, without padding)::

    version (1 byte) | ID of the sealing key (8) | salt (16) | AES-256-GCM(session), tag (16)

The cipher's key is derived from the sealing key and the salt, and used once. What is authenticated
with the session is the version, the ID of the sealing key and the access key ID: the token of
another access key opens nothing. The session is a msgpack array, fields as in ``Session``; new ones
go to its end, with defaults.

Sources: IAM user guide, "Temporary security credentials in IAM"; NIST SP 800-38D.
"""

from __future__ import annotations

import os
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s3front.encryption.key_wrapping import KEY_BYTES, derived_key
from s3front.iam.identity_ids import SESSION_KEY_PREFIX

TOKEN_CHARACTERS_MAX: Final = 8192
"""More than any token has that is given out; what is longer is not looked at."""

PACKED_BYTES_MAX: Final = 2048
"""What session policies and tags may come to, packed. AWS has a limit, and does not tell it."""

_UNPACKED_BYTES_MAX: Final = 64 * 1024
_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
_SALT_BYTES: Final = 16
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = 1 + _ID_BYTES + _SALT_BYTES
_PURPOSE: Final = b"twofold sessions 1"
_NO_NONCE: Final = bytes(12)
"""Each derived key is used once."""


class TokenError(Exception):
    """A token opens nothing: it was altered, is of another key, or none at all."""


class Kind(StrEnum):
    """What a session is of."""

    ROLE = "role"
    """AssumeRole and AssumeRoleWithWebIdentity."""
    SELF = "self"
    """GetSessionToken: of the user or account itself."""
    FEDERATED = "federated"
    """GetFederationToken: of somebody whom a user or account vouches for."""


class SealingKey(msgspec.Struct, frozen=True):
    """``key_id`` are 16 hex digits, ``secret`` 32 bytes, which ``repr`` hides."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SealingKey({self.key_id!r})"


class Passed(msgspec.Struct, frozen=True, array_like=True):
    """What was passed when the session began, and has a common limit: an inline session policy (its
    text, "" where there is none), the ARNs of managed ones, and tags, of which the ``transitive``
    are handed on to sessions that begin from this one."""

    policy: str = ""
    policy_arns: tuple[str, ...] = ()
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    transitive: tuple[str, ...] = ()

    @property
    def limits(self) -> bool:
        """Whether there is a session policy."""
        return bool(self.policy or self.policy_arns)


class Session(msgspec.Struct, frozen=True, array_like=True):
    """``entity`` is the name of the role or user, "" of the account itself, and ``entity_id`` its
    unique ID: of another one that gets the name later the session is not. ``issued`` and
    ``expires`` are seconds since 1970. ``name`` is the session's, or that of who is federated.
    ``packed`` is what ``pack`` makes. ``provider`` is the identity provider that vouched for it,
    ``claims`` what it said, as condition keys in lower case.
    """

    kind: Kind
    secret: str
    account_id: str
    entity: str
    entity_id: str
    issued: int
    expires: int
    name: str = ""
    packed: bytes = b""
    source_identity: str = ""
    provider: str = ""
    claims: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Session({self.kind!r}, {self.account_id!r}, {self.entity!r}, {self.name!r})"

    @property
    def passed(self) -> Passed:
        """What is packed."""
        return unpack(self.packed)


# --- What is passed to a session --------------------------------------------------------------


def pack(passed: Passed) -> bytes:
    """Policies and tags in few bytes; none for none. They are compressed apart from the secret, of
    which the size of a token says nothing so."""
    return b"" if passed == Passed() else zlib.compress(msgspec.msgpack.encode(passed), 9)


def unpack(packed: bytes) -> Passed:
    """Raises TokenError."""
    if not packed:
        return Passed()
    try:
        stream = zlib.decompressobj()
        text = stream.decompress(packed, _UNPACKED_BYTES_MAX)
        if not stream.eof or stream.unused_data:
            raise TokenError
        return msgspec.msgpack.decode(text, type=Passed)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TokenError from error


def packed_percent(packed: bytes) -> int:
    """``PackedPolicySize``: how much of its limit is used; above 100 it is too large."""
    return -(-len(packed) * 100 // PACKED_BYTES_MAX)


# --- Keys -----------------------------------------------------------------------------------------


def is_session_key(access_key: str) -> bool:
    """Whether an access key ID has the form of a session's."""
    return access_key.startswith(SESSION_KEY_PREFIX)


def new_sealing_key() -> SealingKey:
    """A sealing key with an ID that no other has."""
    return SealingKey(os.urandom(_ID_BYTES).hex(), os.urandom(KEY_BYTES))


# --- Tokens ---------------------------------------------------------------------------------------


def seal(session: Session, access_key: str, by: SealingKey) -> str:
    """The token of a session, for this access key ID."""
    head = _VERSION + bytes.fromhex(by.key_id) + os.urandom(_SALT_BYTES)
    text = msgspec.msgpack.encode(session)
    sealed = _cipher(by, head).encrypt(_NO_NONCE, text, _bound(head, access_key))
    return urlsafe_b64encode(head + sealed).rstrip(b"=").decode()


def sealing_key_id(token: str) -> str:
    """The ID of the key that a token says it is sealed by. Raises TokenError."""
    return _decoded(token)[1 : 1 + _ID_BYTES].hex()


def unseal(token: str, access_key: str, by: SealingKey) -> Session:
    """The session of a token that came with this access key ID, whether or not its time is over.
    Raises TokenError."""
    raw = _decoded(token)
    head, sealed = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
    if head[1 : 1 + _ID_BYTES].hex() != by.key_id:
        raise TokenError
    try:
        text = _cipher(by, head).decrypt(_NO_NONCE, sealed, _bound(head, access_key))
        return msgspec.msgpack.decode(text, type=Session)
    except (InvalidTag, msgspec.DecodeError, UnicodeError) as error:
        raise TokenError from error


def _decoded(token: str) -> bytes:
    """The bytes of a token, in the one way in which they can be written. Raises TokenError."""
    if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise TokenError
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as error:
        raise TokenError from error
    if len(raw) <= _HEAD_BYTES + _TAG_BYTES or raw[:1] != _VERSION:
        raise TokenError
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise TokenError
    return raw


def _cipher(by: SealingKey, head: bytes) -> AESGCM:
    return AESGCM(derived_key(by.secret, _PURPOSE + head[1 + _ID_BYTES :]))


def _bound(head: bytes, access_key: str) -> bytes:
    """What is authenticated beside the session."""
    return head + access_key.encode("utf-8", "surrogatepass")
