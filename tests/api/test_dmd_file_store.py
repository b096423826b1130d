"""The client of the data port, against a real data service."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dmd.data import administration
from dmd.data.both import open_both_stores
from dmd.data.data_directory import DataDirectory
from dmd.data.data_server import serve
from dmd.data.data_service import DataService
from dmd.data.disk import DiskOptions
from dmd.data.memory_store import MemoryStore
from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.local_blobs import LocalReader
from s3front.locations.local_files import LocalFile
from s3front.locations.origin import Origin
from s3front.s3_errors import S3Error
from shared.local_directory import local_identity
from shared.process.logs import get_logger

STALL_SECONDS = 3.0
"""More than any answer takes on a busy machine."""

IMPATIENT_SECONDS = 0.2

INFO = ObjectInfo("bucket", "key", "text/plain", {})
NOWHERE = Stored("0" * 40, 4)


@pytest.fixture
async def store() -> AsyncIterator[DmdFileStore]:
    server = await serve(DataService(MemoryStore(), get_logger()), "127.0.0.1", 0)
    client = DmdFileStore(Origin("127.0.0.1", server.port), stall_seconds=STALL_SECONDS)
    yield client
    await client.close()
    await server.close(1)


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    """It is there while the daemon is; then there is TCP."""
    path = tmp_path / "socket"
    service = DataService(MemoryStore(), get_logger())
    local = await serve(service, "127.0.0.1", 0, socket_path=path)
    remote = await serve(service, "127.0.0.1", 0)
    client = DmdFileStore(Origin("127.0.0.1", remote.port, path))
    blob = await client.put(4, b"body", INFO)
    before = remote.connections
    await local.close(1)
    assert not path.exists()
    assert await read(client, blob) == b"body"
    assert (before, remote.connections) == (0, 1)
    await client.close()
    await remote.close(1)


async def read(store: DmdFileStore, blob: Stored) -> bytes:
    reader = await store.open(blob, 0, blob.size - 1)
    blocks = [block async for block in reader.blocks()]
    return b"".join([block for block in blocks if isinstance(block, bytes | bytearray)])


async def test_connections_are_good_after_a_rest(store: DmdFileStore) -> None:
    """However long a connection has been idle, the time is not held against its next request."""
    for _ in range(2):
        blobs = await asyncio.gather(*(store.put(4, b"body", INFO) for _ in range(64)))
        assert await asyncio.gather(*(read(store, blob) for blob in blobs)) == [b"body"] * 64
        await asyncio.sleep(STALL_SECONDS * 1.2)  # the rest


async def test_a_slow_sender_is_not_the_daemons_fault(store: DmdFileStore) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"x"
        await asyncio.sleep(STALL_SECONDS * 1.2)  # the sender's pause
        yield b"y"

    assert await read(store, await store.put(2, body(), INFO)) == b"xy"


async def test_a_daemon_that_says_nothing() -> None:
    held: list[asyncio.StreamWriter] = []

    async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    mute = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    store = DmdFileStore(Origin("127.0.0.1", port), stall_seconds=IMPATIENT_SECONDS)

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield bytes(1 << 20)

    for call in (
        store.put(4, b"body", INFO),
        store.put(1 << 40, endless(), INFO),
        store.open(NOWHERE, 0, 3),
        store.delete(NOWHERE),
    ):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await call
    await store.close()
    for writer in held:
        writer.close()
    mute.close()


async def test_a_body_that_fails_stores_nothing(store: DmdFileStore) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield b"x"
        raise S3Error("BadDigest")

    with pytest.raises(S3Error, match="BadDigest"):
        await store.put(2, body(), INFO)


async def test_a_blob_that_is_gone(store: DmdFileStore) -> None:
    blob = await store.put(4, b"body", INFO)
    await store.delete(blob)
    await store.delete(blob)
    with pytest.raises(DataNotFoundError):
        await store.open(blob, 0, 3)


async def test_a_blob_of_another_size_than_its_record_says(store: DmdFileStore) -> None:
    blob = await store.put(4, b"body", INFO)
    assert await (await store.open(blob, 1, 2)).read() == b"od"
    for size in (3, 5):
        wrong = Stored(blob.key, size)
        for start, end in ((0, size - 1), (1, 2)):
            with pytest.raises(S3Error, match="InternalError"):
                await store.open(wrong, start, end)


async def test_a_source_that_fails_leaves_nothing_to_the_garbage_collector(
    store: DmdFileStore,
) -> None:
    """What an upload held may be megabytes, and a collection may be far away."""

    class Held:
        """What the source holds."""

    async def failing(held: Held) -> AsyncGenerator[bytes, None]:
        yield b"some"
        raise ValueError(str(held))

    async def upload() -> weakref.ref[Held]:
        held = Held()
        with pytest.raises(ValueError, match="Held"):
            await store.put(100, failing(held), INFO)
        return weakref.ref(held)

    gc.disable()
    try:
        assert (await upload())() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [1, 1000, 300_000, 1_000_000])
async def test_beside_the_daemon_what_is_in_memory_is_read_without_it(
    tmp_path: Path, size: int
) -> None:
    """What is in quarantine is not: the daemon brings it back."""
    kept = open_both_stores(DataDirectory(tmp_path), DiskOptions(), get_logger())
    server = await serve(DataService(kept, get_logger()), "127.0.0.1", 0)
    origin = Origin("127.0.0.1", server.port)
    content = b"x" * size
    async with aclosing_store(DmdFileStore(origin, data_path=tmp_path)) as client:
        blob = await client.put(size, content, INFO)
        while not isinstance(reader := await client.open(blob, 0, size - 1), LocalReader):
            reader.close()
            await asyncio.sleep(0)
        assert await reader.read() == content
        await kept.quarantine(blob.key)
        reader = await client.open(blob, 0, size - 1)
        assert not isinstance(reader, LocalReader)
        assert await reader.read() == content
        await server.close(1)
        reader = await client.open(blob, 0, size - 1)
        assert await reader.read() == content
    await kept.close()


@pytest.mark.parametrize("data_path", [None, Path("/nowhere"), Path("/")])
async def test_elsewhere_the_daemon_is_asked(tmp_path: Path, data_path: Path | None) -> None:
    kept = open_both_stores(DataDirectory(tmp_path), DiskOptions(), get_logger())
    server = await serve(DataService(kept, get_logger()), "127.0.0.1", 0)
    origin = Origin("127.0.0.1", server.port)
    async with aclosing_store(DmdFileStore(origin, data_path=data_path)) as client:
        blob = await client.put(4, b"body", INFO)
        for _ in range(3):
            assert await read(client, blob) == b"body"
        await server.close(1)
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await client.open(blob, 0, 3)
    await kept.close()


@asynccontextmanager
async def aclosing_store(store: DmdFileStore) -> AsyncIterator[DmdFileStore]:
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("packed_bytes_max", [0, 1000])
async def test_beside_the_daemon_large_blobs_are_stored_without_it(
    tmp_path: Path, packed_bytes_max: int
) -> None:
    """They are its blobs like all others; small ones are packed."""
    kept = open_both_stores(DataDirectory(tmp_path), DiskOptions(), get_logger(), packed_bytes_max)
    server = await serve(DataService(kept, get_logger()), "127.0.0.1", 0)
    content = bytes(range(256)) * 2000
    origin = Origin("127.0.0.1", server.port)
    async with aclosing_store(DmdFileStore(origin, data_path=tmp_path)) as client:
        file = await offered(client, len(content))
        assert (client.new_file(packed_bytes_max) is None) == (packed_bytes_max > 0)
        blob = await asyncio.to_thread(file.store, (content,))
        assert blob is not None
        daemons = await kept.open(blob.key)
        assert await daemons.read(0, len(content)) == content
        await daemons.close()
        pages = [await kept.inventory("f0", 1)]
        assert [each.key for page in pages for each in page.blobs] == [blob.key]
        await kept.quarantine(blob.key)
        assert await read(client, blob) == content
        await client.delete(blob)
        with pytest.raises(DataNotFoundError):
            await client.open(blob, 0, 3)
        await server.close(1)
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await client.disk_usage()
        assert client.new_file(len(content)) is None
    await kept.close()


@pytest.mark.parametrize(
    "options", [DiskOptions(no_sync=True), DiskOptions(no_cache=True), None], ids=repr
)
async def test_a_daemon_that_stores_otherwise_is_given_the_bytes(
    tmp_path: Path, options: DiskOptions | None
) -> None:
    directory = DataDirectory(tmp_path)
    memory = MemoryStore()
    kept = memory if options is None else open_both_stores(directory, options, get_logger())
    server = await serve(DataService(kept, get_logger()), "127.0.0.1", 0)
    origin = Origin("127.0.0.1", server.port)
    async with aclosing_store(DmdFileStore(origin, data_path=tmp_path)) as client:
        for _ in range(3):
            assert client.new_file(1 << 20) is None
            assert await read(client, await client.put(4, b"body", INFO)) == b"body"
    await server.close(1)
    await kept.close()


ANSWERS = [
    {},
    [],
    {"directory": 5, "writtenBytesMin": 0},
    {"directory": None, "writtenBytesMin": 0},
    {"directory": "another", "writtenBytesMin": 0},
    {"directory": ""},
    {"directory": "", "writtenBytesMin": None},
    {"directory": "", "writtenBytesMin": "0"},
]
"""What other daemons may say of their files; "" stands for the directory."""


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
async def test_a_daemon_that_offers_no_files_is_given_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    """An older one, for instance, says where its files are, and no more."""
    kept = open_both_stores(DataDirectory(tmp_path), DiskOptions(), get_logger())
    asked = asyncio.Event()

    async def files(_store: object, _command: object) -> Any:
        asked.set()
        if isinstance(answer, dict) and answer.get("directory") == "":
            return {**answer, "directory": local_identity(tmp_path)}
        return answer

    monkeypatch.setitem(administration._CALLS, ("GET", "files", False), files)
    server = await serve(DataService(kept, get_logger()), "127.0.0.1", 0)
    origin = Origin("127.0.0.1", server.port)
    async with aclosing_store(DmdFileStore(origin, data_path=tmp_path)) as client:
        assert client.new_file(1 << 20) is None
        await asked.wait()
        for _ in range(3):
            await client.disk_usage()
            assert client.new_file(1 << 20) is None
        blob = await client.put(1 << 20, bytes(1 << 20), INFO)
        assert await read(client, blob) == bytes(1 << 20)
    await server.close(1)
    await kept.close()


async def offered(client: DmdFileStore, size: int) -> LocalFile:
    """A file, once the daemon has said that there may be one."""
    async with asyncio.timeout(10):
        while (found := client.new_file(size)) is None:
            await client.disk_usage()
    return found
