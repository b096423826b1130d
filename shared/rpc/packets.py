"""Packets of Engine.IO 4 and Socket.IO 5, as text. Pure: bytes in, values out, and back.

Theory of operation. Each websocket message carries one Engine.IO packet: a digit for its type, then
its payload. Type 4, *message*, carries a Socket.IO packet::

    4 <type> [<namespace>,] [<acknowledgement id>] [<JSON>]

    42/MDFile/metadata,13["call","getUUID",{...}]     an event that wants acknowledgement 13
    43/MDFile/metadata,13[null,"d300da26-..."]        that acknowledgement
    452-/MDFile/metadata,13["call","batch",{...}]     an event that two binary messages follow

Sources: the Engine.IO protocol, version 4, and the Socket.IO protocol, version 5
(https://socket.io/docs/v4/engine-io-protocol, .../socket-io-protocol); reference/dmd-wire.md,
sections 1 and 2, has the frames of the original.

Rules:

1. Whatever the bytes are, ``decode`` returns a packet or raises ``PacketError``.
2. A binary packet (Socket.IO types 5 and 6) is ``Announced``: what it says, and how many binary
   messages follow, which ``shared.rpc.attachments`` gathers. Base64 payloads are errors.
3. A namespace is everything from its slash to the comma, without the query that may follow it.
4. Encoders take JSON text that was made already, so that a caller can join parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from shared.rpc import codec

DEFAULT_NAMESPACE: Final = "/"
PING: Final = b"2"
PONG: Final = b"3"
CLOSE: Final = b"1"
MESSAGE_TYPE: Final = b"4"
"""What a packet begins with that is a message of Socket.IO."""

_OPEN, _CLOSE, _PING, _PONG, _, _UPGRADE, _NOOP = b"0123456"
_CONNECT, _DISCONNECT, _EVENT, _ACK, _CONNECT_ERROR, _BINARY_EVENT, _BINARY_ACK = b"0123456"

_ID_DIGITS_MAX: Final = 15
_USUAL_HEAD_BYTES_MAX: Final = 64
# Ids beyond 2 ** 53 are no numbers of JavaScript's.
_HEAD: Final = re.compile(
    rb"4(?:[0-4]|[56]([1-9][0-9]{0,2})-)"
    rb"(?:(/[^,?]*)(?:\?[^,]*)?(?:,|\Z))?([0-9]{1,%d}(?![0-9]))?" % _ID_DIGITS_MAX
)


class PacketError(Exception):
    """The bytes are no packet that this wire knows."""


class Packet(msgspec.Struct, frozen=True):
    """Any of the packets below."""


class Open(Packet, frozen=True):
    """The server's first packet on a connection. Times are milliseconds."""

    sid: str
    ping_interval_ms: int
    ping_timeout_ms: int
    message_bytes_max: int


class Close(Packet, frozen=True):
    """The peer ends the connection."""


class Ping(Packet, frozen=True):
    """The server asks whether the client is there."""


class Pong(Packet, frozen=True):
    """The client is there."""


class Ignored(Packet, frozen=True):
    """A packet of a transport upgrade, which means nothing on a websocket."""


NOTHING: Final = Ignored()


class Connect(Packet, frozen=True):
    """A client asks for a namespace, with what authenticates it; the server says yes."""

    namespace: str
    payload: dict[str, Any] | None = None


class ConnectError(Packet, frozen=True):
    """The server refuses a namespace."""

    namespace: str
    payload: Any = None


class Disconnect(Packet, frozen=True):
    """Either side leaves a namespace."""

    namespace: str


class Event(Packet, frozen=True):
    """An event, which wants an acknowledgement when ``ack_id`` is not None."""

    namespace: str
    ack_id: int | None
    name: str
    arguments: list[Any]
    attachments: tuple[bytes, ...] = ()


class Ack(Packet, frozen=True):
    """The acknowledgement of an event."""

    namespace: str
    ack_id: int
    arguments: list[Any]
    attachments: tuple[bytes, ...] = ()


class Announced(Packet, frozen=True):
    """An event or acknowledgement without its attachments: ``count`` binary messages follow."""

    packet: Event | Ack
    count: int


_BARE: Final[dict[int, Packet]] = {
    _CLOSE: Close(),
    _PING: Ping(),
    _PONG: Pong(),
    _UPGRADE: NOTHING,
    _NOOP: NOTHING,
}


def decode(message: bytes) -> Packet:
    """The packet of one message; raises PacketError."""
    head = _HEAD.match(message)
    if head is None:
        return _decode_bare(message)
    kind = message[1]
    raw_count, raw_namespace, raw_id = head.groups()
    namespace = DEFAULT_NAMESPACE if raw_namespace is None else _text(raw_namespace)
    ack_id = None if raw_id is None else int(raw_id)
    text = message[head.end() :]
    payload = _json(text) if text else None
    if kind == _EVENT:
        return _event(namespace, ack_id, payload)
    if kind == _ACK:
        return _ack(namespace, ack_id, payload)
    if raw_count is not None:
        make = _event if kind == _BINARY_EVENT else _ack
        return Announced(make(namespace, ack_id, payload), int(raw_count))
    if ack_id is not None:
        raise PacketError("only events and acknowledgements have an id")
    return _about_namespace(kind, namespace, payload)


def _decode_bare(message: bytes) -> Packet:
    """A packet that is no message of Socket.IO."""
    if not message:
        raise PacketError("an empty message")
    kind = message[0]
    if kind == _OPEN:
        return _decode_open(_json(message[1:]))
    bare = _BARE.get(kind)
    if bare is None:
        raise PacketError(f"unknown packet {message[:2]!r}")
    return bare


