"""What only the memory store does: count what it holds."""

from __future__ import annotations

import tracemalloc

import pytest

from dmd.data.base import StoreError
from dmd.data.memory_store import MemoryStore
from tests.unit.dmd.data.harness import put


async def test_a_blob_that_does_not_fit_is_refused_before_it_is_sent() -> None:
    store = MemoryStore(size_bytes_max=10)
    await put(store, b"123456")
    with pytest.raises(StoreError, match=r"^ENOSPC"):
        await store.create(5)


async def test_a_deletion_makes_room() -> None:
    store = MemoryStore(size_bytes_max=10)
    await store.delete(await put(store, b"0123456789"))
    assert (await store.disk_usage()).available == 10


async def test_an_aborted_upload_makes_room() -> None:
    store = MemoryStore(size_bytes_max=10)
    upload = await store.create(10)
    await upload.abort()
    assert (await store.disk_usage()).available == 10


async def test_a_large_blob_is_not_copied_when_it_is_complete() -> None:
    """Twice its bytes may be more memory than there is, and all wait while they are copied."""
    store, block = MemoryStore(), bytes(1024**2)
    upload = await store.create(16 * len(block))
    for _ in range(16):
        await upload.write(block)
    tracemalloc.start()
    try:
        key = await upload.commit()
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < len(block)
    blob = await store.open(key)
    assert (blob.size, await blob.read(0, 2)) == (16 * len(block), bytes(2))
