"""What is kept of a data key that a KMIP server or a PKCS#11 token has encrypted. Pure.

In base64: 1 (the form), the mode as KMIP numbers it, the initialisation vector, the tag of GCM (16
bytes), and the encrypted data key. docs/encryption.md has it, too.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from enum import IntEnum
from typing import Final, NamedTuple


class Mode(IntEnum):
    """Of a block cipher. CBC is with PKCS#5 padding."""

    CBC = 0x01
    GCM = 0x09


IV_BYTES: Final = {Mode.CBC: 16, Mode.GCM: 12}
TAG_BYTES: Final = 16

_FORM: Final = 1


class Sealed(NamedTuple):
    """What was encrypted, with all that is needed to open it again."""

    mode: Mode
    iv: bytes
    tag: bytes
    data: bytes


def packed(sealed: Sealed) -> str:
    """As it is kept."""
    head = bytes((_FORM, sealed.mode))
    return b64encode(head + sealed.iv + sealed.tag + sealed.data).decode()


def unpacked(wrapped: str) -> Sealed:
    """It again. Raises ValueError."""
    data = b64decode(wrapped, validate=True)
    if len(data) < 2 or data[0] != _FORM:
        raise ValueError("it is not of this form")
    mode = Mode(data[1])
    iv_ends = 2 + IV_BYTES[mode]
    tag_ends = iv_ends + (TAG_BYTES if mode is Mode.GCM else 0)
    if len(data) <= tag_ends:
        raise ValueError("it is cut off")
    return Sealed(mode, data[2:iv_ends], data[iv_ends:tag_ends], data[tag_ends:])
