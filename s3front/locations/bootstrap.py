"""Several hosts that serve the same: each request goes to one of them, and to another if it fails.

Theory of operation. Which host is asked first differs from process to process, so that they share
the load, and stays the same until that host fails. Then it goes to the end of the list, where it is
asked again when the others fail as well. A request goes on to the next host when its host cannot be
reached, says nothing, or has an error of its own (500 and above), as long as what was sent can be
sent again: nothing of a stream of blocks can, once it has begun. Whoever calls asks nothing that
must not be done twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final, NamedTuple

from s3front.locations.http_client import HttpClient, NotConnectedError, Response
from s3front.locations.origin import Origin
from s3front.locations.remote_store import PlaceError, Trouble
from shared.config.values import Address

STALL_SECONDS_MAX: Final = 15.0
"""How long a host may say nothing, or take nothing."""

ANSWER_SECONDS_MAX: Final = 6.0
"""Until the answer to a request begins that can be sent to another host: so that there is time to
do it, as whoever asks waits for 10 or 30 seconds."""

GIVEN_UP_SECONDS: Final = 1.0
"""Whoever does not wait for an answer any more after so long, has waited for a host that hangs."""

BEGIN_SECONDS_MAX: Final = 30.0
"""After so long, no further host is asked."""

_ERROR_BYTES_MAX: Final = 4096
_REASON_CHARACTERS_MAX: Final = 200
_BUSY: Final = 429


class Answer(NamedTuple):
    """A response, and the address of the host that it is from."""

    host: str
    response: Response


class Bootstrap:
    """See the module. Make it inside the event loop; ``close`` it. ``what`` the hosts run, for
    reasons of errors."""

    def __init__(
        self, what: str, addresses: Sequence[Address], stall_seconds: float = STALL_SECONDS_MAX
    ) -> None:
        self._what = what
        self._answer_seconds = min(ANSWER_SECONDS_MAX, stall_seconds)
        self._loop = asyncio.get_running_loop()
        origins = [Origin(host, port) for host, port in addresses]
        secrets.SystemRandom().shuffle(origins)
        self._hosts = [
            (origin.authority, HttpClient(origin, stall_seconds=stall_seconds))
            for origin in origins
        ]

    @property
    def hosts(self) -> Sequence[str]:
        """Their addresses, the one that is asked first at the front."""
        return [name for name, _ in self._hosts]

    async def close(self) -> None:
        """Close the connections."""
        for _, client in self._hosts:
            await client.close()

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | AsyncGenerator[bytes, None] = b"",
        *,
        holds: bool = False,
    ) -> Answer:
        """Send a request, see ``HttpClient.request``; the first answer that is no server error.
        ``body`` is closed. Raises PlaceError, SourceError."""
        if isinstance(body, bytes):
            return await self._ask(method, target, headers, body, holds=holds)
        try:
            return await self._ask(method, target, headers, body, holds=holds)
        finally:
            await body.aclose()

    async def ask_host(
        self, host: str, method: str, target: str, headers: Mapping[str, str]
    ) -> Response:
        """Ask one of ``hosts``, and no other. Raises OSError."""
        return await dict(self._hosts)[host].request(method, target, headers)

    async def _ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | AsyncGenerator[bytes, None],
        *,
        holds: bool,
    ) -> Answer:
        failures: list[PlaceError] = []
        begin_until = self._loop.time() + BEGIN_SECONDS_MAX
        for host, client in list(self._hosts):
            if failures and self._loop.time() > begin_until:
                break
            once = body if isinstance(body, bytes) else _Once(body)
            blocks = once if isinstance(once, bytes) else once.blocks()
            began = self._loop.time()
            seconds = self._answer_seconds if isinstance(blocks, bytes) else None
            try:
                async with asyncio.timeout(seconds):
                    response = await client.request(method, target, headers, blocks, holds=holds)
            except asyncio.CancelledError:
                if self._loop.time() - began > GIVEN_UP_SECONDS and isinstance(blocks, bytes):
                    self.leave(host)
                raise
            except OSError as error:
                self.leave(host)
                unreached = isinstance(error, NotConnectedError)
                failures.append(self._failure(host, error, unreached=unreached))
            else:
                if response.status < 500 and response.status != _BUSY:
                    return Answer(host, response)
                failures.append(await self.refusal(Answer(host, response), Trouble.BUSY))
            if isinstance(once, _Once) and once.begun:
                break
        raise _worst(failures)

    async def refusal(self, answer: Answer, trouble: Trouble) -> PlaceError:
        """What an answer is that is an error; its connection can be used again."""
        text = (await text_of(answer.response))[:_REASON_CHARACTERS_MAX]
        said = f"{self._what} {answer.host} answered {answer.response.status} {text}"
        return PlaceError(trouble, said.strip())

    def _failure(self, host: str, error: OSError, *, unreached: bool) -> PlaceError:
        trouble = Trouble.UNREACHED if unreached else Trouble.SILENT
        return PlaceError(trouble, f"{self._what} {host}: {str(error) or 'no answer in time'}")

    def leave(self, host: str) -> None:
        """Ask another host first from now on, unless another request has seen to that."""
        if self._hosts[0][0] == host:
            self._hosts.append(self._hosts.pop(0))


class _Once:
    """A body of blocks, which can be sent to another host as long as it has not begun."""

    def __init__(self, body: AsyncGenerator[bytes, None]) -> None:
        self._body = body
        self.begun = False

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        self.begun = True
        async for block in self._body:
            yield block


async def text_of(response: Response) -> str:
    """The text of a response, as far as it comes; its connection can be used again."""
    try:
        return (await response.read_all(_ERROR_BYTES_MAX)).decode(errors="replace").strip()
    except OSError:
        return ""


def _worst(failures: Sequence[PlaceError]) -> PlaceError:
    """What is said of a request that failed at each host: that which leaves most open. The other
    reasons are said with it."""
    for trouble in (Trouble.SILENT, Trouble.BUSY, Trouble.UNREACHED):
        if any(failure.trouble is trouble for failure in failures):
            return PlaceError(trouble, "; ".join(failure.reason for failure in failures))
    raise AssertionError("no host was asked")
