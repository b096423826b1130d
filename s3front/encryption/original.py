"""The form in which CloudServer stores encrypted objects, to read them. Pure.

AES-256-CTR over the whole blob, without a tag: key and counter are derived from the data key by
PBKDF2 with one iteration, and the stored size is the plain one (reference/cloudserver-features.md,
section 7). Nothing is written so: whoever changes a bit of what is stored changes one of the
object, unseen, and its ``file`` KMS keeps the master key in the metadata.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from s3front.s3_errors import S3Error

ORIGINAL_SCHEMES: Final = (0, 1)
"""``cryptoScheme`` of what is stored in this form."""

_SALT: Final = b"ItsTasty"
_BLOCK_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MASTER_KEY: Final = re.compile("[0-9a-fA-F]{64}")
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class CounterTransform:
    """The transform of a blob with this data key (``transform.Transform``), for reading alone."""

    def __init__(self, data_key: bytes) -> None:
        self._key, self._counter = _derived(data_key)

    def members(self) -> Mapping[str, Any]:
        return _NOTHING

    def stored_size(self, size: int) -> int:
        return size

    def encoder(self) -> _Counter:
        raise S3Error("NotImplemented")

    def stored_range(self, start: int, end: int, _size: int) -> tuple[int, int]:
        return start, end

    def decoder(self, start: int, end: int, _size: int) -> _Counter:
        blocks, rest = divmod(start, _BLOCK_BYTES)
        counter = (self._counter + blocks) % (1 << 8 * _BLOCK_BYTES)
        stream = _cipher(self._key, counter)
        stream.update(bytes(rest))
        return _Counter(stream, end - start + 1)


class _Counter:
    """Turns what is stored into plain bytes."""

    def __init__(self, stream: CipherContext, size: int) -> None:
        self._stream = stream
        self._left = size

    def update(self, data: bytes | bytearray) -> bytes:
        self._left -= len(data)
        return self._stream.update(data)

    def finish(self) -> bytes:
        if self._left:
            raise S3Error("InternalError")
        return b""


def is_master_key(key_id: str) -> bool:
    """Whether the ID of a master key is that key itself, as the ``file`` KMS of CloudServer has it.
    It must never be shown."""
    return _MASTER_KEY.fullmatch(key_id) is not None


def unwrapped_by_file_kms(master_key: str, ciphered: bytes) -> bytes:
    """The data key that the ``file`` KMS has wrapped by a master key, in hex."""
    key, counter = _derived(bytes.fromhex(master_key))
    return _cipher(key, counter).update(ciphered)


def _derived(data_key: bytes) -> tuple[bytes, int]:
    """The key of the cipher, and its first counter."""
    key = hashlib.pbkdf2_hmac("sha1", data_key, _SALT, 1, _KEY_BYTES)
    counter = hashlib.pbkdf2_hmac("sha1", key, _SALT, 1, _BLOCK_BYTES)
    return key, int.from_bytes(counter, "big")


def _cipher(key: bytes, counter: int) -> CipherContext:
    return Cipher(AES(key), CTR(counter.to_bytes(_BLOCK_BYTES, "big"))).decryptor()
