"""A request and its reply as values: what the HTTP server hands in and gets back.

Only ``http_server`` knows which HTTP library serves the S3 port. Nobody changes a request.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from multidict import CIMultiDictProxy

Headers = CIMultiDictProxy[str]


class BodyAbortedError(Exception):
    """The client went away, or its connection failed, before the body was complete."""


class RequestBody(Protocol):
    """The body of a request, unread."""

    @property
    def length(self) -> int | None:
        """Content-Length in bytes; None when the client did not declare one."""

    @property
    def received(self) -> int:
        """Bytes that have been read so far."""

    async def accept(self) -> None:
        """Tell a client that waits for ``100 Continue`` to send the body."""

    def blocks(self, *, gradually: bool = False) -> AsyncGenerator[bytes, None]:
        """The bytes as they arrive, in blocks of some MiB at most.

        ``gradually``: the first are small, for a reader that sees in them how much to ``hold``.

        Raises BodyAbortedError, and S3Error RequestTimeout when nothing comes for long.
        """

    async def hold(self, size: int) -> None:
        """Have room for so many bytes of the body at once, until the request has been answered.

        Whoever gathers a body, or part of it, asks first. Raises S3Error SlowDown when others
        hold too much for too long.
        """

    def comes_at_once(self) -> bool:
        """Whether all the bytes may be read at once: they are few, or there is plenty of room for
        them, and they have it from now on."""

    async def read(self) -> Sequence[bytes]:
        """All the bytes at once, in the pieces in which they came, in place of ``blocks`` and with
        its errors; for few of them."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request. ``raw_target`` is the request target exactly as it was received.

    ``hosts`` are what the client may have sent as ``Host`` when proxies stand before this server,
    the most likely first; without any it is the header. ``folded`` are the headers as they were
    sent, by their names in lower case; None of some that say more (``shared.http1.head``).
    ``hoisted`` are those of the headers, in lower case, that stood in a presigned query and were
    not named among the signed headers. ``tls_version`` is that of the connection (``TLSv1.3``…);
    None where it is not known, or not the client's own.
    """

    method: str
    raw_target: str
    headers: Headers
    body: RequestBody
    peer: str
    secure: bool
    folded: Mapping[str, str] | None = None
    hosts: tuple[str, ...] = ()
    hoisted: frozenset[str] = frozenset()
    tls_version: str | None = None

    @property
    def host(self) -> str:
        """The host, and port if any, that the client addressed."""
        return self.hosts[0] if self.hosts else self.headers.get("host", "")


class Passage(Protocol):
    """Bytes of a body that the server may move to the client from where they are.

    If it does not, the bytes follow.
    """

    @property
    def moved(self) -> int:
        """How many it has moved."""


class _Names:
    """The names of headers, a line each. Several stages ask for those of a request before it waits
    for anything, so those that were asked for last are kept, with the headers that have them."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[Headers | None, str] = (None, "")

    def __call__(self, headers: Headers) -> str:
        of, names = self._last
        if of is not headers:
            names = "\n".join(headers)
            self._last = headers, names
        return names


names_of: Final = _Names()


class StreamedBody(msgspec.Struct, frozen=True):
    """A body of ``length`` bytes, produced while it is sent.

    None is for a document whose length is not known when its reply begins: HTTP marks its end, and
    the document of an error takes the place of what was to come.
    """

    length: int | None
    blocks: AsyncGenerator[bytes | bytearray | Passage, None]


class Reply(msgspec.Struct, frozen=True):
    """What to answer. Header values are text without line breaks; the server adds the framing."""

    status: int
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes | StreamedBody = b""
    close: bool = False
