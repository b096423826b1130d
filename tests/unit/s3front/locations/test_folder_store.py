"""A folder as a location: what is read, what is written, and what is left alone."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import secrets
import stat
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from s3front.locations import folder_files, folder_store
from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.folder import FolderDetails
from s3front.locations.folder_files import MARK_ATTRIBUTE, fingerprint
from s3front.locations.folder_store import READ_BYTES, FolderStore
from s3front.locations.remote_store import MARK, PlaceError, Trouble, new_mark
from s3front.s3_errors import S3Error
from tests.unit.dmd.metadata.support import until

INFO = ObjectInfo("photos", "2026/cat.jpg", "image/jpeg", {})
LARGE = secrets.token_bytes(3 * READ_BYTES + 17)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[FolderStore]:
    made = FolderStore(FolderDetails(path=folder, read_only=False, bucket_match=True))
    yield made
    await made.close()


@pytest.fixture
async def reading(folder: Path) -> AsyncIterator[FolderStore]:
    """A store that only reads."""
    made = FolderStore(FolderDetails(path=folder, bucket_match=True))
    yield made
    await made.close()


def files(folder: Path) -> set[str]:
    """All that is no directory."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path.relative_to(folder)) for path in found}


def recorded(folder: Path, path: str) -> Stored:
    """What a record says of a file that is there."""
    found = (folder / path).stat()
    return Stored(path, found.st_size, etag=fingerprint(found))


async def read(store: FolderStore, blob: Stored, start: int = 0, end: int = -1) -> bytes:
    reader = await store.open(blob, start, end if end >= 0 else blob.size - 1)
    try:
        return b"".join([bytes(block) async for block in reader.blocks()])
    finally:
        reader.close()


def info(key: str) -> ObjectInfo:
    return ObjectInfo("photos", key, "", {})


async def blocks_of(*blocks: bytes) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block


# -- Reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, READ_BYTES, len(LARGE)])
async def test_a_file_that_was_there(folder: Path, reading: FolderStore, size: int) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "b").write_bytes(LARGE[:size])
    blob = await reading.find(info("a/b"))
    assert blob == recorded(folder, "a/b")
    assert await read(reading, blob) == LARGE[:size]
    assert await read(reading, blob, size // 2, size - 1) == LARGE[size // 2 : size]
    reader = await reading.open(blob, 0, 0)
    assert await reader.read() == LARGE[:1]
    reader.close()


@pytest.mark.parametrize("key", ["nothing", "a/c", "a/b/c", "a//b", "../outside", ".twofold/x", ""])
async def test_what_is_no_file_is_not_found(folder: Path, reading: FolderStore, key: str) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "b").write_bytes(b"x")
    (folder.parent / "outside").write_bytes(b"secret")
    assert await reading.find(info(key)) is None


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd", "", "a//b"])
async def test_a_record_that_leads_elsewhere(folder: Path, reading: FolderStore, key: str) -> None:
    (folder.parent / "outside").write_bytes(b"secret")
    with pytest.raises(DataNotFoundError):
        await reading.open(Stored(key, 6), 0, 5)


async def test_a_missing_file(reading: FolderStore) -> None:
    with pytest.raises(DataNotFoundError) as caught:
        await reading.open(Stored("a/b", 6), 0, 5)
    assert "a/b" not in str(caught.value)  # which logs have


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("path", ["out", "way/outside"])
async def test_links_that_lead_out(
    folder: Path, reading: FolderStore, path: str, absolute: bool
) -> None:
    (folder.parent / "outside").write_bytes(b"secret")
    target = folder.parent if absolute else Path("..")
    (folder / "out").symlink_to(target / "outside")
    (folder / "way").symlink_to(target)
    blob = recorded(folder, path)
    assert blob.size == len(b"secret")
    with pytest.raises(PlaceError) as caught:
        await reading.open(blob, 0, 5)
    assert caught.value.trouble is Trouble.UNFIT
    assert repr(path) not in caught.value.reason  # which logs have
    with pytest.raises(PlaceError) as caught:
        await reading.find(info(path))
    assert caught.value.trouble is Trouble.UNFIT


