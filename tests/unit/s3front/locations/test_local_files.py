"""Files of blobs that a front-end writes itself: where, how, and what is left to the daemon."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest
from isal.isal_zlib import crc32

from s3front.locations import direct_writes, local_files
from s3front.locations.base import Stored
from s3front.locations.direct_writes import DIRECT_BYTES_MAX
from s3front.locations.local_files import BYTES_MAX, LocalFile, LocalFiles, Offer
from s3front.s3_errors import S3Error
from shared.blob_checksums import checksum_in
from shared.blob_files import INCOMING_FOLDER, blob_file, is_blob_key
from shared.local_directory import local_identity

CONTENT = bytes(range(256)) * 4096 + b"more than a MiB"
BYTES_MIN = 1000
PAGE = 4096

SIZES = (BYTES_MIN, PAGE - 1, PAGE, PAGE + 1, 300_001, DIRECT_BYTES_MAX, len(CONTENT))


class Daemon:
    """What the daemon says of its directory, while it is there."""

    def __init__(self, directory: str | None, bytes_min: int | None = BYTES_MIN) -> None:
        self.directory = directory
        self.bytes_min = bytes_min
        self.is_there = True
        self.asked = 0

    async def tell(self) -> Offer | None:
        self.asked += 1
        if self.directory is None:
            return None
        return Offer(self.directory, self.bytes_min, lambda: self.is_there)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    (found / INCOMING_FOLDER).mkdir(parents=True)
    return found


@pytest.fixture
def daemon(folder: Path) -> Daemon:
    return Daemon(local_identity(folder))


@pytest.fixture
async def files(folder: Path, daemon: Daemon) -> AsyncIterator[LocalFiles]:
    """Files that may be written, as the daemon has said already."""
    found = LocalFiles(folder, daemon.tell)
    assert found.new(len(CONTENT)) is None
    await answered(found)
    yield found
    await found.close()


async def answered(files: LocalFiles) -> None:
    """Wait for the daemon's answer."""
    assert files._asking is not None
    await files._asking


def new(files: LocalFiles, size: int = len(CONTENT)) -> LocalFile:
    found = files.new(size)
    assert found is not None
    return found


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_stored(folder: Path, blob: Stored | None, content: bytes) -> None:
    """It is there as the daemon would have stored it."""
    assert blob is not None
    assert blob.size == len(content)
    assert is_blob_key(blob.key)
    assert checksum_in(blob.key) == crc32(content)
    path = Path(blob_file(str(folder), blob.key))
    assert files_in(folder) == [path]
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_nlink == 1


