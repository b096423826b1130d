"""The body of a request, without a connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence


class Pieces:
    """A body that comes in these pieces. ``length`` is its Content-Length, if it has one."""

    def __init__(self, pieces: Sequence[bytes], length: int | None = None) -> None:
        self._pieces = pieces
        self.length = length
        self.received = 0

    async def accept(self) -> None:
        """Nothing to do."""

    async def hold(self, size: int) -> None:
        """There is room for everything."""

    async def blocks(self, *, gradually: bool = False) -> AsyncGenerator[bytes, None]:
        for piece in self._pieces:
            self.received += len(piece)
            yield piece

    def comes_at_once(self) -> bool:
        return self.length is not None and self.length <= 1024 * 1024

    async def read(self) -> Sequence[bytes]:
        return [piece async for piece in self.blocks()]
