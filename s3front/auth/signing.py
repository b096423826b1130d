"""Keys, and text that is signed with them: HMAC-SHA256 for Signature Version 4. Pure.

Called for each request that is signed, and for each chunk of a body that is. Text that came from
the wire is decoded as UTF-8 with ``surrogateescape``. No secret and no key shows in a ``repr``.

Sources: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)"; RFC 2104.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
"""What HMAC makes of its key (RFC 2104, section 2), and the size of SHA-256's blocks for that."""


def to_bytes(text: str) -> bytes:
    """The bytes that text came as on the wire."""
    return text.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str = "s3") -> bytes:
    """The key of one day, region and service, derived from the secret (four HMACs, cached)."""
    key = b"AWS4" + to_bytes(secret)
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, to_bytes(part), "sha256")
    return key


def sign_string(key: bytes, string_to_sign: str) -> str:
    """HMAC-SHA256 in hex; also what signs the policy of a form upload."""
    with_key_inside, with_key_outside = _keyed(key)
    inner, outer = with_key_inside.copy(), with_key_outside.copy()
    inner.update(string_to_sign.encode("utf-8", "surrogateescape"))
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=4096)
def _keyed(key: bytes) -> tuple[_Hash, _Hash]:
    """The two hashes of HMAC-SHA256, having taken in the key (RFC 2104, section 4): copies of them
    sign in half the steps of ``hmac``."""
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(padded.translate(_INNER)), hashlib.sha256(padded.translate(_OUTER))


def signatures_equal(ours: str, theirs: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    # Of text, only ASCII is compared.
    return theirs.isascii() and hmac.compare_digest(ours, theirs)
