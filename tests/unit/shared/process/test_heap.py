"""Memory that goes back to the system."""

from __future__ import annotations

import asyncio

from shared.process.heap import give_back_memory, own_bytes
from tests.unit.dmd.metadata.support import until


async def test_memory_that_was_freed_goes_back_to_the_system() -> None:
    before = own_bytes()
    giving = asyncio.ensure_future(give_back_memory(every_seconds=0.01, kept_bytes=0))
    await asyncio.sleep(0)  # it begins, and sees how little there is
    kept = [bytearray(100_000) for _ in range(1000)]  # below what the C library maps by itself
    last = bytearray(100_000)  # which keeps it from giving back the rest
    del kept
    try:
        await until(lambda: own_bytes() < before + 30_000_000)
    finally:
        giving.cancel()
    assert len(last) == 100_000


async def test_memory_of_garbage_in_cycles_goes_back_as_well() -> None:
    before = own_bytes()
    giving = asyncio.ensure_future(give_back_memory(every_seconds=0.01, kept_bytes=0))
    await asyncio.sleep(0)  # it begins, and sees how little there is
    for _ in range(1000):
        cycle: list[object] = [bytearray(100_000)]
        cycle.append(cycle)
    del cycle
    try:
        await until(lambda: own_bytes() < before + 30_000_000)
    finally:
        giving.cancel()
