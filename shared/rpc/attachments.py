"""Bytes beside a packet, as Socket.IO has them: messages of their own that follow it. Pure.

In the JSON of the packet, an object stands in the place of each, which has its number there::

    451-/MDFile/metadata,13["call","batch",{... {"_placeholder":true,"num":0} ...}]
    (a binary message)

Source: the Socket.IO protocol, version 5, "Binary event" and "Binary ack".

Rules:

1. Nobody looks for placeholders where none are expected: whoever knows a member that may be bytes
   asks ``received`` for it. A client, whose results are small, has them put in their places.
2. All calls of a batch event share the attachments of its packet, so a client numbers those of its
   calls anew (``renumbered``), and a server attaches the results of all calls to one list.
3. What a packet announces is gathered up to a limit, and nothing is kept of a packet whose
   attachments another message of Socket.IO interrupts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from shared import limits
from shared.rpc import packets

_PLACEHOLDER: Final = b'{"_placeholder":true,"num":%d}'
"""As ``shared.rpc.codec`` writes it. Inside a string its quotation marks would be escaped, so that
these bytes are found nowhere else in JSON text."""

_HOLDING: Final = (list, dict)
"""What there is in JSON that holds something."""

_DEPTH_MAX: Final = 16
"""How deep in a result there may be attachments."""


class Attachments:
    """Those of one event and of its answer, as a server sees them."""

    __slots__ = ("_room", "received_bytes", "to_send")

    def __init__(
        self, received: Sequence[bytes] = (), bytes_max: int = limits.RPC_ATTACHED_BYTES_MAX
    ) -> None:
        self.received_bytes = received
        self.to_send: list[bytes] = []
        """What is sent behind the answer."""
        self._room = bytes_max

    def received(self, value: Any) -> bytes | None:
        """The bytes that stand in the place of ``value``; None when it is no placeholder of any."""
        if isinstance(value, dict) and value.get("_placeholder") is True:
            number = value.get("num")
            if type(number) is int and 0 <= number < len(self.received_bytes):
                return self.received_bytes[number]
        return None

    def attach(self, data: bytes) -> dict[str, Any] | None:
        """Send bytes behind the answer: what stands in their place there. None when all answers of
        the event have as many of them as they may have, or would have."""
        self._room -= len(data)
        if self._room < 0:
            return None
        self.to_send.append(data)
        return placeholder(len(self.to_send) - 1)


class Gathering:
    """A packet whose attachments are on their way, at most ``bytes_max`` bytes of them."""

    def __init__(self, announced: packets.Announced, bytes_max: int) -> None:
        self.size = 0
        """What has come of them, in bytes."""
        self._announced = announced
        self._bytes_max = bytes_max
        self._found: list[bytes] = []

    def add(self, data: bytes) -> packets.Event | packets.Ack | None:
        """Take the next one; the packet when it was the last. Raises PacketError for too much."""
        self.size += len(data)
        if self.size > self._bytes_max:
            raise packets.PacketError("more attached bytes than a message may have")
        self._found.append(data)
        if len(self._found) < self._announced.count:
            return None
        return replace(self._announced.packet, attachments=tuple(self._found))


def placeholder(number: int) -> dict[str, Any]:
    """What stands in JSON in the place of attachment ``number``."""
    return {"_placeholder": True, "num": number}


def renumbered(text: bytes, count: int, first: int) -> bytes:
    """JSON text with ``count`` attachments, numbered from ``first`` on instead of from 0."""
    if first:
        for number in reversed(range(count)):
            text = text.replace(_PLACEHOLDER % number, _PLACEHOLDER % (first + number))
    return text


def put_in(value: Any, attachments: Sequence[bytes], depth: int = _DEPTH_MAX) -> Any:
    """A JSON value with attachments in their places; a placeholder of none stays."""
    if not depth or type(value) not in _HOLDING:
        return value
    if type(value) is list:
        return [
            put_in(item, attachments, depth - 1) if type(item) in _HOLDING else item
            for item in value
        ]
    found = Attachments(attachments).received(value) if "_placeholder" in value else None
    if found is not None:
        return found
    return {
        name: put_in(item, attachments, depth - 1) if type(item) in _HOLDING else item
        for name, item in value.items()
    }
