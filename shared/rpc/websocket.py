"""The websocket protocol (RFC 6455) without I/O: the opening handshake, and frames. Pure.

Rules:

1. ``FrameReader`` is fed with bytes as they arrive, split anywhere, and is asked for messages one
   at a time, so that a shell can stop between two of them. It keeps what was fed and not asked for.
2. The length of a message is checked as soon as it is declared, before any of it is gathered.
3. No extension is negotiated, so reserved bits are errors (section 5.2).
4. Text is not checked to be UTF-8 here (section 8.1): what reads it has to look at every byte
   anyway, and drops a bad message instead of the connection.

Of the ``websockets`` library, only the masking is used (``shared.rpc.masking``): its ``Protocol``
takes more than twice the instructions for the same frames, cannot be stopped between two messages,
and does not tell how large one is that is under way (docs/performance.md).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from shared.rpc.masking import apply_mask

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
TRY_AGAIN_LATER: Final = 1013

NO_CHANGE: Final = bytes(4)
"""The mask that leaves a payload as it is."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_OPCODES: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_WHOLE_TEXT: Final = 0x80 | TEXT
_WHOLE_BINARY: Final = 0x80 | BINARY
_WHOLE: Final = (_WHOLE_TEXT, _WHOLE_BINARY)
_MASKED: Final = 0x80
_CONTROL_BYTES_MAX: Final = 125
_SIZE_IN_TWO_BYTES: Final = 126
_MASKED_IN_TWO_BYTES: Final = _MASKED | _SIZE_IN_TWO_BYTES
_TWO_BYTES_MAX: Final = (1 << 16) - 1
_SHORT_HEAD: Final = struct.Struct(">BB")
_SHORT_HEAD_AND_NO_CHANGE: Final = struct.Struct(">BB4x")
_USUAL_HEAD: Final = struct.Struct(">BBH")
_USUAL_HEAD_AND_NO_CHANGE: Final = struct.Struct(">BBH4x")
"""Heads of frames with a size in one byte or in two; also with the mask that changes nothing."""
_KEY_BYTES: Final = 16


class WebSocketError(Exception):
    """The peer broke the protocol; ``code`` is the status of the close frame that it deserves."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


# -- The opening handshake (section 4) ------------------------------------------------------------


class Head(msgspec.Struct, frozen=True):
    """The start of an HTTP request or response; names of headers are in lower case."""

    first_line: str
    headers: Mapping[str, str]


def parse_head(raw: bytes) -> Head | None:
    """The head that ends with an empty line; None when it is malformed, or when a header that
    should be there once is there twice."""
    try:
        first_line, *lines = raw.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip() or name.lower() in headers:
            return None
        headers[name.lower()] = value.strip(" \t")
    return Head(first_line, headers)


def requested_key(headers: Mapping[str, str]) -> str | None:
    """The key of a correct request to open a websocket, or None."""
    tokens = {token.strip().lower() for token in headers.get("connection", "").split(",")}
    key = headers.get("sec-websocket-key", "")
    try:
        length = len(base64.b64decode(key, validate=True))
    except ValueError:
        return None
    correct = (
        headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in tokens
        and headers.get("sec-websocket-version") == "13"
        and length == _KEY_BYTES
    )
    return key if correct else None


def accept_value(key: str) -> str:
    """What a server answers to a key, to prove that it understood."""
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def request(host: str, target: str, nonce: bytes) -> tuple[bytes, str]:
    """A client's request, and the Sec-WebSocket-Accept that its answer must have.

    ``nonce`` is 16 random bytes.
    """
    key = base64.b64encode(nonce).decode()
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    return "\r\n".join([*lines, "", ""]).encode(), accept_value(key)


def response(key: str) -> bytes:
    """A server's answer to a correct request."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_value(key)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


