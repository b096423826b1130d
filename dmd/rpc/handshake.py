"""What Engine.IO refuses a request for, in the words of the original's server. Pure.

CloudServer's metadata daemon is served by engine.io 6.4; python-engineio refuses the same requests
with other bodies, so they are judged here first, in engine.io's order.
"""

from __future__ import annotations

from typing import Final

import msgspec

PATH: Final = "/socket.io/"
PROTOCOL: Final = "4"
TRANSPORTS: Final = frozenset(("polling", "websocket"))


class Problem(msgspec.Struct, frozen=True):
    """A refusal. ``document`` is the body of its reply; a request that wanted to become a websocket
    is answered with the ``message`` alone."""

    code: int
    message: str

    @property
    def document(self) -> dict[str, int | str]:
        return {"code": self.code, "message": self.message}


UNKNOWN_TRANSPORT: Final = Problem(0, "Transport unknown")
UNKNOWN_SESSION: Final = Problem(1, "Session ID unknown")
BAD_METHOD: Final = Problem(2, "Bad handshake method")
BAD_REQUEST: Final = Problem(3, "Bad request")
BAD_VERSION: Final = Problem(5, "Unsupported protocol version")


class Asked(msgspec.Struct, frozen=True):
    """What matters of a request: its parameters, its method, and whether it wants to become a
    websocket. ``session`` is the transport that its session is on, None when there is none of its
    ID."""

    method: str
    transport: str | None
    version: str | None
    session_id: str | None
    session: str | None
    upgrades: bool


def problem_of(asked: Asked) -> Problem | None:
    """Why a request is refused; None when it is not."""
    if asked.transport not in TRANSPORTS:
        return UNKNOWN_TRANSPORT
    if asked.session_id:
        if asked.session is None:
            return UNKNOWN_SESSION
        if not asked.upgrades and asked.session != asked.transport:
            return BAD_REQUEST
        return None
    if asked.method != "GET":
        return BAD_METHOD
    if asked.transport == "websocket" and not asked.upgrades:
        return BAD_REQUEST
    return None if asked.version == PROTOCOL else BAD_VERSION
