"""``dmd backup`` and ``dmd restore``: whole copies of a metadata store.

A backup is a folder with a consistent copy of the store and the deployment's UUID. It is taken
while the daemon serves; blobs are not in it. A restore puts one into a directory that has no store
yet, and checks it.

Both build under a name that nothing reads, make it durable, and rename it: what exists is whole.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from dmd.directory import OwnedDirectory
from dmd.errors import StartupError
from dmd.metadata.directory import fsync_directory, open_engine, read_uuid, write_uuid
from dmd.metadata.engines.base import EngineError
from dmd.metadata.engines.lmdb import FILE_NAME

Progress = Callable[[int, int], None]
"""Told how many bytes of how many (an estimate) have been written."""

_WATCH_SECONDS = 0.2


class JobError(Exception):
    """A job cannot go on, for a reason that the operator can act on; one line."""


def back_up(metadata: Path, target: Path, progress: Progress) -> None:
    """Copy the store of a metadata directory into the new folder ``target``.

    Raises JobError and StartupError.
    """
    if target.exists():
        raise JobError(f"{target}: exists already; name a new folder")
    unfinished = target.with_name(target.name + ".unfinished")
    _clear(unfinished)
    engine = open_engine(metadata, read_only=True)
    try:
        unfinished.mkdir(parents=True, mode=0o700)
        size = (metadata / FILE_NAME).stat().st_size
        _watched(lambda: engine.backup(unfinished), unfinished / FILE_NAME, size, progress)
        deployment = read_uuid(metadata)
        if deployment is not None:
            write_uuid(unfinished, deployment)
        fsync_directory(unfinished)
        unfinished.rename(target)
        fsync_directory(target.parent)
    except (EngineError, OSError) as error:
        _clear(unfinished)
        raise JobError(f"{target}: {error}") from error
    finally:
        engine.close()


def restore(source: Path, metadata: Path, progress: Progress) -> None:
    """Put a backup into a metadata directory that has no store. Raises JobError, StartupError."""
    if not (source / FILE_NAME).is_file():
        raise JobError(f"{source}: this is no backup: it has no {FILE_NAME}")
    deployment = read_uuid(source)

    def copy(folder: Path) -> None:
        target, size = folder / FILE_NAME, (source / FILE_NAME).stat().st_size
        _watched(lambda: _copy(source / FILE_NAME, target), target, size, progress)

    install(metadata, copy, deployment)


def install(metadata: Path, build: Callable[[Path], None], deployment: str | None) -> None:
    """Let ``build`` make a store in an empty folder, and make it the one of the directory.

    Raises JobError when the directory has one, or when what was built cannot be opened.
    """
    directory = OwnedDirectory(metadata)
    unfinished = metadata / "restore.unfinished"
    try:
        if (metadata / FILE_NAME).exists():
            raise JobError(f"{metadata}: there is a metadata store already; move it away first")
        _clear(unfinished)
        unfinished.mkdir(mode=0o700)
        build(unfinished)
        open_engine(unfinished).close()
        if deployment is not None:
            write_uuid(metadata, deployment)
        fsync_directory(unfinished)
        (unfinished / FILE_NAME).rename(metadata / FILE_NAME)
        fsync_directory(metadata)
    except (EngineError, OSError) as error:
        raise JobError(f"{metadata}: {error}") from error
    except StartupError as error:
        raise JobError(f"what was restored cannot be opened: {error}") from error
    finally:
        _clear(unfinished)
        directory.release()


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