async def test_very_large_blobs_are_the_daemons(files: LocalFiles) -> None:
    assert files.new(BYTES_MAX + 1) is None
    new(files, BYTES_MAX).discard()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_blob_that_is_there_at_once(
    folder: Path, files: LocalFiles, size: int, pieces: int
) -> None:
    content = CONTENT[:size]
    cuts = [size * number // pieces for number in range(pieces + 1)]
    parts = [content[start:end] for start, end in pairwise(cuts)]
    assert_stored(folder, new(files, size).store(parts), content)


@pytest.mark.parametrize("size", SIZES)
async def test_a_blob_that_comes_in_blocks(folder: Path, files: LocalFiles, size: int) -> None:
    file = new(files, size)
    for start in range(0, size, 300_000):
        file.write((CONTENT[start : min(size, start + 300_000)],))
        assert files_in(folder) == []
    assert_stored(folder, file.publish(), CONTENT[:size])


async def test_the_disk_begins_before_the_end_of_a_large_one(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    monkeypatch.setattr(local_files, "begin_sync", begun.append)
    file = new(files)
    for _ in range(8):
        file.write((CONTENT, CONTENT))
    assert len(begun) == 4
    file.discard()


@pytest.mark.parametrize("number", [errno.EINVAL, None])
async def test_where_nothing_goes_past_the_page_cache(
    folder: Path, files: LocalFiles, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """A file system may refuse it, or take less than it is given."""
    write = os.write

    def refused(descriptor: int, data: Any) -> int:
        if number is None:
            return write(descriptor, data[:PAGE])
        raise OSError(number, "refused")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refused)
        blob = new(files).store((CONTENT[:500_000],))
    assert_stored(folder, blob, CONTENT[:500_000])
    assert new(files).store((CONTENT,)) is not None


async def test_its_numbered_directory_is_durable_before_it_is_told(
    folder: Path, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; those that were there when the daemon was asked are known to be."""
    synced: list[str] = []
    monkeypatch.setattr(local_files, "sync_directory", synced.append)
    monkeypatch.setattr(local_files, "directory_number", lambda _: 7)
    for _ in range(3):
        assert new(files).store((CONTENT,)) is not None
    assert synced == [str(folder)]
    assert (folder / "7").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("directory", "bytes_min"), [(None, 0), ("another one", 0), ("", None), ("", len(CONTENT) + 1)]
)
async def test_what_the_daemon_does_not_offer(
    folder: Path, directory: str | None, bytes_min: int | None
) -> None:
    daemon = Daemon(local_identity(folder) if directory == "" else directory, bytes_min)
    files = LocalFiles(folder, daemon.tell)
    assert files.new(len(CONTENT)) is None
    await answered(files)
    for _ in range(3):
        assert files.new(len(CONTENT)) is None
    assert daemon.asked == 1
    await files.close()


def _of_another_user(monkeypatch: pytest.MonkeyPatch, _folder: Path) -> None:
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def _without_a_place(_monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / INCOMING_FOLDER).rmdir()


@pytest.mark.parametrize("change", [_of_another_user, _without_a_place])
async def test_where_the_daemon_could_not_read_it(
    folder: Path,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    change(monkeypatch, folder)
    files = LocalFiles(folder, daemon.tell)
    for _ in range(2):
        assert files.new(len(CONTENT)) is None
        await answered(files)
    assert daemon.asked == 1
    await files.close()


async def test_an_offer_ends_with_the_daemon(files: LocalFiles, daemon: Daemon) -> None:
    """Whatever is at its address next is asked at once."""
    daemon.is_there = False
    assert files.new(len(CONTENT)) is None
    daemon.is_there = True
    await answered(files)
    assert daemon.asked == 2
    assert files.new(len(CONTENT)) is not None


def _fails(number: int) -> Callable[..., NoReturn]:
    def failing(*_arguments: object, **_named: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return failing


def written_again(file: LocalFile) -> Stored:
    file.write((CONTENT,))
    return file.publish()


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
async def test_what_fails_is_left_to_the_daemon(
    folder: Path, files: LocalFiles, daemon: Daemon, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """And so is the next one, for a while."""
    with monkeypatch.context() as patched:
        patched.setattr(os, call, _fails(errno.EIO))
        assert new(files).store((CONTENT[:DIRECT_BYTES_MAX],)) is None
    assert files_in(folder) == []
    assert files.new(len(CONTENT)) is None
    assert daemon.asked == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "InsufficientStorage"),
        (errno.EDQUOT, "InsufficientStorage"),
        (errno.EIO, "InternalError"),
    ],
)
@pytest.mark.parametrize("call", ["writev", "fsync", "link"])
async def test_a_blob_in_blocks_that_fails(
    folder: Path,
    files: LocalFiles,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    code: str,
) -> None:
    """Nobody has the blocks before any more."""
    file = new(files)
    file.write((CONTENT,))
    with monkeypatch.context() as patched:
        patched.setattr(os, call, _fails(number))
        with pytest.raises(S3Error, match=code):
            written_again(file)
    file.discard()
    assert files_in(folder) == []
    assert files.new(len(CONTENT)) is None


async def test_a_name_that_is_not_durable_is_taken_back(
    folder: Path, files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told its key."""
    monkeypatch.setattr(local_files, "sync_directory", _fails(errno.EIO))
    assert new(files).store((CONTENT,)) is None
    assert files_in(folder) == []


def replaced(folder: Path) -> Path:
    """Put another directory in its place; returns where it is now."""
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    (folder / INCOMING_FOLDER).mkdir(parents=True)
    return elsewhere


def emptied(folder: Path) -> None:
    for child in list(folder.iterdir()):
        shutil.rmtree(child)


async def test_a_directory_that_was_replaced(folder: Path, files: LocalFiles) -> None:
    """Nobody would find it where the daemon is then, nor in a directory that nobody has."""
    file = new(files)
    file.write((CONTENT,))
    elsewhere = replaced(folder)
    with pytest.raises(S3Error, match="InternalError"):
        file.publish()
    file.discard()
    assert files_in(folder) == files_in(elsewhere) == []


async def test_a_directory_that_was_emptied(folder: Path, files: LocalFiles) -> None:
    emptied(folder)
    assert new(files).store((CONTENT,)) is None
    assert not os.listdir(folder)


async def test_what_is_given_up_leaves_nothing(folder: Path, files: LocalFiles) -> None:
    file = new(files)
    file.discard()
    file = new(files)
    file.write((CONTENT,))
    file.discard()
    file = new(files)
    assert file.store((CONTENT,)) is not None
    file.discard()
    assert files_in(folder) == []


async def test_buffers_are_used_again(files: LocalFiles) -> None:
    """What was in them before is not in the next blob; there are as many as ever."""
    before = direct_writes._buffers.qsize()
    for size in (DIRECT_BYTES_MAX, 5000, 300_001):
        blob = new(files, size).store((CONTENT[-size:],))
        assert blob is not None
        assert checksum_in(blob.key) == crc32(CONTENT[-size:])
    assert direct_writes._buffers.qsize() == before
