"""Bodies on their way to Azure in blocks.

**Blocks.** What is staged for a name (Put Block) waits there, for a week, until a Put Block List
says which blocks are the blob; any other write of the name throws all of them away. Two who stage
for one name at once would ruin each other's work. So a name is made one's own first, by a
placeholder: an empty blob that is put on the condition that there is none of the name. Nobody else
stages there then, the list is committed on the condition that the placeholder is still what is
there, and to delete it is to throw away its blocks.

**IDs of blocks** have the number of a part, that of the block in it, and some random digits, so
that a part that is sent again, or by two clients at once, is always the blocks of one of them: its
record says which. All of a blob's have to be of one length.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, NamedTuple

import anycrc

from s3front.s3_errors import S3Error

BLOCKS_OF_A_PART_MAX: Final = 5
"""A blob has up to 50,000 blocks, and an upload up to 10,000 parts."""

BLOCKS_OF_A_BODY_MAX: Final = 10_000

BLOCK_BYTES: Final = 16 * 1024 * 1024
"""The usual size of a block. Its bytes are passed on as they come, so that this is no memory; but
while Azure has not answered for one, the next does not begin."""

_CRC64: Final = anycrc.Model("CRC64-NVME")
"""Azure's CRC-64 has the same polynomial; its bytes are written the other way round."""

_RANDOM_BYTES: Final = 8


class Blocks(NamedTuple):
    """The blocks of a part: the random digits of their IDs, and their number."""

    nonce: str
    number: int

    def ids(self, part: int) -> list[str]:
        """Their IDs, in order. ``part`` is the part's number."""
        return [f"{part:05}-{index:05}-{self.nonce}" for index in range(self.number)]

    def text(self) -> str:
        """As a data location keeps it."""
        return f"{self.nonce}:{self.number}"

    @classmethod
    def read(cls, text: object) -> Blocks:
        """What ``text`` wrote. Raises ValueError."""
        if not isinstance(text, str):
            raise ValueError("not the blocks of a part")
        nonce, _, count = text.partition(":")
        return cls(nonce, int(count))


def new_blocks(sizes: Sequence[int]) -> Blocks:
    """Blocks that nobody has staged yet."""
    return Blocks(secrets.token_hex(_RANDOM_BYTES), len(sizes))


def block_sizes(size: int, blocks_max: int) -> list[int]:
    """In what blocks ``size`` bytes are sent."""
    each = max(BLOCK_BYTES, -(-size // blocks_max))
    whole, rest = divmod(size, each)
    return [each] * whole + [rest] * (rest > 0)


def crc64(data: bytes, before: int = 0) -> int:
    """The CRC-64 of bytes, continued from those before."""
    return int(_CRC64.calc(data, before))


def crc64_bytes(value: int) -> bytes:
    """A CRC-64 as Azure writes it."""
    return value.to_bytes(8, "little")


class Source:
    """A body whose pieces are taken block by block. ``failure`` is what it failed with."""

    def __init__(self, body: AsyncGenerator[bytes, None]) -> None:
        self._body = body
        self._kept = b""
        self.failure: Exception | None = None

    async def take(self, bytes_max: int) -> bytes:
        """The next piece. Raises what the body does, and IncompleteBody at its end."""
        piece = self._kept
        try:
            while not piece:
                piece = await anext(self._body)
        except StopAsyncIteration:
            self.failure = S3Error("IncompleteBody")
            raise self.failure from None
        except Exception as error:
            self.failure = error
            raise
        self._kept = piece[bytes_max:]
        return piece[:bytes_max] if self._kept else piece

    async def gather(self, size: int) -> bytes:
        """All of a small body. Raises like ``take`` and ``end``."""
        pieces = []
        while size:
            pieces.append(await self.take(size))
            size -= len(pieces[-1])
        await self.end()
        return b"".join(pieces)

    async def end(self) -> None:
        """Let the body come to its end, where it may find that its bytes are not those that were
        promised. Raises what it does then."""
        try:
            async for piece in self._body:
                self._kept += piece
                if self._kept:
                    break
            if self._kept:
                raise S3Error("IncompleteBody")
        except Exception as error:
            self.failure = error
            raise

    def check(self) -> None:
        """Raises what the body has failed with."""
        failure, self.failure = self.failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            # Each would name the other, and what is held of the body would stay until the garbage
            # collector finds them.
            del failure

    async def close(self) -> None:
        await self._body.aclose()


class BlockBody(AsyncIterator[bytes]):
    """The next ``size`` bytes of a source, for one request, which is given them once.

    ``limit`` is the request's time-out: Azure has ``seconds`` for each piece. The time that the
    source takes is not Azure's. Of a body that is the ``whole`` source, the last bytes are not
    given before the source has come to its end.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        limit: asyncio.Timeout,
        seconds: float,
        *,
        whole: bool = False,
    ) -> None:
        self._source = source
        self._whole = whole
        self._left = size
        self._limit = limit
        self._seconds = seconds
        self._begun = False
        self.crc64 = 0

    def __aiter__(self) -> BlockBody:
        if self._begun:
            # The connection was lost; what was sent is gone, and must not be left out.
            raise ConnectionResetError("a body cannot be sent again")
        self._begun = True
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        self._expect(None)
        piece = await self._source.take(self._left)
        if self._whole and len(piece) == self._left:
            await self._source.end()
        self._expect(asyncio.get_running_loop().time() + self._seconds)
        self._left -= len(piece)
        self.crc64 = crc64(piece, self.crc64)
        return piece

    def _expect(self, when: float | None) -> None:
        if not self._limit.expired():
            self._limit.reschedule(when)
