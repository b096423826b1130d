"""A keeper that answers what a test says, and a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from s3front.encryption.key_wrapping import WrappingKey
from s3front.encryption.sse import ARN_IN_CONTEXT
from s3front.keys.base import AwayError, KeyContext
from s3front.keys.troubles import denied, disabled, refused

BUCKET: Final = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket"}
OBJECT: Final = {ARN_IN_CONTEXT: "arn:aws:s3:::bucket/key"}

Trouble = Callable[[], Exception]


def away() -> Exception:
    return AwayError("no connection")


def busy() -> Exception:
    return AwayError("too many requests", has_answered=True)


def not_allowed() -> Exception:
    return denied("403 permission denied")


def is_disabled() -> Exception:
    return disabled("master", "400 disabled")


def altered() -> Exception:
    return refused("400 message authentication failed")


class Clock:
    """Seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ScriptedKeys:
    """``asked`` is what it was asked for; ``trouble`` what it raises, ``gate`` what it waits for,
    before it answers."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: Trouble | None = None
        self.troubles: list[Trouble] = []
        """One for each call, before ``trouble``."""
        self.gate: asyncio.Event | None = None
        self.hangs = False
        self.closed = False

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        await self._answer("wrapping_key")
        number = len(self.asked)
        secret = number.to_bytes(32, "big")
        return WrappingKey(f"scripted:{key_id or 'current'}", secret, f"wrapped-{number}")

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        await self._answer("opened")
        return int(wrapped.removeprefix("wrapped-")).to_bytes(32, "big")

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        await self._answer("open_original")
        return ciphered.rjust(32, b"\0")

    async def create(self, description: str) -> str:
        await self._answer("create")
        return "made"

    async def rotate(self, description: str) -> str:
        await self._answer("rotate")
        return "made"

    async def look(self) -> str | None:
        await self._answer("look")
        return None

    async def close(self) -> None:
        self.closed = True

    async def _answer(self, what: str) -> None:
        self.asked.append(what)
        if self.gate is not None:
            await self.gate.wait()
        if self.hangs:
            await asyncio.Event().wait()
        if self.troubles:
            raise self.troubles.pop(0)()
        if self.trouble is not None:
            raise self.trouble()