# -- Frames (section 5) ---------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """One unfragmented frame. A client gives four bytes as ``mask``, a server none."""
    length = len(payload)
    if _CONTROL_BYTES_MAX < length <= _TWO_BYTES_MAX:  # as nearly all are
        if mask is None:
            return _USUAL_HEAD.pack(0x80 | opcode, _SIZE_IN_TWO_BYTES, length) + payload
        if mask is NO_CHANGE:
            head = _USUAL_HEAD_AND_NO_CHANGE.pack(0x80 | opcode, _MASKED_IN_TWO_BYTES, length)
            return head + payload
    bit = 0 if mask is None else _MASKED
    if length <= _CONTROL_BYTES_MAX:
        header = _SHORT_HEAD.pack(0x80 | opcode, bit | length)
    elif length <= _TWO_BYTES_MAX:
        header = _USUAL_HEAD.pack(0x80 | opcode, bit | _SIZE_IN_TWO_BYTES, length)
    else:
        header = bytes((0x80 | opcode, bit | 127)) + length.to_bytes(8, "big")
    if mask is None:
        return header + payload
    return b"".join((header, mask, payload if mask == NO_CHANGE else apply_mask(payload, mask)))


def close_frame(code: int, mask: bytes | None = None) -> bytes:
    """A close frame with a status."""
    return frame(CLOSE, code.to_bytes(2, "big"), mask)


