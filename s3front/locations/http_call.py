"""One request of ``http_client``, and what has come of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from s3front.locations.receive_buffers import Share
from shared.http1.body import IncomingBody
from shared.http1.deadlines import Watched
from shared.http1.head import ResponseHead
from shared.http1.waiter import Waiter

CONTINUE_SECONDS_MAX: Final = 1.0
"""How long a server that was asked whether it wants a body may take to say so: not all do."""


class SourceError(Exception):
    """The source of an upload's body failed, with ``error``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


async def next_block(blocks: AsyncGenerator[bytes, None]) -> bytes | None:
    """The next block of an upload's body, None at the end. Raises SourceError."""
    try:
        return await anext(blocks)
    except StopAsyncIteration:
        return None
    except Exception as error:
        raise SourceError(error) from error


class Kind(NamedTuple):
    """What is special about a request, and about the body of its response."""

    bodiless: bool
    holds: bool
    stall_seconds: float
    expects: bool


class Call:
    """One request and its response. Whoever waits for it looks here and not at the connection,
    which may have the next request before that coroutine has its turn."""

    __slots__ = (
        "failure",
        "head",
        "invited",
        "kind",
        "response_body",
        "reusable",
        "sent",
        "share",
        "unsent",
        "waiter",
    )

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.head: ResponseHead | None = None
        self.response_body: IncomingBody | None = None
        self.failure: str | None = None
        self.invited = not kind.expects
        self.unsent = False
        self.sent = False
        self.reusable = True
        self.share: Share | None = None
        """That of the response's body, unless it is small."""
        self.waiter = Waiter()

    async def answered(self, owner: Watched, seconds: float) -> tuple[ResponseHead, IncomingBody]:
        """Wait for the head of the response. ``owner`` is the connection. Raises ConnectionError,
        TimeoutError."""
        while self.head is None or self.response_body is None:
            if self.failure is not None:
                raise ConnectionResetError(self.failure)
            await self.waiter.wait(owner, seconds)
        return self.head, self.response_body

    async def invitation(self, owner: Watched) -> None:
        """Wait until the server says that it wants the body, or something else, or is silent for
        too long. Raises ConnectionError."""
        self.unsent = True
        try:
            while not (self.invited or self.head is not None):
                if self.failure is not None:
                    raise ConnectionResetError(self.failure)
                await self.waiter.wait(owner, CONTINUE_SECONDS_MAX)
        except TimeoutError:
            pass
        self.unsent = False

    def fail(self, reason: str) -> None:
        """No more will come."""
        self.reusable = False
        self.failure = reason
        self.waiter.wake()
