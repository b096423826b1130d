"""What the LMDB engine does with its files: re-opening, a full map, an unfinished creation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from dmd.errors import StartupError
from dmd.metadata.engines import lmdb_pages
from dmd.metadata.engines.base import EngineError, EngineFatalError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.lmdb_format import Meta, PageError

MIB = 1024 * 1024


def values(engine: LmdbEngine) -> dict[bytes, bytes]:
    with engine.snapshot() as reader:
        return dict(reader.range(b"", b"\xff"))


def store(engine: LmdbEngine, key: bytes, value: bytes) -> None:
    store_all(engine, {key: value})


def store_all(engine: LmdbEngine, items: dict[bytes, bytes]) -> None:
    with engine.transaction() as transaction:
        for key, value in items.items():
            transaction.put(key, value)


def store_until_full(engine: LmdbEngine) -> list[bytes]:
    """Put values one by one until the engine refuses; the keys of those it took."""
    stored: list[bytes] = []
    for number in range(1000):
        try:
            store(engine, b"%04d" % number, bytes(40_000))
        except EngineError:
            return stored
        stored.append(b"%04d" % number)
    raise AssertionError("the map never filled up")


def test_a_new_store_is_empty(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path)
    assert values(engine) == {}
    engine.close()


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path)
    store(engine, b"k", b"v")
    engine.close()

    engine = LmdbEngine(tmp_path)
    assert values(engine) == {b"k": b"v"}
    engine.close()


def test_what_was_not_committed_is_not_there_after_the_process_died(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from dmd.metadata.engines.lmdb import LmdbEngine\n"
        "engine = LmdbEngine(pathlib.Path(sys.argv[1]))\n"
        "with engine.transaction() as transaction:\n"
        "    transaction.put(b'committed', b'')\n"
        "with engine.transaction() as transaction:\n"
        "    transaction.put(b'lost', b'x' * 100_000)\n"
        "    os._exit(9)\n"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(argv, check=False).returncode == 9

    engine = LmdbEngine(tmp_path)
    assert values(engine) == {b"committed": b""}
    engine.close()


def test_a_full_map_fails_the_transaction_and_later_writes_work(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path, map_bytes=MIB)
    store(engine, b"before", b"")
    with pytest.raises(EngineError):
        store_all(engine, {b"small": b"", b"large": bytes(2 * MIB)})
    store(engine, b"after", b"")

    assert set(values(engine)) == {b"before", b"after"}
    engine.close()


def test_writes_work_again_when_a_full_map_was_emptied(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path, map_bytes=MIB)
    for key in store_until_full(engine):
        with engine.transaction() as transaction:
            transaction.delete(key)
    store(engine, b"after", bytes(40_000))

    assert set(values(engine)) == {b"after"}
    engine.close()


def test_a_creation_that_was_cut_short_leaves_a_usable_directory(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"\0" * 5000)
    (tmp_path / f"{FILE_NAME}.new-lock").write_bytes(b"junk")

    engine = LmdbEngine(tmp_path)
    store(engine, b"k", b"v")
    assert values(engine) == {b"k": b"v"}
    engine.close()


@pytest.mark.parametrize("step", ["open_environment", "_fsync", "rename"])
def test_a_creation_that_fails_leaves_no_store_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        if step == "rename":
            patched.setattr(Path, "rename", fail)
        else:
            patched.setattr(f"dmd.metadata.engines.lmdb.{step}", fail)
        with pytest.raises(StartupError, match="No space left on device"):
            LmdbEngine(tmp_path)
    assert not (tmp_path / FILE_NAME).exists()

    LmdbEngine(tmp_path).close()


def test_a_store_of_the_older_format_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    lmdb.open(str(path), subdir=False, map_size=MIB, lib_version=0).close()
    content = path.read_bytes()

    with pytest.raises(StartupError, match=FILE_NAME):
        LmdbEngine(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"something else " * 1000])
def test_a_file_that_is_no_store_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)

    with pytest.raises(StartupError, match=FILE_NAME):
        LmdbEngine(tmp_path)
    assert path.read_bytes() == content


class _FailingTransaction:
    """Stands for an LMDB transaction whose commit fails, which no test can bring about."""

    def __init__(self, error: lmdb.Error) -> None:
        self._error = error

    def commit(self) -> None:
        raise self._error

    def put(self, _key: bytes, _value: bytes) -> None: ...


class _FailingEnvironment:
    def __init__(self, begin: lmdb.Error | None, commit: lmdb.Error | None) -> None:
        self._begin = begin
        self._commit = commit

    def begin(self, write: bool = False) -> _FailingTransaction:
        assert write
        if self._begin is not None:
            raise self._begin
        assert self._commit is not None
        return _FailingTransaction(self._commit)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lmdb.MapFullError("mdb_txn_commit"), EngineError),
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), EngineError),
        (lmdb.DiskError("mdb_txn_commit: Disk quota exceeded"), EngineError),
        (lmdb.Error("mdb_txn_commit: MDB_SHORT_WRITE"), EngineError),
        (lmdb.DiskError("mdb_txn_commit: Input/output error"), EngineFatalError),
        (lmdb.CorruptedError("mdb_txn_commit"), EngineFatalError),
    ],
)
def test_only_a_commit_that_cannot_have_reached_the_disk_is_a_clean_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: lmdb.Error, expected: type[Exception]
) -> None:
    engine = LmdbEngine(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "_environment", _FailingEnvironment(None, error))
        with pytest.raises(expected), engine.transaction() as transaction:
            transaction.put(b"k", b"v")
    engine.close()


def test_an_environment_that_gave_up_is_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LmdbEngine(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(engine, "_environment", _FailingEnvironment(lmdb.PanicError("x"), None))
        with pytest.raises(EngineFatalError), engine.transaction():
            pass
    engine.close()


def test_commits_between_two_looks_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job opens the store of a daemon that commits faster than it looks at both meta pages."""
    engine = LmdbEngine(tmp_path)
    busy = iter(range(12))

    read_meta = lmdb_pages._read_meta

    def slowly(descriptor: int, slot: int, offset: int) -> Meta | PageError:
        if slot == 1 and next(busy, None) is not None:
            for _ in range(3):
                store(engine, b"key", b"value")
        return read_meta(descriptor, slot, offset)

    store(engine, b"key", b"value")
    monkeypatch.setattr(lmdb_pages, "_read_meta", slowly)
    with (tmp_path / FILE_NAME).open("rb") as file:
        chosen, problems = lmdb_pages.choose_meta(file.fileno())
    assert not problems
    assert chosen is not None
    assert next(busy, None) is None
    engine.close()
