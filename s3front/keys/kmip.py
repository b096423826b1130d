"""Master keys in a server of the Key Management Interoperability Protocol, 1.2 or newer.

The server encrypts data keys, which are made here, and its own keys never leave it. With 1.4 and
newer that is AES-GCM with the context authenticated, where the server does it; else AES-CBC, and
``binding`` alone holds the key to its context, as it does for both.

CloudServer has it encrypt by AES-CBC, PKCS#5 padding, and an initialisation vector of zeros.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final

from s3front.encryption.key_wrapping import KEY_BYTES, WrappingKey
from s3front.keys import kmip_messages as messages
from s3front.keys.base import AwayError, KeeperError, KeyContext, KeyTrouble, why_unusable
from s3front.keys.binding import bound_secret, canonical
from s3front.keys.kmip_connection import KmipConnections, KmipServer
from s3front.keys.kmip_messages import (
    ACTIVE,
    AUTHENTICATED_SINCE,
    VERSIONS,
    Operation,
    Reason,
    Reply,
    Tag,
    Version,
)
from s3front.keys.kmip_ttlv import Item, MalformedError
from s3front.keys.sealed_data_key import IV_BYTES, TAG_BYTES, Mode, Sealed, packed, unpacked
from s3front.keys.service_tls import TlsFiles, service_context
from s3front.keys.troubles import denied, disabled, not_found, refused
from shared.config.encryption import Kmip
from shared.process.logs import EventLog

NAME: Final = "kmip"

_KEY_ID_BYTES_MAX: Final = 1024
_NO_IV: Final = bytes(16)
"""CloudServer's."""

_NO_SUCH_KEY: Final = frozenset({
    Reason.ITEM_NOT_FOUND, Reason.OBJECT_NOT_FOUND, Reason.OBJECT_DESTROYED,
})  # fmt: skip
_MAY_BE_STATE: Final = frozenset({
    Reason.PERMISSION_DENIED, Reason.ILLEGAL_OPERATION, Reason.WRONG_STATE,
    Reason.OBJECT_ARCHIVED, Reason.NOT_AUTHORISED, Reason.INCOMPATIBLE_USAGE_MASK,
})  # fmt: skip
"""Some servers say one of these where a key is not active."""

_NOT_THIS_MODE: Final = frozenset({
    Reason.OPERATION_NOT_SUPPORTED, Reason.INVALID_FIELD, Reason.FEATURE_NOT_SUPPORTED,
    Reason.INVALID_MESSAGE, Reason.MISSING_DATA, Reason.CRYPTOGRAPHIC_FAILURE,
    Reason.BAD_CRYPTOGRAPHIC_PARAMETERS, Reason.UNSUPPORTED_PARAMETERS,
})  # fmt: skip
_NOT_THIS_VERSION: Final = frozenset({Reason.INVALID_MESSAGE, Reason.UNSUPPORTED_VERSION})
_ABOUT_DATA: Final = _NOT_THIS_MODE
"""When something is to be opened, these say that it is not what was sealed."""


