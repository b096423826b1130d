"""The requests that are sent to a KMIP server, and what its responses say. Pure.

(OASIS KMIP Specification 1.4: sections 4, "Client-to-Server Operations", 7, "Message Format", and
9.1.3, "Defined Values".) One message has one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from s3front.keys.kmip_ttlv import (
    Item,
    MalformedError,
    date_time,
    decode,
    encode,
    enumeration,
    integer,
    octets,
    structure,
    text,
)
from s3front.keys.sealed_data_key import TAG_BYTES, Mode, Sealed

AUTHENTICATED_SINCE: Final = (1, 4)
"""Since this version there are fields for authenticated encryption."""


class Version(NamedTuple):
    """Of the protocol."""

    major: int
    minor: int


VERSIONS: Final = (Version(1, 4), Version(1, 3), Version(1, 2))
"""Those that are spoken here, best first. Encryption came with the last."""


class Tag(IntEnum):
    """As far as they are used here."""

    ATTRIBUTE = 0x420008
    ATTRIBUTE_NAME = 0x42000A
    ATTRIBUTE_VALUE = 0x42000B
    BATCH_COUNT = 0x42000D
    BATCH_ITEM = 0x42000F
    BLOCK_CIPHER_MODE = 0x420011
    CRYPTOGRAPHIC_ALGORITHM = 0x420028
    CRYPTOGRAPHIC_PARAMETERS = 0x42002B
    IV_COUNTER_NONCE = 0x42003D
    MAXIMUM_RESPONSE_SIZE = 0x420050
    OBJECT_TYPE = 0x420057
    OPERATION = 0x42005C
    PADDING_METHOD = 0x42005F
    PROTOCOL_VERSION = 0x420069
    PROTOCOL_VERSION_MAJOR = 0x42006A
    PROTOCOL_VERSION_MINOR = 0x42006B
    REQUEST_HEADER = 0x420077
    REQUEST_MESSAGE = 0x420078
    REQUEST_PAYLOAD = 0x420079
    RESPONSE_MESSAGE = 0x42007B
    RESPONSE_PAYLOAD = 0x42007C
    RESULT_MESSAGE = 0x42007D
    RESULT_REASON = 0x42007E
    RESULT_STATUS = 0x42007F
    TEMPLATE_ATTRIBUTE = 0x420091
    UNIQUE_IDENTIFIER = 0x420094
    DATA = 0x4200C2
    TAG_LENGTH = 0x4200CE
    AUTHENTICATED_DATA = 0x4200FE
    AUTHENTICATION_TAG = 0x4200FF


class Operation(IntEnum):
    CREATE = 0x01
    GET_ATTRIBUTES = 0x0B
    ACTIVATE = 0x12
    DISCOVER_VERSIONS = 0x1E
    ENCRYPT = 0x1F
    DECRYPT = 0x20


class Reason(IntEnum):
    """Why something was refused; some of these are of KMIP 2.0, which servers use in 1.x too."""

    ITEM_NOT_FOUND = 0x01
    AUTHENTICATION_NOT_SUCCESSFUL = 0x03
    INVALID_MESSAGE = 0x04
    OPERATION_NOT_SUPPORTED = 0x05
    MISSING_DATA = 0x06
    INVALID_FIELD = 0x07
    FEATURE_NOT_SUPPORTED = 0x08
    CRYPTOGRAPHIC_FAILURE = 0x0A
    ILLEGAL_OPERATION = 0x0B
    PERMISSION_DENIED = 0x0C
    OBJECT_ARCHIVED = 0x0D
    BAD_CRYPTOGRAPHIC_PARAMETERS = 0x24
    INCOMPATIBLE_USAGE_MASK = 0x29
    OBJECT_DESTROYED = 0x36
    OBJECT_NOT_FOUND = 0x37
    NOT_AUTHORISED = 0x39
    UNSUPPORTED_PARAMETERS = 0x3E
    UNSUPPORTED_VERSION = 0x3F
    WRONG_STATE = 0x43
    GENERAL_FAILURE = 0x100


ACTIVE: Final = 2
"""The state of a key that may be used."""

_AES: Final = 3
_SYMMETRIC_KEY: Final = 2
_PKCS5: Final = 3
_MAY_ENCRYPT_AND_DECRYPT: Final = 0x04 | 0x08
_SUCCESS: Final = 0

RESPONSE_BYTES_MAX: Final = 64 * 1024


class Reply(NamedTuple):
    """``payload`` is None where the request has failed; ``reason`` and ``message`` say why then."""

    payload: Item | None
    reason: int | None
    message: str


def request(version: Version, operation: int, payload: Sequence[Item]) -> bytes:
    """A message with one request."""
    header = structure(Tag.REQUEST_HEADER, [
        _version(version),
        integer(Tag.MAXIMUM_RESPONSE_SIZE, RESPONSE_BYTES_MAX),
        integer(Tag.BATCH_COUNT, 1),
    ])  # fmt: skip
    item = structure(Tag.BATCH_ITEM, [
        enumeration(Tag.OPERATION, operation),
        structure(Tag.REQUEST_PAYLOAD, payload),
    ])  # fmt: skip
    return encode(structure(Tag.REQUEST_MESSAGE, [header, item]))


def reply(data: bytes) -> Reply:
    """What a message from the server says. Raises MalformedError."""
    message = decode(data)
    item = message.first(Tag.BATCH_ITEM)
    status = None if item is None else item.number(Tag.RESULT_STATUS)
    if message.tag != Tag.RESPONSE_MESSAGE or item is None or status is None:
        raise MalformedError("it is no response")
    if status == _SUCCESS:
        payload = item.first(Tag.RESPONSE_PAYLOAD)
        return Reply(payload or structure(Tag.RESPONSE_PAYLOAD, []), None, "")
    reason = item.number(Tag.RESULT_REASON)
    return Reply(None, reason, item.text(Tag.RESULT_MESSAGE) or "")


def reason_name(reason: int | None) -> str:
    """For the log."""
    try:
        return Reason(reason or 0).name.replace("_", " ").lower()
    except ValueError:
        return "no reason" if reason is None else f"reason {reason}"


# -- Payloads -------------------------------------------------------------------------------------


def discover_versions() -> list[Item]:
    return [_version(version) for version in VERSIONS]


def best_version(payload: Item) -> Version | None:
    """The best one of those that the server names and that are spoken here."""
    named = [
        (each.number(Tag.PROTOCOL_VERSION_MAJOR), each.number(Tag.PROTOCOL_VERSION_MINOR))
        for each in payload.items(Tag.PROTOCOL_VERSION)
    ]
    return next((version for version in VERSIONS if version in named), None)


def create(active_since: int | None, named: tuple[str, str] | None) -> list[Item]:
    """A new AES key of 256 bits, which is active since then, in seconds since 1970, or not yet.
    ``named`` is a further attribute, and its text."""
    attributes = [
        _attribute(text(Tag.ATTRIBUTE_VALUE, named[1]), named[0]) if named else None,
        _attribute(enumeration(Tag.ATTRIBUTE_VALUE, _AES), "Cryptographic Algorithm"),
        _attribute(integer(Tag.ATTRIBUTE_VALUE, 256), "Cryptographic Length"),
        _attribute(
            integer(Tag.ATTRIBUTE_VALUE, _MAY_ENCRYPT_AND_DECRYPT), "Cryptographic Usage Mask"
        ),
        None
        if active_since is None
        else _attribute(date_time(Tag.ATTRIBUTE_VALUE, active_since), "Activation Date"),
    ]
    return [
        enumeration(Tag.OBJECT_TYPE, _SYMMETRIC_KEY),
        structure(Tag.TEMPLATE_ATTRIBUTE, attributes),
    ]


def of_key(key_id: str) -> list[Item]:
    return [text(Tag.UNIQUE_IDENTIFIER, key_id)]


def state_of(key_id: str) -> list[Item]:
    return [*of_key(key_id), text(Tag.ATTRIBUTE_NAME, "State")]


def encrypt(key_id: str, mode: Mode, iv: bytes, data: bytes, context: bytes) -> list[Item]:
    """``context`` is authenticated with the data, where the mode does that."""
    is_authenticated = mode is Mode.GCM
    payload = [
        *of_key(key_id),
        _parameters(mode),
        octets(Tag.DATA, data),
        octets(Tag.IV_COUNTER_NONCE, iv),
    ]
    return [*payload, octets(Tag.AUTHENTICATED_DATA, context)] if is_authenticated else payload


def decrypt(key_id: str, sealed: Sealed, context: bytes) -> list[Item]:
    payload = encrypt(key_id, sealed.mode, sealed.iv, sealed.data, context)
    if sealed.mode is Mode.GCM:
        payload.append(octets(Tag.AUTHENTICATION_TAG, sealed.tag))
    return payload


def _parameters(mode: Mode) -> Item:
    return structure(Tag.CRYPTOGRAPHIC_PARAMETERS, [
        enumeration(Tag.BLOCK_CIPHER_MODE, mode),
        enumeration(Tag.PADDING_METHOD, _PKCS5) if mode is Mode.CBC else None,
        enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, _AES),
        integer(Tag.TAG_LENGTH, TAG_BYTES) if mode is Mode.GCM else None,
    ])  # fmt: skip


def _attribute(value: Item, name: str) -> Item:
    return structure(Tag.ATTRIBUTE, [text(Tag.ATTRIBUTE_NAME, name), value])


def _version(version: Version) -> Item:
    return structure(Tag.PROTOCOL_VERSION, [
        integer(Tag.PROTOCOL_VERSION_MAJOR, version.major),
        integer(Tag.PROTOCOL_VERSION_MINOR, version.minor),
    ])  # fmt: skip
