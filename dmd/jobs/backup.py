"""``dmd backup`` and ``dmd restore``: whole copies of an installation.

A backup is a folder with a consistent copy of the metadata, the deployment's UUID and, in the
folder ``data``, the blobs. It is taken while the daemons serve. Deletions are held from before the
first byte until after the last one (``dmd.hold``), so that all that the metadata names is there,
however long it takes; then the copy is compared with itself, as ``dmd check`` does. What the
installation itself has lost is told, and keeps nobody from a backup of the rest. Master keys are in
no backup: it says which it needs. A restore puts one into directories that hold nothing yet.

Both build under a name that nothing reads, make it durable, and rename it: what exists is whole.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dmd.belonging import ABOUT_NAME, read_uuid
from dmd.errors import StartupError
from dmd.hold import deletions_held
from dmd.jobs.backup_data import copy_data, holds_blobs
from dmd.jobs.blob_access import Data, own_data
from dmd.jobs.check import damaged_records
from dmd.jobs.check_data import DataCheck
from dmd.jobs.check_encryption import needed_keys
from dmd.jobs.check_plan import Problem
from dmd.jobs.errors import JobError
from dmd.jobs.gc import no_collection
from dmd.metadata.engines.base import Engine, EngineError
from dmd.metadata.engines.lmdb import FILE_NAME
from dmd.metadata.metadata_directory import open_engine, write_uuid
from dmd.ownership.owned_directory import OwnedDirectory, is_owned
from shared.config.documents import read_document
from shared.file_writes import sync_directory
from shared.process.logs import get_logger

DATA_NAME: Final = "data"
"""The folder of a backup that has the blobs."""

KEYS_NAME: Final = "master-keys.json"
"""The file of a backup that has the names of master keys, and never a key."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many (an estimate) have been written."""

_WATCH_SECONDS = 0.2


@contextmanager
def held(metadata: Path) -> Iterator[None]:
    """Let nothing be deleted, and no garbage be collected, that this metadata has named since.

    Raises JobError and StartupError.
    """
    read_uuid(metadata)
    with ExitStack() as entered:
        try:
            entered.enter_context(deletions_held(metadata))
        except OSError as error:
            raise JobError(f"{metadata}: deletions cannot be held: {error.strerror}") from error
        entered.enter_context(no_collection(metadata))
        yield


