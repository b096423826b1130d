"""How the key of a blob is kept in its record: wrapped by another, and bound to its object. Pure.

Each blob has a key of its own, 32 random bytes. It is wrapped by AES-256-GCM under a key that is
derived from a wrapping key and 16 random bytes, so that one wrapping key may serve any number of
blobs. What is authenticated with it names the object and the wrapping key, and numbers the blob: a
record that was moved to another key of the bucket opens nothing, nor do parts that changed places.
docs/encryption.md has the bytes.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.records.encrypted import TWOFOLD_SCHEME

KEY_BYTES: Final = 32

SCHEME: Final = TWOFOLD_SCHEME
"""``cryptoScheme`` of what is encrypted here; the original's is the number 1."""

SCHEME_MEMBER: Final = "cryptoScheme"
BLOB_KEY_MEMBER: Final = "cipheredDataKey"
WRAPPING_KEY_MEMBER: Final = "masterKeyId"
WRAPPED_MEMBER: Final = "wrappedKey"
NUMBER_MEMBER: Final = "blobNumber"
"""Members of a data location: the scheme, the wrapped key of the blob, the name of what wraps it,
that itself, as its keeper has wrapped it, where it does not keep it, and which of its object's
blobs it is: each has a higher number than those before it."""

_SALT_BYTES: Final = 16
_VERSION: Final = b"\x01"

FOR_BLOB: Final = b"twofold wrapping 1"
FOR_CHECK: Final = b"twofold checking 1"
FOR_TEXT: Final = b"twofold texts    1"
"""What a wrapped secret is: the key of a blob, nothing (whoever opens it has the key that wrapped
it), a text of the metadata. None is taken for another."""

_NUMBERS: Final = 1 << 63
_NO_NONCE: Final = bytes(12)
"""Each derived key is used once."""


class UnwrapError(Exception):
    """A wrapped key cannot be opened: by another key, for another object, or it was altered."""


class WrappingKey(msgspec.Struct, frozen=True, gc=False):
    """What wraps the keys of blobs.

    ``key_id`` is how records name the master key, with its keeper: ``file:2026-a1b2``. ``secret``
    are 32 bytes: the master key itself, or a data key that its keeper has made, and ``wrapped`` is
    that as the keeper gives it out (base64); "" where it is kept there.
    """

    key_id: str
    secret: bytes
    wrapped: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"WrappingKey({self.key_id!r})"


class BoundTo(msgspec.Struct, frozen=True, gc=False):
    """The object that a key is for."""

    bucket: str
    key: str


def wrapped_members(
    blob_key: bytes, by: WrappingKey, bound: BoundTo, number: int
) -> Mapping[str, Any]:
    """What a data location says of the key of its blob, which is the object's of this number."""
    members = {
        SCHEME_MEMBER: SCHEME,
        BLOB_KEY_MEMBER: wrap(blob_key, by, bound, FOR_BLOB, number),
        WRAPPING_KEY_MEMBER: by.key_id,
        NUMBER_MEMBER: number,
    }
    if by.wrapped:
        members[WRAPPED_MEMBER] = by.wrapped
    return members


def blob_number(members: Mapping[str, Any]) -> int:
    """Which of its object's blobs one is, as its data location says it; raises UnwrapError."""
    number = members.get(NUMBER_MEMBER)
    if type(number) is not int or not 0 <= number < _NUMBERS:
        raise UnwrapError
    return number


def unwrapped_blob_key(members: Mapping[str, Any], by: WrappingKey, bound: BoundTo) -> bytes:
    """The key of a blob, of its data location; raises UnwrapError."""
    wrapped, number = members.get(BLOB_KEY_MEMBER), blob_number(members)
    blob_key = unwrap(wrapped, by, bound, FOR_BLOB, number)
    if len(blob_key) != KEY_BYTES:
        raise UnwrapError
    return blob_key


def wrap(secret: bytes, by: WrappingKey, bound: BoundTo, purpose: bytes, number: int = 0) -> str:
    """A secret of any length, wrapped for one purpose; base64."""
    salt = os.urandom(_SALT_BYTES)
    cipher = AESGCM(derived_key(by.secret, purpose + salt))
    sealed = cipher.encrypt(_NO_NONCE, secret, _bound(by.key_id, bound, number))
    return b64encode(_VERSION + salt + sealed).decode()


def unwrap(
    wrapped: object, by: WrappingKey, bound: BoundTo, purpose: bytes, number: int = 0
) -> bytes:
    """The secret again; raises UnwrapError."""
    try:
        packed = b64decode(wrapped, validate=True) if isinstance(wrapped, str) else b""
    except ValueError:
        packed = b""
    if packed[:1] != _VERSION:
        raise UnwrapError
    salt, sealed = packed[1 : 1 + _SALT_BYTES], packed[1 + _SALT_BYTES :]
    try:
        cipher = AESGCM(derived_key(by.secret, purpose + salt))
        return cipher.decrypt(_NO_NONCE, sealed, _bound(by.key_id, bound, number))
    except (InvalidTag, ValueError) as error:
        raise UnwrapError from error


def derived_key(secret: bytes, info: bytes) -> bytes:
    """32 bytes for one purpose, of a secret of 32 bytes: the one-step key derivation of NIST SP
    800-56C (rev. 2, section 4.1) with SHA-256. HMAC would be three times as slow, and no safer with
    secrets of one length."""
    return hashlib.sha256(b"\0\0\0\1" + secret + info).digest()


def _bound(key_id: str, bound: BoundTo, number: int) -> bytes:
    """The three names, each behind its length, and the number."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in (key_id, bound.bucket, bound.key)]
    named = b"".join(len(text).to_bytes(4, "big") + text for text in encoded)
    return named + number.to_bytes(8, "big")
