"""A metadata store as jobs read it: page by page, beside a daemon or without one.

Theory of operation. Reading by the library would end a job at the first damaged page, without a
word. So jobs read the pages themselves (``lmdb_pages``), and the library only *pins* the state that
is read: while its transaction is open, no daemon uses the pages of that state again. Where a meta
page is damaged the library cannot open the store at all; then it is read by the whole one, if no
daemon owns the directory.

A strict reader raises ``DamagedStoreError`` at the first damaged page. One with ``on_damage`` tells
each once and goes on behind it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import lmdb

from dmd.errors import DamagedMetadataError, StartupError
from dmd.metadata.engines.base import EngineError, Transaction
from dmd.metadata.engines.lmdb import FILE_NAME, open_environment
from dmd.metadata.engines.lmdb_format import Meta
from dmd.metadata.engines.lmdb_pages import (
    KEY_BYTES_MAX,
    Damage,
    PageFile,
    PageView,
    choose_meta,
    read_metas,
)
from dmd.ownership.owned_directory import is_owned

_ATTEMPTS_MAX: Final = 100

OnDamage = Callable[[Damage], None]


class DamagedStoreError(EngineError):
    """A page of the store cannot be used."""


class PageStore:
    """See the module, and ``base.Engine``; nothing can be written. Raises StartupError."""

    key_bytes_max = KEY_BYTES_MAX

    def __init__(self, directory: Path, on_damage: OnDamage | None = None) -> None:
        self._path = directory / FILE_NAME
        self._told: set[int] = set()
        self._tell = on_damage
        self._environment: lmdb.Environment | None = None
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StartupError(f"{self._path}: {error.strerror}") from error
        try:
            self._open(directory)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _open(self, directory: Path) -> None:
        meta, problems = choose_meta(self._descriptor)
        if not problems:
            try:
                self._environment = open_environment(self._path, read_only=True)
            except (lmdb.Error, OSError) as error:
                problems.append(f"it cannot be opened: {error}")
            else:
                return
        told = "; ".join(problems)
        if meta is None or self._tell is None:
            raise DamagedMetadataError(self._path, told)
        if is_owned(directory):
            raise StartupError(f"{self._path}: {told}; a daemon is using it: stop it first")
        self._tell(Damage(0, f"{told}; read as of transaction {meta.transaction}"))

    @contextmanager
    def snapshot(self) -> Iterator[PageView]:
        """A view of the newest state."""
        if self._environment is None:
            chosen, problems = choose_meta(self._descriptor)
            if chosen is None:
                raise DamagedStoreError("; ".join(problems))
            yield self._view(chosen)
            return
        for _ in range(_ATTEMPTS_MAX):
            try:
                pinned = self._environment.begin()
            except lmdb.Error as error:
                raise EngineError(str(error)) from error
            with pinned:
                number = pinned.id()
                for meta in read_metas(self._descriptor):
                    # Two commits since it was pinned have written over its meta page.
                    if isinstance(meta, Meta) and meta.transaction == number:
                        yield self._view(meta)
                        return
        raise EngineError("the store changes faster than it can be read")

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Raises EngineError."""
        raise EngineError("the store is open for reading only")

    def backup(self, directory: Path) -> None:
        """A process of its own copies: on a damaged page the library ends its process."""
        command = [sys.executable, "-m", "dmd.metadata.engines.lmdb_copy"]
        ended = subprocess.run(  # noqa: S603  # this interpreter and our own module
            [*command, str(self._path.parent), str(directory)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode < 0:
            raise DamagedStoreError(f"copying the store ended with signal {-ended.returncode}")
        if ended.returncode:
            raise EngineError(ended.stderr.strip() or f"exit code {ended.returncode}")

    def close(self) -> None:
        """Release the store."""
        if self._environment is not None:
            self._environment.close()
        os.close(self._descriptor)

    def _view(self, meta: Meta) -> PageView:
        return PageView(PageFile(self._descriptor, meta.page_bytes), meta, self._on_damage)

    def _on_damage(self, damage: Damage) -> None:
        if self._tell is None:
            raise DamagedStoreError(str(damage))
        if damage.page not in self._told:
            self._told.add(damage.page)
            self._tell(damage)
