"""What a metadata directory holds, and opening it: the store, its format, the deployment's UUID.

Called by the daemon, which owns the directory, and by the jobs that read a store or make one.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from dmd.belonging import UUID_NAME, read_uuid
from dmd.errors import StartupError
from dmd.metadata.engines.base import Engine, EngineError, EngineFatalError
from dmd.metadata.engines.lmdb import FILE_NAME, LmdbEngine
from dmd.metadata.engines.lmdb_reader import OnDamage, PageStore
from dmd.metadata.record_keys import FORMAT_KEY
from shared.file_writes import sync_directory

FORMAT_VERSION = 1
_LEVELDB_NAME = "rootDB"


def open_engine(
    path: Path, *, read_only: bool = False, on_damage: OnDamage | None = None
) -> Engine:
    """The store in a directory, made when there is none; raises StartupError.

    ``read_only`` opens one that exists, beside a daemon that may be writing; it raises EngineError
    at the first damaged page, or tells ``on_damage`` and goes on behind it.
    """
    if (path / _LEVELDB_NAME).exists() and not (path / FILE_NAME).exists():
        raise StartupError(
            f"{path}: {_LEVELDB_NAME} is a LevelDB database of CloudServer, which this daemon "
            "cannot read; name another directory in S3METADATAPATH"
        )
    if read_only and not (path / FILE_NAME).exists():
        raise StartupError(f"{path}: there is no metadata store ({FILE_NAME})")
    engine: Engine = PageStore(path, on_damage) if read_only else LmdbEngine(path)
    try:
        _check_format(engine, path, read_only=read_only)
    except BaseException:
        engine.close()
        raise
    return engine


def _check_format(engine: Engine, path: Path, *, read_only: bool) -> None:
    """Note the format in a new store, refuse one that is not known."""
    try:
        if read_only:
            with engine.snapshot() as reader:
                found = reader.get(FORMAT_KEY)
        else:
            with engine.transaction() as transaction:
                found = transaction.get(FORMAT_KEY)
                if found is None:
                    transaction.put(FORMAT_KEY, str(FORMAT_VERSION).encode())
    except (EngineError, EngineFatalError) as error:
        raise StartupError(f"{path}: cannot use the metadata store: {error}") from error
    if found is None:
        return
    if not found.isdigit():
        raise StartupError(f"{path}: format version {found.decode(errors='replace')!r} is damaged")
    if int(found) > FORMAT_VERSION:
        raise StartupError(
            f"{path}: format version {int(found)} was written by a newer release; "
            f"this one knows {FORMAT_VERSION}"
        )


def deployment_uuid(path: Path) -> str:
    """The UUID of this deployment, kept in the file ``uuid`` as the original keeps it."""
    found = read_uuid(path)
    if found is None:
        found = str(uuid.uuid4())
        write_uuid(path, found)
    return found


def write_uuid(path: Path, value: str) -> None:
    """Keep a UUID durably; raises StartupError."""
    unfinished = path / f"{UUID_NAME}.new"
    try:
        with unfinished.open("w", encoding="ascii") as stream:
            stream.write(value)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.rename(path / UUID_NAME)
        sync_directory(path)
    except OSError as error:
        raise StartupError(f"{path / UUID_NAME}: {error}") from error