def usual_event(message: bytes, usual: Mapping[bytes, tuple[str, int]]) -> Packet | None:
    """The event that a message is, as ``decode`` would have it; None for what has to be decoded as
    any packet. ``usual`` are the namespaces (``usual_events``)."""
    end = message.find(b",", 0, _USUAL_HEAD_BYTES_MAX) + 1
    found = usual.get(message[:end])
    start = message.find(b"[", end, end + _ID_DIGITS_MAX + 1)
    if found is None or start < 0:
        return None
    digits = message[end:start]
    if not digits.isdigit():
        return None
    namespace, count = found
    event = _event(namespace, int(digits), _json(message[start:]))
    return Announced(event, count) if count else event


def usual_events(namespaces: Iterable[str]) -> Mapping[bytes, tuple[str, int]]:
    """What events begin with that want an acknowledgement and have one attachment, or none, in
    these namespaces, but the default one; each with its namespace and the number of attachments."""
    named = [each for each in namespaces if each != DEFAULT_NAMESPACE]
    return {
        kind + head(namespace): (namespace, count)
        for namespace in named
        for kind, count in ((b"42", 0), (b"451-", 1))
    }


def usual_ack(message: bytes, usual: re.Pattern[bytes], namespace: str) -> Ack | None:
    """The acknowledgement that a message is, as ``decode`` would have it; None for what has to be
    decoded as any packet. ``usual`` is the pattern of the namespace (``usual_acks``)."""
    found = usual.match(message)
    if found is None:
        return None
    arguments = _json(message[found.end() :])
    return Ack(namespace, int(found[1]), arguments) if isinstance(arguments, list) else None


def usual_acks(namespace: str) -> re.Pattern[bytes]:
    """Acknowledgements without attachments on a namespace, up to their arguments; the group is
    their ID."""
    return re.compile(rb"43%b([0-9]{1,%d})(?=\[)" % (re.escape(head(namespace)), _ID_DIGITS_MAX))


def _event(namespace: str, ack_id: int | None, payload: Any) -> Event:
    if not isinstance(payload, list) or not payload:
        raise PacketError("an event is an array that begins with its name")
    name = payload.pop(0)
    if not isinstance(name, str):
        raise PacketError("the name of an event is a string")
    return Event(namespace, ack_id, name, payload)


def _ack(namespace: str, ack_id: int | None, payload: Any) -> Ack:
    if ack_id is None or not isinstance(payload, list):
        raise PacketError("an acknowledgement has an id and an array")
    return Ack(namespace, ack_id, payload)


def _about_namespace(kind: int, namespace: str, payload: Any) -> Packet:
    if kind == _CONNECT_ERROR:
        return ConnectError(namespace, payload)
    if kind == _DISCONNECT:
        if payload is not None:
            raise PacketError("a disconnect packet says nothing")
        return Disconnect(namespace)
    if payload is not None and not isinstance(payload, dict):
        raise PacketError("the payload of a connect packet is an object")
    return Connect(namespace, payload)


def _decode_open(payload: Any) -> Open:
    match payload:
        case {
            "sid": str() as sid,
            "pingInterval": int() as interval,
            "pingTimeout": int() as timeout,
        } if interval > 0 and timeout > 0:
            size = payload.get("maxPayload")
            return Open(sid, interval, timeout, size if isinstance(size, int) else 0)
    raise PacketError("an open packet has sid, pingInterval and pingTimeout")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise PacketError("a namespace is not valid UTF-8") from error


def _json(text: bytes) -> Any:
    try:
        return codec.loads(text)
    except ValueError as error:
        raise PacketError("a payload is not JSON") from error


def encode_open(packet: Open) -> bytes:
    """The open packet of a server whose connections are websockets already."""
    return b"0" + codec.encode(
        {
            "sid": packet.sid,
            "upgrades": [],
            "pingInterval": packet.ping_interval_ms,
            "pingTimeout": packet.ping_timeout_ms,
            "maxPayload": packet.message_bytes_max,
        }
    )


def head(namespace: str) -> bytes:
    """What stands between the type of a packet and its id."""
    return b"" if namespace == DEFAULT_NAMESPACE else namespace.encode() + b","


_joined_head = lru_cache(maxsize=16)(head)
"""The same of a namespace that was joined: there are few. Of others, which anybody may name at any
length, nothing is kept."""


def encode_connect(namespace: str, payload: dict[str, Any] | None = None) -> bytes:
    """Ask for a namespace, or grant it."""
    return b"40" + head(namespace) + (b"" if payload is None else codec.encode(payload))


def encode_connect_error(namespace: str, message: str) -> bytes:
    """Refuse a namespace."""
    return b"44" + head(namespace) + codec.encode({"message": message})


def encode_disconnect(namespace: str) -> bytes:
    """Leave a namespace."""
    return b"41" + head(namespace)


def encode_event(namespace: str, ack_id: int | None, payload: bytes, attachments: int = 0) -> bytes:
    """An event; ``payload`` is the JSON array of its name and arguments. So many ``attachments``
    follow it."""
    number = b"" if ack_id is None else b"%d" % ack_id
    if attachments:
        return b"45%d-%b%b%b" % (attachments, _joined_head(namespace), number, payload)
    return b"42%b%b%b" % (_joined_head(namespace), number, payload)


def encode_ack(namespace: str, ack_id: int, payload: bytes, attachments: int = 0) -> bytes:
    """An acknowledgement; ``payload`` is the JSON array of its arguments, ``attachments`` as for
    an event."""
    if attachments:
        return b"46%d-%b%d%b" % (attachments, _joined_head(namespace), ack_id, payload)
    return b"43%b%d%b" % (_joined_head(namespace), ack_id, payload)