async def test_a_link_that_stays_inside(folder: Path, reading: FolderStore) -> None:
    (folder / "a").write_bytes(b"inside")
    (folder / "link").symlink_to("a")
    assert await read(reading, recorded(folder, "link")) == b"inside"


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory"])
async def test_what_is_no_plain_file(folder: Path, reading: FolderStore, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(folder / "odd")
    elif kind == "socket":
        os.mknod(folder / "odd", stat.S_IFSOCK | 0o600)
    else:
        (folder / "odd").mkdir()
    with pytest.raises(S3Error, match="InvalidRequest"):
        await reading.find(info("odd"))
    with pytest.raises(PlaceError) as caught:
        await reading.open(Stored("odd", 6), 0, 5)
    assert caught.value.trouble is Trouble.BROKEN
    assert "'odd'" not in caught.value.reason


# -- Files that others change ---------------------------------------------------------------------


async def broken(store: FolderStore, blob: Stored, start: int = 0, end: int = -1) -> str:
    with pytest.raises(PlaceError) as caught:
        await read(store, blob, start, end)
    assert (caught.value.trouble, caught.value.code) == (Trouble.BROKEN, "InternalError")
    return caught.value.reason


async def test_a_file_that_was_changed(folder: Path, reading: FolderStore) -> None:
    file = folder / "a"
    file.write_bytes(b"before")
    blob = recorded(folder, "a")
    os.utime(file, ns=(0, 1))
    assert "changed after it was recorded" in await broken(reading, blob)
    file.write_bytes(b"longer than before")
    assert "18 bytes, where 6 were recorded" in await broken(reading, blob)
    with pytest.raises(PlaceError):
        await reading.open(Stored("a", 18), 0, 17)


async def test_a_file_that_is_changed_while_it_is_read(folder: Path, reading: FolderStore) -> None:
    (folder / "a").write_bytes(LARGE)
    reader = await reading.open(recorded(folder, "a"), 0, len(LARGE) - 1)
    blocks = reader.blocks()
    assert await anext(blocks) == LARGE[:READ_BYTES]
    with (folder / "a").open("r+b") as file:
        file.write(b"x")
        os.utime(folder / "a", ns=(0, 1))
    with pytest.raises(PlaceError) as caught:
        await anext(blocks)
    assert caught.value.trouble is Trouble.BROKEN
    reader.close()


async def test_a_file_that_is_removed_while_it_is_read(folder: Path, reading: FolderStore) -> None:
    (folder / "a").write_bytes(LARGE)
    reader = await reading.open(recorded(folder, "a"), 0, len(LARGE) - 1)
    (folder / "a").unlink()
    assert await reader.read() == LARGE
    reader.close()


# -- Writing --------------------------------------------------------------------------------------


async def test_a_file_that_is_opened_too_late_is_closed(
    folder: Path, reading: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "late"
    path.write_bytes(b"late")
    is_open, goes_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        opened = folder_files.open_file(*arguments)
        is_open.set()
        goes_on.wait(10)
        return opened

    def is_held() -> bool:
        descriptors = Path("/proc/self/fd").iterdir()
        return any(os.path.realpath(each) == str(path) for each in descriptors)

    monkeypatch.setattr(folder_store, "open_file", slow)
    opening = asyncio.ensure_future(reading.open(recorded(folder, "late"), 0, 3))
    await asyncio.to_thread(is_open.wait, 10)
    opening.cancel()
    await asyncio.wait([opening])
    assert is_held()
    goes_on.set()
    await until(lambda: not is_held())


async def test_a_folder_is_only_read_unless_it_is_said(folder: Path, reading: FolderStore) -> None:
    (folder / "a").write_bytes(b"body")
    with pytest.raises(S3Error, match="NotImplemented"):
        await reading.put(4, b"body", INFO)
    await reading.delete(recorded(folder, "a"))
    await reading.remove_strays(info("a"), new_mark())
    assert files(folder) == {"a"}


async def test_what_is_stored_has_its_natural_name(folder: Path, store: FolderStore) -> None:
    mark = new_mark()
    blob = await store.put(4, b"body", INFO, mark)
    assert blob == replace(recorded(folder, "2026/cat.jpg"), extra={MARK: mark})
    assert files(folder) == {"2026/cat.jpg"}
    assert await read(store, blob) == b"body"


async def test_a_stream(folder: Path, store: FolderStore) -> None:
    pieces = [LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000)]
    blob = await store.put(len(LARGE), blocks_of(*pieces), INFO)
    assert (folder / blob.key).read_bytes() == LARGE


async def test_each_bucket_has_a_directory(folder: Path) -> None:
    store = FolderStore(FolderDetails(path=folder, read_only=False))
    await store.put(4, b"body", INFO)
    assert files(folder) == {"photos/2026/cat.jpg"}
    await store.close()


async def test_nothing_is_written_over(folder: Path, store: FolderStore) -> None:
    (folder / "2026").mkdir()
    (folder / "2026" / "cat.jpg").write_bytes(b"somebody's")
    mark = new_mark()
    blob = await store.put(4, b"body", INFO, mark)
    assert blob.key == f"2026/cat.jpg~{mark}"
    assert (folder / "2026" / "cat.jpg").read_bytes() == b"somebody's"
    assert await read(store, blob) == b"body"


async def test_many_at_once_of_one_name(folder: Path, store: FolderStore) -> None:
    bodies = [f"body {number}".encode() for number in range(20)]
    blobs = await asyncio.gather(*(store.put(len(body), body, INFO) for body in bodies))
    assert [await read(store, blob) for blob in blobs] == bodies
    assert len({blob.key for blob in blobs}) == 20
    assert "2026/cat.jpg" in files(folder)


@pytest.mark.parametrize("key", ["a//b", "../x", "file/below", "x" * 300, ".", "dir"])
async def test_names_that_cannot_be(folder: Path, store: FolderStore, key: str) -> None:
    (folder / "file").write_bytes(b"in the way")
    (folder / "dir").mkdir()
    blob = await store.put(4, b"body", info(key))
    assert await read(store, blob) == b"body"
    assert (folder / blob.key).read_bytes() == b"body"
    assert files(folder.parent) == {"folder/file", f"folder/{blob.key}"}
    await store.delete(blob)
    assert files(folder) == {"file"}


async def test_a_link_that_leads_out_is_not_written_through(
    folder: Path, store: FolderStore
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "2026").symlink_to(outside)
    blob = await store.put(4, b"body", INFO)
    assert blob.key.startswith(".twofold/")
    assert list(outside.iterdir()) == []


async def test_a_body_that_fails_stores_nothing(folder: Path, store: FolderStore) -> None:
    async def body() -> AsyncGenerator[bytes, None]:
        yield bytes(READ_BYTES)
        raise S3Error("BadDigest")

    with pytest.raises(S3Error, match="BadDigest"):
        await store.put(2 * READ_BYTES, body(), INFO)
    assert files(folder) == set()


async def test_a_file_that_the_system_does_not_let_grow(folder: Path, store: FolderStore) -> None:
    """As little room as on a full disk, which takes root to have."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (READ_BYTES, limits[1]))
    try:
        with pytest.raises(S3Error, match="InsufficientStorage"):
            await store.put(2 * READ_BYTES, blocks_of(LARGE[:READ_BYTES], LARGE[:READ_BYTES]), INFO)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(folder) == set()


async def test_a_request_that_is_given_up_stores_nothing(folder: Path, store: FolderStore) -> None:
    began = asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        yield bytes(READ_BYTES)
        began.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put(2 * READ_BYTES, body(), INFO))
    await began.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert files(folder) == set()


async def test_without_room_for_marks_there_are_no_natural_names(
    folder: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        # Where tests run there is no file system without them.
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    mark = new_mark()
    blob = await store.put(4, b"body", INFO, mark)
    assert blob.key == f"2026/cat.jpg~{mark}"
    found = {each.what: each.is_good for each in await store.look(thorough=True)}
    assert found["names of new blobs"] is None
    await store.remove_strays(INFO, mark)
    assert files(folder) == set()


# -- Removing -------------------------------------------------------------------------------------


async def test_removing(folder: Path, store: FolderStore) -> None:
    blob = await store.put(4, b"body", INFO)
    await store.delete(blob)
    await store.delete(blob)
    assert files(folder) == set()


async def test_what_others_have_changed_is_not_removed(folder: Path, store: FolderStore) -> None:
    blob = await store.put(4, b"body", INFO)
    (folder / blob.key).write_bytes(b"other")
    await store.delete(blob)
    await store.delete(replace(recorded(folder, blob.key), etag=blob.etag, extra=blob.extra))
    assert files(folder) == {"2026/cat.jpg"}


async def test_what_others_have_put_there_is_not_removed(folder: Path, store: FolderStore) -> None:
    (folder / "a").write_bytes(b"body")
    os.setxattr(folder / "a", MARK_ATTRIBUTE, new_mark().encode())
    blob = recorded(folder, "a")
    await store.delete(blob)
    await store.delete(replace(blob, extra={MARK: new_mark()}))
    assert files(folder) == {"a"}


async def test_what_is_an_objects_is_not_found(folder: Path, store: FolderStore) -> None:
    await store.put(4, b"body", INFO)
    with pytest.raises(S3Error, match="InvalidRequest") as caught:
        await store.find(INFO)
    assert "it is an object's already (user.twofold.mark)" in caught.value.message


async def test_an_older_removal_leaves_the_next_blob_of_the_name(
    folder: Path, store: FolderStore
) -> None:
    first = await store.put(4, b"body", INFO)
    await store.delete(first)
    second = await store.put(4, b"next", INFO)
    await store.delete(first)
    assert second.key == first.key
    assert await read(store, second) == b"next"


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", ""])
async def test_nothing_outside_is_removed(folder: Path, store: FolderStore, key: str) -> None:
    (folder.parent / "outside").write_bytes(b"body")
    found = recorded(folder.parent, "outside")
    mark = new_mark()
    os.setxattr(folder.parent / "outside", MARK_ATTRIBUTE, mark.encode())
    await store.delete(Stored(key, found.size, etag=found.etag, extra={MARK: mark}))
    assert (folder.parent / "outside").exists()


@pytest.mark.parametrize("key", ["2026/cat.jpg", "a//b", "file/below"])
async def test_strays_are_found_by_their_mark(folder: Path, store: FolderStore, key: str) -> None:
    (folder / "file").write_bytes(b"in the way")
    mark, other = new_mark(), new_mark()
    await store.put(4, b"body", info(key), mark)
    await store.put(4, b"more", info(key), other)
    before = files(folder)
    await store.remove_strays(info(key), new_mark())
    assert files(folder) == before
    await store.remove_strays(info(key), mark)
    await store.remove_strays(info(key), other)
    assert files(folder) == {"file"}


async def test_a_draft_that_a_crash_left(folder: Path, store: FolderStore) -> None:
    mark = new_mark()
    for directory in (folder / "2026", folder / ".twofold"):
        directory.mkdir()
        (directory / f".{mark}.draft").write_bytes(b"half")
    await store.remove_strays(INFO, mark)
    assert files(folder) == set()


async def test_the_file_of_somebody_else_is_no_stray(folder: Path, store: FolderStore) -> None:
    (folder / "2026").mkdir()
    file = folder / "2026" / "cat.jpg"
    file.write_bytes(b"somebody's")
    await store.remove_strays(INFO, new_mark())
    os.setxattr(file, MARK_ATTRIBUTE, b"\xff")
    await store.remove_strays(INFO, new_mark())
    assert files(folder) == {"2026/cat.jpg"}


# -- Looking --------------------------------------------------------------------------------------


async def test_looking(folder: Path, reading: FolderStore) -> None:
    (folder / "a").write_bytes(b"x")
    found = await reading.look(thorough=True)
    assert [(each.what, each.is_good) for each in found] == [
        (str(folder), True),
        ("store a blob", None),
    ]


async def test_looking_thoroughly(folder: Path, store: FolderStore) -> None:
    found = await store.look(thorough=True)
    assert [(each.what, each.is_good) for each in found] == [
        (str(folder), True),
        ("store a blob", True),
        ("read part of a blob", True),
        ("remove a blob", True),
    ]
    assert files(folder) == set()


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    details = FolderDetails(path=tmp_path / "away", read_only=False)
    store = FolderStore(details)
    for call in (
        store.put(4, b"body", INFO),
        store.open(Stored("a", 4), 0, 3),
        store.find(INFO),
        store.delete(Stored("a", 4, extra={MARK: new_mark()})),
        store.look(thorough=False),
    ):
        with pytest.raises(PlaceError) as caught:
            await call
        assert caught.value.trouble is Trouble.UNREACHED
        assert "the folder is not there" in caught.value.reason
    await store.close()