class KmipKeys:
    """A ``ServiceKeys`` that asks once; see the module."""

    name = NAME

    def __init__(self, settings: Kmip, connections: KmipConnections, log: EventLog) -> None:
        self._settings = settings
        self._connections = connections
        self._log = log
        self._version: Version | None = None
        self._mode: Mode | None = None

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        named = self._settings.key_id if key_id is None else key_id
        if named is None:
            reason = "kmip.keyId is not set: s3front keys create makes a key, and prints its ID"
            raise AwayError(reason, has_answered=True)
        _check(named)
        data_key = os.urandom(KEY_BYTES)
        sealed = await self._sealed(named, data_key, canonical(context))
        return WrappingKey(f"{NAME}:{named}", bound_secret(data_key, context), packed(sealed))

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        _check(key_id)
        sealed = _unpacked(wrapped)
        data_key = await self._open(key_id, sealed, canonical(context))
        return bound_secret(data_key, context)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        _check(key_id)
        return await self._open(key_id, Sealed(Mode.CBC, _NO_IV, b"", ciphered), b"")

    async def create(self, description: str) -> str:
        client = self._settings.client
        is_compound = bool(client.compound_create_activate)
        name = client.bucket_name_attribute_name
        # A minute ago: the clock of the server may be behind.
        active_since = int(time.time()) - 60 if is_compound else None
        payload = messages.create(active_since, (name, description) if name else None)
        reply = await self._ask(Operation.CREATE, payload, once=True)
        key_id = None if reply.payload is None else reply.payload.text(Tag.UNIQUE_IDENTIFIER)
        if not key_id:
            raise await self._failure("", reply)
        if not is_compound:
            reply = await self._ask(Operation.ACTIVATE, messages.of_key(key_id))
            if reply.payload is None:
                raise await self._failure(key_id, reply)
        return key_id

    async def rotate(self, description: str) -> str:
        return await self.create(description)

    async def look(self) -> str | None:
        """Seals a data key, and opens it."""
        return await why_unusable(self)

    async def close(self) -> None:
        await self._connections.close()

    # -- Sealing and opening ----------------------------------------------------------------------

    async def _sealed(self, key_id: str, data_key: bytes, context: bytes) -> Sealed:
        mode = self._mode
        if mode is None:
            can = await self._spoken() >= AUTHENTICATED_SINCE
            mode = Mode.GCM if can else Mode.CBC
        sealed, reply = await self._encrypted(key_id, mode, data_key, context)
        if mode is Mode.GCM and self._mode is None and reply.reason in _NOT_THIS_MODE:
            mode = Mode.CBC
            sealed, reply = await self._encrypted(key_id, mode, data_key, context)
        if sealed is None:
            raise await self._failure(key_id, reply)
        if self._mode is None:
            self._mode = mode
            self._log.info("a key service seals data keys", keeper=NAME, mode=mode.name)
        return sealed

    async def _encrypted(
        self, key_id: str, mode: Mode, data_key: bytes, context: bytes
    ) -> tuple[Sealed | None, Reply]:
        iv = os.urandom(IV_BYTES[mode])
        payload = messages.encrypt(key_id, mode, iv, data_key, context)
        reply = await self._ask(Operation.ENCRYPT, payload)
        if reply.payload is None:
            return None, reply
        data = reply.payload.octets(Tag.DATA) or b""
        tag = reply.payload.octets(Tag.AUTHENTICATION_TAG) or b""
        if mode is Mode.CBC and len(data) == KEY_BYTES + IV_BYTES[mode]:
            return Sealed(mode, iv, b"", data), reply
        if mode is Mode.GCM and len(data) == KEY_BYTES + TAG_BYTES and not tag:
            data, tag = data[:KEY_BYTES], data[KEY_BYTES:]  # some put it behind the data
        if mode is Mode.GCM and len(data) == KEY_BYTES and len(tag) == TAG_BYTES:
            return Sealed(mode, iv, tag, data), reply
        raise AwayError("it answers with something else than an encrypted data key")

    async def _open(self, key_id: str, sealed: Sealed, context: bytes) -> bytes:
        reply = await self._ask(Operation.DECRYPT, messages.decrypt(key_id, sealed, context))
        if reply.payload is None:
            if reply.reason in _ABOUT_DATA or await self._uses(key_id, sealed.mode, reply):
                raise refused(_reason(reply))
            raise await self._failure(key_id, reply)
        data_key = reply.payload.octets(Tag.DATA) or b""
        if len(data_key) != KEY_BYTES:
            raise refused("what it opens is no data key")
        return data_key

    async def _uses(self, key_id: str, mode: Mode, failed: Reply) -> bool:
        """Whether a server that says no more than that it has failed does use the key: then what it
        was given to open was not what it had sealed."""
        if failed.reason != Reason.GENERAL_FAILURE:
            return False
        sealed, _ = await self._encrypted(key_id, mode, bytes(KEY_BYTES), b"")
        return sealed is not None

    # -- How it is asked --------------------------------------------------------------------------

    async def _spoken(self) -> Version:
        """The version of the protocol that both sides know. Raises AwayError."""
        if self._version is None:
            discover = messages.discover_versions()
            reply = await self._exchange(VERSIONS[-1], Operation.DISCOVER_VERSIONS, discover)
            if reply.payload is None:
                raise AwayError(f"no version of the protocol: {_reason(reply)}", has_answered=True)
            version = messages.best_version(reply.payload)
            if version is None:
                raise AwayError("it knows no KMIP 1.2, 1.3 or 1.4", has_answered=True)
            self._version = version
        return self._version

    async def _ask(
        self, operation: Operation, payload: Sequence[Item], *, once: bool = False
    ) -> Reply:
        reply = await self._exchange(await self._spoken(), operation, payload, once=once)
        if reply.reason in _NOT_THIS_VERSION:
            # It may be another server by now: the next request asks what it knows.
            self._version = None
        return reply

    async def _exchange(
        self, version: Version, operation: Operation, payload: Sequence[Item], *, once: bool = False
    ) -> Reply:
        data = await self._connections.ask(messages.request(version, operation, payload), once=once)
        try:
            return messages.reply(data)
        except MalformedError as error:
            reason = str(error)
        raise AwayError(f"its answer cannot be read: {reason}")

    async def _failure(self, key_id: str, reply: Reply) -> KeeperError:
        """What a refusal means. Where it may be the state of the key, that is looked at."""
        reason = _reason(reply)
        if reply.reason in _NO_SUCH_KEY:
            return not_found(key_id, reason)
        if reply.reason in _MAY_BE_STATE and key_id:
            trouble = await self._state_trouble(key_id)
            if trouble is KeyTrouble.DISABLED:
                return disabled(key_id, reason)
            if trouble is KeyTrouble.NOT_FOUND:
                return not_found(key_id, reason)
            return denied(reason)
        is_there = reply.reason is not None and reply.reason != Reason.GENERAL_FAILURE
        return AwayError(reason, has_answered=is_there)

    async def _state_trouble(self, key_id: str) -> KeyTrouble | None:
        reply = await self._ask(Operation.GET_ATTRIBUTES, messages.state_of(key_id))
        if reply.payload is None:
            return KeyTrouble.NOT_FOUND if reply.reason in _NO_SUCH_KEY else None
        state = reply.payload.number(Tag.ATTRIBUTE, Tag.ATTRIBUTE_VALUE)
        return KeyTrouble.DISABLED if state is not None and state != ACTIVE else None


def make_kmip(settings: Kmip, file: str, log: EventLog) -> KmipKeys:
    """The keeper that ``kmip`` describes. Raises ConfigError."""
    servers = []
    for number, transport in enumerate(settings.transport):
        place = transport.tls
        files = TlsFiles(place.ca, place.cert, place.key)
        key = f"kmip.transport[{number}].tls" if number else "kmip.transport.tls"
        servers.append(KmipServer(place.host, place.port, service_context(files, file, key)))
    depth = max(transport.pipeline_depth for transport in settings.transport)
    return KmipKeys(settings, KmipConnections(servers, depth), log)


def _check(key_id: str) -> None:
    """Raises KMS.NotFoundException for what cannot be an ID."""
    try:
        size = len(key_id.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= _KEY_ID_BYTES_MAX or not key_id.isprintable():
        raise not_found(key_id)


def _unpacked(wrapped: str) -> Sealed:
    """Raises KeeperError."""
    try:
        return unpacked(wrapped)
    except ValueError:
        pass
    raise refused("the record has no data key as it is kept for KMIP")


def _reason(reply: Reply) -> str:
    words = " ".join(reply.message.split())[:300]
    name = messages.reason_name(reply.reason)
    return f"it answers: {name}{f' ({words})' if words else ''}"
