"""The secret that both halves know: what a client of the daemon shows, and who is let in. Pure.

Clients send the first of the configured secrets, servers accept all of them, so that one can be
replaced by another while everything runs. On port 9990 it is the ``auth`` payload of Socket.IO's
connect packet, ``{"secret": …}``; on 9991, and in the debugging interface, the header
``Authorization: Bearer …``. A daemon without a secret lets everybody in, as the original does.

No ``repr`` and no error here holds a secret.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

import msgspec

REFUSAL: Final = "the shared secret (daemonSecret) is missing or wrong"
"""What a client reads that is not let in."""

_SCHEME: Final = "Bearer "
_CONNECT_PAYLOAD: Final = re.compile(r"\A(4?0(?:/[^,]*,)?)[\[{\"].*", re.DOTALL)


class DaemonSecret(msgspec.Struct, frozen=True):
    """``values``: the secret to send, then others to accept; none of them when empty."""

    values: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "DaemonSecret()"

    @property
    def required(self) -> bool:
        """Whether a client has to know a secret."""
        return bool(self.values)

    @property
    def payload(self) -> dict[str, str] | None:
        """What a client gives with the connect packet."""
        return {"secret": self.values[0]} if self.values else None

    @property
    def authorization(self) -> str | None:
        """What a client sends as the header ``Authorization``."""
        return _SCHEME + self.values[0] if self.values else None

    def admits_payload(self, payload: object) -> bool:
        """Whether the payload of a connect packet lets its sender in."""
        given = payload.get("secret") if isinstance(payload, dict) else None
        return not self.values or self._admits(given if isinstance(given, str) else "")

    def admits_authorization(self, header: str | None) -> bool:
        """Whether the value of a header ``Authorization``, None without one, lets its sender in."""
        if not self.values:
            return True  # without another step: this is asked for every blob
        given = header or ""
        return self._admits(given[len(_SCHEME) :] if given.startswith(_SCHEME) else "")

    def _admits(self, given: str) -> bool:
        # Text of the wire may have lone surrogates, which no other way of encoding takes.
        shown = given.encode(errors="surrogatepass")
        # All are compared: the time must not tell which one it is.
        found = [hmac.compare_digest(shown, value.encode()) for value in self.values]
        return any(found)


_NO_SECRET: Final = DaemonSecret()


class Gate:
    """What the ports of a daemon ask. ``secret`` may be replaced while they serve (a reload);
    connections that were let in before stay."""

    def __init__(self, secret: DaemonSecret = _NO_SECRET) -> None:
        self.secret = secret


def without_payload(frame: str) -> str:
    """A frame of Socket.IO as a log may show it: a connect packet without what came with it."""
    return _CONNECT_PAYLOAD.sub(r"\1{…}", frame)