class FrameReader:
    """Messages from bytes. ``from_client``: frames must be masked; else they must not be.

    ``message_bytes_max`` may be changed; it counts for frames that begin afterwards.
    """

    def __init__(self, *, from_client: bool, message_bytes_max: int) -> None:
        self._mask_bit = _MASKED if from_client else 0
        self._short_head = _SHORT_HEAD_AND_NO_CHANGE if from_client else _SHORT_HEAD
        self._usual_head = _USUAL_HEAD_AND_NO_CHANGE if from_client else _USUAL_HEAD
        self._usual_head_bytes = self._usual_head.size
        self._usual_second = self._mask_bit | _SIZE_IN_TWO_BYTES
        self._mask_bytes = 4 if from_client else 0
        self._head_bytes_min = 2 + self._mask_bytes
        self.message_bytes_max = message_bytes_max
        self._buffer = b""
        self._position = 0
        self._arrived: list[bytes] = []
        self._available = 0
        self._needed = 2
        self._message: bytearray | None = None
        self._message_opcode = 0

    @property
    def claimed(self) -> int:
        """The size in bytes of the message under way, as far as it is known."""
        message = 0 if self._message is None else len(self._message)
        return message + (self._needed if self._available < self._needed else self._available)

    @property
    def held(self) -> int:
        """What has arrived of it."""
        return self._available + (0 if self._message is None else len(self._message))

    def whole_text(self, data: bytes) -> bytes | None:
        """The payload of what has arrived, when that is one text message, not masked or masked with
        zeros, as it usually is, and nothing else is under way. Else None: it has to be fed."""
        if self._available or self._message is not None:
            return None
        return self._whole(_WHOLE_TEXT, data)

    def whole_packet(self, data: bytes) -> tuple[bytes, bytes | None] | None:
        """The same, also of a text message of a usual size and a binary one behind it: a packet
        that has an attachment."""
        if self._available or self._message is not None:
            return None
        size = int.from_bytes(data[2:4], "big")
        head = self._usual_head.pack(_WHOLE_TEXT, self._usual_second, size)
        if data.startswith(head) and _SIZE_IN_TWO_BYTES <= size <= self.message_bytes_max:
            start = len(head)
            behind = start + size
            if behind == len(data):
                return data[start:], None
            attachment = self._whole(_WHOLE_BINARY, data[behind:])
            return None if attachment is None else (data[start:behind], attachment)
        text = self._whole(_WHOLE_TEXT, data)
        return None if text is None else (text, None)

    def _whole(self, first: int, data: bytes) -> bytes | None:
        """The payload of data that is one frame: it begins with the one head that a frame of its
        size has which begins with the byte ``first``."""
        size = len(data) - self._usual_head_bytes
        if _SIZE_IN_TWO_BYTES <= size <= _TWO_BYTES_MAX:
            head = self._usual_head.pack(first, self._usual_second, size)
        else:
            size = len(data) - self._short_head.size
            if not 0 <= size <= _CONTROL_BYTES_MAX:
                return None
            head = self._short_head.pack(first, self._mask_bit | size)
        if size > self.message_bytes_max or not data.startswith(head):
            return None
        return data[len(head) :]

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        if self._available:
            self._arrived.append(data)
        else:
            self._buffer, self._position = data, 0
        self._available += len(data)

    def next(self) -> tuple[int, bytes] | None:
        """The opcode and payload of the next whole message or control frame, or None until more
        has arrived; raises WebSocketError, after which nothing more can be read."""
        while self._available >= self._needed:
            if self._arrived:
                self._gather()
            found = self._frame()
            if found is None:
                continue
            final, opcode, payload = found
            if final and opcode != CONTINUATION and (opcode >= CLOSE or self._message is None):
                return opcode, payload
            if self._assemble(final, opcode, payload):
                assert self._message is not None
                whole = bytes(self._message)
                self._message = None
                return self._message_opcode, whole
        return None

    def _gather(self) -> None:
        """Put what has arrived behind what is left."""
        rest = self._buffer[self._position :]
        self._buffer = b"".join((rest, *self._arrived))
        self._position = 0
        self._arrived.clear()

    def _frame(self) -> tuple[bool, int, bytes] | None:
        """The next frame: whether it ends its message, its opcode, its payload."""
        buffer, start = self._buffer, self._position
        first, second = buffer[start], buffer[start + 1]
        length = second & 0x7F
        size = self._head_bytes_min
        if length > _CONTROL_BYTES_MAX:
            size += 2 if length == _SIZE_IN_TWO_BYTES else 8
            if self._available < size:
                self._needed = size
                return None
            length = int.from_bytes(buffer[start + 2 : start + size - self._mask_bytes], "big")
        if (
            first not in _WHOLE
            or second & _MASKED != self._mask_bit
            or length > self.message_bytes_max
            or self._message is not None
        ):
            self._check(first, second, length)
        end = size + length
        if self._available < end:
            self._needed = end
            return None
        payload_at = start + size
        payload = buffer[payload_at : payload_at + length]
        if self._mask_bytes and not buffer.startswith(NO_CHANGE, payload_at - 4):
            payload = apply_mask(payload, buffer[payload_at - 4 : payload_at])
        self._position = start + end
        self._available -= end
        self._needed = 2
        if not self._available:
            self._buffer, self._position = b"", 0  # it may have been large
        return first >= 0x80, first & 0x0F, payload

    def _check(self, first: int, second: int, length: int) -> None:
        opcode = first & 0x0F
        if first & 0x70 or opcode not in _OPCODES:
            raise WebSocketError(PROTOCOL_ERROR, "an unknown kind of frame")
        if second & 0x80 != self._mask_bit:
            raise WebSocketError(PROTOCOL_ERROR, "clients mask frames, and servers do not")
        if opcode >= CLOSE:
            if length > _CONTROL_BYTES_MAX or first < 0x80:
                raise WebSocketError(PROTOCOL_ERROR, "control frames are short and whole")
            return
        if (opcode == CONTINUATION) != (self._message is not None):
            raise WebSocketError(PROTOCOL_ERROR, "a message begins inside another, or nowhere")
        gathered = 0 if self._message is None else len(self._message)
        if gathered + length > self.message_bytes_max:
            raise WebSocketError(TOO_BIG, f"a message of {gathered + length} bytes or more")

    def _assemble(self, final: bool, opcode: int, payload: bytes) -> bool:
        """Add a fragment to its message; whether that is complete now."""
        if self._message is None:
            self._message = bytearray()
            self._message_opcode = opcode
        self._message += payload
        return final
