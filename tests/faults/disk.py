"""Disks that are full, and disks that fail.

``small_disk`` makes a directory of a process a file system of its own, of a few megabytes, so that
"no space left" comes from the kernel. Three ways, the first that works: a tmpfs in a mount
namespace, which takes root; the same in a user namespace, which takes none; a small tmpfs that is
there already, as containers have it, with all but a few megabytes taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from dmd.data.disk import Disk, DiskOptions
from tests.servers import Process

_MIB = 1 << 20
_NAMESPACES = (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"])
_SMALL_BYTES_MAX = 256 * _MIB
"""The largest tmpfs of others that a test may fill."""


@dataclass
class SmallDisk:
    """The file system of one directory of a process, as long as that process runs."""

    process: Process
    path: Path
    own_namespace: bool

    @property
    def root(self) -> Path:
        """Where this process finds the directory."""
        if self.own_namespace:
            return Path(f"/proc/{self.process.pid}/root{self.path}")
        return self.path

    def fill(self) -> None:
        """Take the space that is left."""
        with (self.root / "filler").open("ab", buffering=0) as filler:
            block = bytes(_MIB)
            while block:
                try:
                    filler.write(block)
                except OSError:
                    block = block[: len(block) // 2]

    def free(self) -> None:
        """Give back what ``fill`` took."""
        (self.root / "filler").unlink()


@contextlib.contextmanager
def small_disk(process: Process, variable: str, size_mib: int) -> Iterator[SmallDisk]:
    """Let a process, not started yet, have a small disk for the directory that a variable of its
    environment names."""
    namespace = _namespace()
    path = Path(process.environ[variable])
    if namespace is not None:
        mount = f'mount -t tmpfs -o size={size_mib}m tmpfs "$0" && exec "$@"'
        process.forked = False
        process.argv = [*namespace, "sh", "-c", mount, str(path), *process.argv]
        yield SmallDisk(process, path, own_namespace=True)
        return
    with _rest_of_small_tmpfs(size_mib * _MIB) as rest:
        process.environ[variable] = str(rest)
        yield SmallDisk(process, rest, own_namespace=False)
        process.kill()


@lru_cache
def _namespace() -> list[str] | None:
    """The command that lets a process mount, None when this machine allows none."""
    with TemporaryDirectory() as folder:
        for command in _NAMESPACES:
            probe = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
            with contextlib.suppress(FileNotFoundError):
                if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                    return command
    return None


@contextlib.contextmanager
def _rest_of_small_tmpfs(size: int) -> Iterator[Path]:
    """A folder in a small tmpfs, in which so many bytes are left."""
    with TemporaryDirectory(dir=_small_tmpfs(size)) as folder:
        lock = os.open(Path(folder).parent, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test at a time
        try:
            figures = os.statvfs(folder)
            too_much = figures.f_bavail * figures.f_frsize - size
            with (Path(folder) / "ballast").open("wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, max(too_much, 1))
            path = Path(folder) / "directory"
            path.mkdir()
            yield path
        finally:
            os.close(lock)


def _small_tmpfs(size: int) -> str:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, path, kind, *_ = line.split()
        if kind != "tmpfs" or not os.access(path, os.W_OK):
            continue
        figures = os.statvfs(path)
        total = figures.f_blocks * figures.f_frsize
        if total <= _SMALL_BYTES_MAX and figures.f_bavail * figures.f_frsize >= size:
            return path
    raise AssertionError(
        "this machine can show no full disk: it allows neither a mount (unshare --mount, "
        "unshare --user --mount), nor has it a small tmpfs that we may write to"
    )


class FailingDisk(Disk):
    """A data daemon's disk on which one operation fails, with one error, once it is told to."""

    def fail(self, operation: str, code: int) -> None:
        """Let every later call of the method ``operation`` raise OSError ``code``."""

        def failing(*_: object) -> NoReturn:
            raise OSError(code, os.strerror(code))

        setattr(self, operation, failing)
        # What it cannot do, it cannot have done before either.
        self._tells_cached = False

    def repair(self) -> None:
        """Let every operation work again."""
        for operation in [name for name in vars(self) if hasattr(Disk, name)]:
            delattr(self, operation)
        self._tells_cached = True


def failing_disk() -> FailingDisk:
    """A disk that works so far."""
    return FailingDisk(DiskOptions())