@dataclass(frozen=True, slots=True)
class Blobs:
    """Blobs to be copied: their directory, and how to read them as they are there."""

    path: Path
    open: Callable[[], AbstractContextManager[Data]]


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a backup has not: records and blobs that the installation has ``lost``, blobs that are
    not the data daemon's, ``elsewhere``, by the type of their place, and the master keys that its
    objects are encrypted by, of which it has the names."""

    lost: Sequence[Problem] = ()
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    keys: Sequence[str] = ()


def back_up(metadata: Path, blobs: Blobs | None, target: Path, progress: Progress) -> Lacking:
    """Copy the store of a metadata directory, and blobs unless they are None, into the new folder
    ``target``; what the copy of both lacks. Raises JobError and StartupError.
    """
    if target.exists():
        raise JobError(f"{target}: exists already; name a new folder")
    unfinished = target.with_name(target.name + ".unfinished")
    _clear(unfinished)
    engine = open_engine(metadata, read_only=True)
    try:
        with held(metadata) if blobs is not None else nullcontext():
            unfinished.mkdir(parents=True, mode=0o700)
            size = (metadata / FILE_NAME).stat().st_size
            _watched(lambda: engine.backup(unfinished), unfinished / FILE_NAME, size, progress)
            deployment = read_uuid(metadata)
            if deployment is not None:
                write_uuid(unfinished, deployment)
            if blobs is not None:
                copy_data(blobs.path, unfinished / DATA_NAME, _counted_on(progress))
            lacking = _compare(engine, unfinished, blobs)
        sync_directory(unfinished)
        unfinished.rename(target)
        sync_directory(target.parent)
    except (EngineError, OSError) as error:
        _clear(unfinished)
        raise JobError(f"{target}: {error}") from error
    except (JobError, StartupError):
        _clear(unfinished)
        raise
    finally:
        engine.close()
    return lacking


def _compare(source: Engine, copy: Path, blobs: Blobs | None) -> Lacking:
    """Refuse a copy with holes that are not in what was copied, too; those that are. Raises
    JobError, StartupError, EngineError, OSError."""
    engine = open_engine(copy, read_only=True)
    try:
        damaged = list(damaged_records(engine))
        _refuse_new(damaged, lambda: damaged_records(source))
        keys = sorted(needed_keys(engine))
        _write_needed(copy, keys)
        if blobs is None:
            return Lacking(damaged, keys=keys)
        with own_data(copy / DATA_NAME, get_logger()) as copied:
            check = DataCheck(engine, copied, copy, 0)
            found = list(check.run(_nobody))

        def before() -> Iterator[Problem]:
            with blobs.open() as data:
                yield from DataCheck(engine, data, copy, 0).run(_nobody)

        _refuse_new(found, before)
        return Lacking([*damaged, *found], check.elsewhere, keys)
    finally:
        engine.close()


def _write_needed(copy: Path, keys: Sequence[str]) -> None:
    """Say in a backup which keys it needs, for whoever looks into it; a backup that needs none has
    no such file."""
    if keys:
        with (copy / KEYS_NAME).open("x", encoding="utf-8") as file:
            json.dump({"masterKeys": list(keys)}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())


def keys_of_backup(source: Path) -> Sequence[str]:
    """The names of the master keys that a backup needs. Raises ConfigError."""
    path = source / KEYS_NAME
    if not path.exists():
        return ()
    keys = read_document(path, str(path)).get("masterKeys")
    return [str(key) for key in keys] if isinstance(keys, list) else ()


def _refuse_new(found: Sequence[Problem], before: Callable[[], Iterator[Problem]]) -> None:
    """Raise JobError for a problem that was not there before."""
    if not found:
        return
    known = {_what(each) for each in before()}
    for problem in found:
        if _what(problem) not in known:
            raise JobError(f"the copy is not whole: {problem.text}")


def _what(problem: Problem) -> tuple[object, ...]:
    """What a problem is about, without the reason: a daemon words it in its own way."""
    return problem.kind, problem.sub_level, problem.key, problem.text.partition(":")[0]


def _nobody(_count: int) -> None:
    """Nobody is told of progress."""


def _counted_on(progress: Progress) -> Callable[[int], None]:
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, done)

    return advance


def restore(source: Path, metadata: Path, data: Path | None, progress: Progress) -> None:
    """Put a backup into a metadata directory that has no store, and, unless ``data`` is None, what
    it has of blobs into a data directory that has none. Raises JobError, StartupError.
    """
    if not (source / FILE_NAME).is_file():
        raise JobError(f"{source}: this is no backup: it has no {FILE_NAME}")
    deployment = read_uuid(source)

    def copy(folder: Path) -> None:
        target, size = folder / FILE_NAME, (source / FILE_NAME).stat().st_size
        _watched(lambda: _copy(source / FILE_NAME, target), target, size, progress)

    if is_owned(metadata):
        raise JobError(f"{metadata}: another daemon owns this directory")
    _refuse_store(metadata)  # before what may take hours; ``install`` looks again
    # The bytes first: metadata without them is worse than they are without it.
    if data is not None and (source / DATA_NAME).is_dir():
        _restore_data(source / DATA_NAME, data, progress)
    install(metadata, copy, deployment)


def _restore_data(source: Path, data: Path, progress: Progress) -> None:
    if is_owned(data):
        raise JobError(
            f"{data}: a daemon is using this directory; stop it, or restore the metadata alone "
            "(--metadata-only)"
        )
    directory = OwnedDirectory(data)
    unfinished = data / "restore.unfinished"
    try:
        if holds_blobs(data):
            raise JobError(
                f"{data}: there is a data store already; move it away first, or restore the "
                "metadata alone (--metadata-only)"
            )
        _clear(unfinished)
        copy_data(source, unfinished, _counted_on(progress))
        for folder in unfinished.iterdir():
            if folder.is_dir():
                folder.rename(data / folder.name)
        sync_directory(data)
        (unfinished / ABOUT_NAME).rename(data / ABOUT_NAME)
        sync_directory(data)
    except OSError as error:
        raise JobError(f"{data}: {error}") from error
    finally:
        _clear(unfinished)
        directory.release()


def install(metadata: Path, build: Callable[[Path], None], deployment: str | None) -> None:
    """Let ``build`` make a store in an empty folder, and make it the one of the directory.

    Raises JobError when the directory has one, or when what was built cannot be opened.
    """
    directory = OwnedDirectory(metadata)
    unfinished = metadata / "restore.unfinished"
    try:
        _refuse_store(metadata)
        _clear(unfinished)
        unfinished.mkdir(mode=0o700)
        build(unfinished)
        open_engine(unfinished).close()
        if deployment is not None:
            write_uuid(metadata, deployment)
        sync_directory(unfinished)
        (unfinished / FILE_NAME).rename(metadata / FILE_NAME)
        sync_directory(metadata)
    except (EngineError, OSError) as error:
        raise JobError(f"{metadata}: {error}") from error
    except StartupError as error:
        raise JobError(f"what was restored cannot be opened: {error}") from error
    finally:
        _clear(unfinished)
        directory.release()


def _refuse_store(metadata: Path) -> None:
    if (metadata / FILE_NAME).exists():
        raise JobError(f"{metadata}: there is a metadata store already; move it away first")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1024 * 1024)
        writer.flush()
        os.fsync(writer.fileno())


def _watched(work: Callable[[], None], target: Path, size: int, progress: Progress) -> None:
    """Do the work while telling how large its file has grown."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            if target.exists():
                progress(min(target.stat().st_size, size), size)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        work()
    finally:
        ended.set()
        watcher.join()
    progress(size, size)


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
