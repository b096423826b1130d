"""Large blobs go from their file to a socket by reference, and are looked at on the way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from dmd.data import file_blob
from dmd.data.base import SendableBlob, StoreError
from dmd.data.data_directory import DataDirectory
from dmd.data.disk import Disk, DiskOptions
from dmd.data.file_store import FileStore
from shared.pipes import PIPE_BYTES
from tests.unit.dmd.data.harness import put
from tests.unit.dmd.metadata.support import RecordingLog

CONTENT = random.Random(3).randbytes(3 * PIPE_BYTES + 4321)
FIRST = 256 * 1024
"""What the data service has read of a blob before it sends the rest."""


@pytest.fixture
async def store(directory: Path) -> AsyncIterator[FileStore]:
    made = FileStore(DataDirectory(directory), Disk(DiskOptions()), RecordingLog())
    yield made
    await made.close()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """One to send to, and the other end of it."""
    sender, receiver = socket.socketpair()
    with sender, receiver:
        sender.setblocking(False)
        receiver.setblocking(False)
        yield sender, receiver


def received(receiver: socket.socket, size_max: int) -> bytes:
    try:
        return receiver.recv(size_max)
    except BlockingIOError:
        return b""


async def sent(
    blob: SendableBlob, sockets: tuple[socket.socket, socket.socket], start: int, takes: int
) -> bytes:
    """What arrives of a blob from ``start`` on, at a reader that ``takes`` so much at a time."""
    sender, receiver = sockets
    arrived, offset = bytearray(), start
    while offset < blob.size:
        offset += await blob.send(sender.fileno(), offset, blob.size - offset)
        arrived += received(receiver, takes)
    while rest := received(receiver, takes):
        arrived += rest
    return bytes(arrived)


@pytest.mark.parametrize("takes", [50_000, 4 * PIPE_BYTES])
@pytest.mark.parametrize("start", [0, FIRST, 777])
async def test_all_of_it_arrives_however_little_is_taken(
    store: FileStore, sockets: tuple[socket.socket, socket.socket], start: int, takes: int
) -> None:
    blob = await store.open(await put(store, CONTENT))
    assert isinstance(blob, SendableBlob)
    if start == FIRST:
        await blob.read(0, FIRST)
    assert await sent(blob, sockets, start, takes) == CONTENT[start:]
    await blob.close()


async def test_another_part_than_the_next_can_be_sent(
    store: FileStore, sockets: tuple[socket.socket, socket.socket]
) -> None:
    """Although the pipe has more of the last one in it."""
    sender, receiver = sockets
    blob = await store.open(await put(store, CONTENT))
    assert isinstance(blob, SendableBlob)
    assert 0 < await blob.send(sender.fileno(), 0, blob.size) < blob.size
    while received(receiver, PIPE_BYTES):
        pass
    assert await blob.send(sender.fileno(), 5, 100) == 100
    assert received(receiver, PIPE_BYTES) == CONTENT[5:105]
    await blob.close()


async def test_what_a_full_socket_did_not_take_is_not_taken_for_another_part(
    store: FileStore, sockets: tuple[socket.socket, socket.socket]
) -> None:
    sender, receiver = sockets
    blob = await store.open(await put(store, CONTENT))
    assert isinstance(blob, SendableBlob)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(PIPE_BYTES))
    assert await blob.send(sender.fileno(), 777, 100) == 0
    while received(receiver, PIPE_BYTES):
        pass
    assert await blob.send(sender.fileno(), 0, 100) == 100
    assert received(receiver, PIPE_BYTES) == CONTENT[:100]
    await blob.close()


def damage(directory: Path, key: str, at: int) -> None:
    (file,) = directory.glob(f"*/{key}")
    with file.open("r+b") as stored:
        stored.seek(at)
        stored.write(bytes((CONTENT[at] ^ 1,)))


def mappings_of(key: str) -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if key in line]


@pytest.mark.parametrize("at", [0, FIRST, len(CONTENT) - 1])
async def test_a_damaged_blob_is_never_sent_to_its_end(
    store: FileStore,
    directory: Path,
    sockets: tuple[socket.socket, socket.socket],
    at: int,
) -> None:
    key = await put(store, CONTENT)
    damage(directory, key, at)
    blob = await store.open(key)
    assert isinstance(blob, SendableBlob)
    with pytest.raises(StoreError, match="damaged"):
        await sent(blob, sockets, 0, PIPE_BYTES)
    await blob.close()


def without_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pipe() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(file_blob, "Pipe", no_pipe)


def without_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_window(*_: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    monkeypatch.setattr(file_blob, "Window", no_window)


@pytest.mark.parametrize("lacking", [without_pipes, without_mappings])
async def test_what_the_system_does_not_give_costs_time_alone(
    store: FileStore,
    directory: Path,
    sockets: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    lacking: Callable[[pytest.MonkeyPatch], None],
) -> None:
    lacking(monkeypatch)
    await test_all_of_it_arrives_however_little_is_taken(store, sockets, 0, PIPE_BYTES)
    await test_a_damaged_blob_is_never_sent_to_its_end(store, directory, sockets, FIRST)


async def test_what_was_opened_is_closed(
    store: FileStore, sockets: tuple[socket.socket, socket.socket]
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    key = await put(store, CONTENT)
    for _ in range(3):
        blob = await store.open(key)
        assert isinstance(blob, SendableBlob)
        await blob.send(sockets[0].fileno(), 0, blob.size)
        assert mappings_of(key)
        await blob.close()
        await asyncio.to_thread(received, sockets[1], len(CONTENT))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not mappings_of(key)
