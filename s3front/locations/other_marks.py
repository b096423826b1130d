"""Other marks for what is asked of a place again, as it may have been done already
(``remote_store``: marks)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from s3front.locations.base import ObjectInfo, Stored
from s3front.locations.remote_store import Maker, NewMark, RemoteStore
from s3front.s3_errors import S3Error


class Marks:
    """The mark of what is to be made, ``mark``; and others, from where they are noted."""

    def __init__(self, mark: str, new_mark: NewMark | None) -> None:
        self.mark = mark
        self._new_mark = new_mark

    async def renew(self) -> bool:
        """Have another one; False when there is none to be had."""
        if self._new_mark is None:
            return False
        try:
            self.mark = await self._new_mark()
        except S3Error:
            return False  # what the place has said is what is told
        return True


class Making(Protocol):
    """What makes something at a place, and may be given other marks."""

    async def put(
        self,
        size: int,
        body: bytes | AsyncGenerator[bytes, None],
        info: ObjectInfo,
        mark: str = "",
        new_mark: NewMark | None = None,
    ) -> Stored: ...

    async def begin_upload(
        self, info: ObjectInfo, mark: str, new_mark: NewMark | None = None
    ) -> Stored: ...

    async def copy(
        self,
        source: RemoteStore,
        blob: Stored,
        info: ObjectInfo,
        mark: str,
        new_mark: NewMark | None = None,
    ) -> Stored | None: ...


class MarkedMaker(Maker):
    """See ``RemoteStore.maker``."""

    def __init__(self, store: Making, new_mark: NewMark) -> None:
        self._store = store
        self._new_mark = new_mark

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str
    ) -> Stored:
        return await self._store.put(size, body, info, mark, self._new_mark)

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        return await self._store.begin_upload(info, mark, self._new_mark)

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        return await self._store.copy(source, blob, info, mark, self._new_mark)
