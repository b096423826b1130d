"""The data directory: its layout, its owner, and what is done to it at start-up.

    lock            held (flock) for the life of the process that owns the directory
    about.json      {"formatVersion": 2}; a newer format is refused
    incoming/       uploads under way; whatever is there at start-up was never acknowledged
    0/ … 3510/      large blobs: the file of a key lies in the directory of its number
    packed/         segments of small blobs (dmd.data.packed)
    quarantine/     files that garbage collection has taken out of use

The numbered directories are the original's (reference/dmd-wire.md, section 11), and it ignores the
rest: a directory that it wrote is served as it is. Where nothing was packed, it can be given back.
Format 1 had neither packed blobs nor a quarantine; its directories are raised to format 2.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Final

from dmd.data.keys import DIRECTORIES, directory_number, is_blob_key
from dmd.errors import StartupError

FORMAT_VERSION: Final = 2

_PRIVATE: Final = 0o700


class DataDirectory:
    """A directory of blobs that this process owns until ``release``.

    The constructor blocks: milliseconds when the numbered directories exist. It raises
    StartupError when the directory is missing, not writable, owned by another process, of a newer
    format, or on a file system without hard links.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incoming = path / "incoming"
        self.packed = path / "packed"
        self.quarantine = path / "quarantine"
        self._lock: int | None = None
        try:
            if not path.is_dir():
                raise StartupError(f"data directory {path}: no such directory")
            self._lock = self._own()
            self._check_format()
            self._clear_incoming()
            self._make_directories()
            self._check_links()
        except OSError as error:
            self.release()
            raise StartupError(f"data directory {path}: {error.strerror or error}") from error
        except StartupError:
            self.release()
            raise

    def blob_path(self, key: str) -> Path:
        """Return where the file of a key lies, whether or not it exists."""
        assert is_blob_key(key)
        return self.path / str(directory_number(key)) / key

    def release(self) -> None:
        """Let another process own the directory; harmless when repeated."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _own(self) -> int:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise StartupError(
                f"data directory {self.path}: in use by another data daemon"
            ) from error
        except OSError:
            os.close(lock)
            raise
        return lock

    def _check_format(self) -> None:
        about = self.path / "about.json"
        try:
            version = json.loads(about.read_bytes())["formatVersion"]
        except FileNotFoundError:
            self._write_format(about)
            return
        except (ValueError, KeyError, TypeError) as error:
            raise StartupError(
                f"data directory {self.path}: about.json states no formatVersion"
            ) from error
        if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
            raise StartupError(
                f"data directory {self.path}: its format is version {version}, "
                f"this program knows versions up to {FORMAT_VERSION}"
            )
        if version < FORMAT_VERSION:
            self._write_format(about)

    def _write_format(self, about: Path) -> None:
        temporary = about.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(json.dumps({"formatVersion": FORMAT_VERSION}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(about)
        self._sync()

    def _clear_incoming(self) -> None:
        self.incoming.mkdir(mode=_PRIVATE, exist_ok=True)
        with os.scandir(self.incoming) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)

    def _make_directories(self) -> None:
        with os.scandir(self.path) as entries:
            present = {entry.name for entry in entries if entry.is_dir()}
        wanted = [*map(str, range(DIRECTORIES)), self.packed.name, self.quarantine.name]
        missing = [name for name in wanted if name not in present]
        for name in missing:
            (self.path / name).mkdir(mode=_PRIVATE)
        if missing:
            self._sync()

    def _check_links(self) -> None:
        """Do once what every upload does, so that its failure is a start-up error."""
        probe = self.incoming / "probe"
        linked = self.path / "0" / "probe"
        linked.unlink(missing_ok=True)
        probe.touch(mode=0o600, exist_ok=False)
        try:
            os.link(probe, linked)
            linked.unlink()
        finally:
            probe.unlink()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
