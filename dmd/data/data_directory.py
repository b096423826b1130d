"""The data directory: its layout, its owner, and what is done to it at start-up.

    lock, lease     the process that owns the directory (dmd.ownership.owned_directory)
    about.json      {"formatVersion": 4, "owners": [UUID, …], "metadata": UUID}, with a checksum; a
                    newer format is refused
    incoming/       uploads under way; whatever is there at start-up was never acknowledged
    0/ … 3510/      large blobs: the file of a key lies in the directory of its number, which is
                    made with its first blob (all of them take a quarter of a second)
    packed/         segments of small blobs (dmd.data.packed)
    quarantine/     files that garbage collection has taken out of use

The numbered directories are the original's (reference/dmd-wire.md, section 11), and it ignores the
rest: a directory that it wrote is served as it is. Where nothing was packed, it can be given back.
Format 1 had neither packed blobs nor a quarantine. Format 2 had other codes for the state of packed
blobs: "oldSegments" is the number of the last segment that may have them, until all have been gone
through (``dmd.data.packed.upgrade``). Format 3 had no segments of bodies: who knows no other format
takes one of them for its own newest segment, and appends to it beside its writer
(``dmd.data.packed.body_segments``). Each is raised to format 4 at the first start, and so before
anybody is told that bodies may be packed here.

Owners are the metadata stores whose records name the blobs. Garbage collection reads all of them
before it calls a blob nobody's, and refuses a directory whose owners it does not know. The
metadata that is served beside the blobs on one machine is named as well (dmd.belonging).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dmd.belonging import ABOUT_NAME
from dmd.checked_json import decode, encode
from dmd.data.packed.growing import numbers_in
from dmd.errors import StartupError
from dmd.ownership.owned_directory import OwnedDirectory, Ownership
from shared.blob_files import INCOMING_FOLDER, blob_file, is_blob_key
from shared.file_writes import sync_directory
from shared.packed_reader import PACKED_FOLDER
from shared.process.logs import EventLog

FORMAT_VERSION: Final = 4
_FORMAT_OF_STATES: Final = 3
"""The first with today's codes for the state of packed blobs."""
ABOUT_RESCUE: Final = f'{{"formatVersion": {FORMAT_VERSION}}}'

_PRIVATE: Final = 0o700


class DataDirectory:
    """A directory of blobs that this process owns until ``release``.

    The constructor blocks: milliseconds when locks can be relied on, longer as
    ``dmd.ownership.owned_directory`` says. It raises StartupError when the directory is missing,
    not writable, owned by another process, of a newer format, or on a file system without hard
    links.
    """

    def __init__(
        self, path: Path, ownership: Ownership | None = None, log: EventLog | None = None
    ) -> None:
        self.path = path
        self._about = path / ABOUT_NAME
        self.incoming = path / INCOMING_FOLDER
        self.packed = path / PACKED_FOLDER
        self.quarantine = path / "quarantine"
        self._owned: OwnedDirectory | None = None
        self._owners: tuple[str, ...] = ()
        self.old_segments = 0
        """The number of the last segment that may have the states of format 2; 0 for none."""
        self._metadata: str | None = None
        self._describing = threading.Lock()
        self._present: set[str] = set()
        try:
            if not path.is_dir():
                raise StartupError(f"data directory {path}: no such directory")
            self._owned = OwnedDirectory(path, ownership, log)
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
        return Path(blob_file(str(self.path), key))

    def make_directory_of(self, blob: Path, sync: Callable[[Path], None]) -> None:
        """Have the directory that a blob's file is to lie in, durably. Blocks; raises OSError.

        ``sync`` makes the names in a directory durable; called by the store, from any thread.
        """
        folder = blob.parent
        if folder.name not in self._present:
            folder.mkdir(mode=_PRIVATE, exist_ok=True)
            # Whoever made it, its name need not be durable yet.
            sync(self.path)
            self._present.add(folder.name)

    @property
    def owners(self) -> tuple[str, ...]:
        """The UUIDs of the metadata stores whose blobs lie here, as far as they were adopted."""
        return self._owners

    def adopt(self, owner: str) -> None:
        """Note one more owner, durably. Blocks; raises OSError."""
        with self._describing:
            self._describe((*(known for known in self._owners if known != owner), owner))

    def disown(self, owner: str) -> None:
        """Forget an owner, durably. Blocks; raises OSError."""
        with self._describing:
            self._describe(tuple(known for known in self._owners if known != owner))

    def upgraded(self) -> None:
        """Note durably that no segment has the states of format 2. Blocks; raises OSError."""
        with self._describing:
            self.old_segments = 0
            self._describe(self._owners)

    @property
    def named_metadata(self) -> frozenset[str]:
        """The UUIDs of all metadata that is named here."""
        return frozenset((*self._owners, *(() if self._metadata is None else (self._metadata,))))

    def note_metadata(self, metadata: str) -> None:
        """Note which metadata is served beside the blobs, durably. Blocks; raises OSError."""
        with self._describing:
            if metadata != self._metadata:
                self._metadata = metadata
                self._describe(self._owners)

    def release(self) -> None:
        """Let another process own the directory; harmless when repeated."""
        if self._owned is not None:
            owned, self._owned = self._owned, None
            owned.release()

    def _check_format(self) -> None:
        try:
            about = json.loads(decode(self._about.read_bytes()))
            version = about["formatVersion"]
            self._owners = tuple(map(str, about.get("owners", ())))
            self.old_segments = int(about.get("oldSegments", 0))
            metadata = about.get("metadata")
            self._metadata = None if metadata is None else str(metadata)
        except FileNotFoundError:
            self._describe(())
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartupError(
                f"data directory {self.path}: about.json is damaged, or states no formatVersion: "
                f"{error!r}; put it back from a copy, or write {ABOUT_RESCUE} into it, and let "
                "`dmd gc --adopt` name the metadata again"
            ) from error
        if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
            raise StartupError(
                f"data directory {self.path}: its format is version {version}, "
                f"this program knows versions up to {FORMAT_VERSION}"
            )
        if version < FORMAT_VERSION:
            if version < _FORMAT_OF_STATES and self.packed.is_dir():
                self.old_segments = max(numbers_in(self.packed), default=0)
            self._describe(self._owners)

    def _describe(self, owners: tuple[str, ...]) -> None:
        about: dict[str, object] = {"formatVersion": FORMAT_VERSION, "owners": owners}
        if self.old_segments:
            about["oldSegments"] = self.old_segments
        if self._metadata is not None:
            about["metadata"] = self._metadata
        temporary = self._about.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(encode(about))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._about)
        self._sync()
        self._owners = owners

    def _clear_incoming(self) -> None:
        self.incoming.mkdir(mode=_PRIVATE, exist_ok=True)
        with os.scandir(self.incoming) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)

    def _make_directories(self) -> None:
        with os.scandir(self.path) as entries:
            self._present = {entry.name for entry in entries if entry.is_dir()}
        for folder in (self.packed, self.quarantine):
            folder.mkdir(mode=_PRIVATE, exist_ok=True)
        self._sync()

    def _check_links(self) -> None:
        """Do once what every upload does, so that its failure is a start-up error."""
        probe = self.incoming / "probe"
        linked = self.quarantine / "probe"
        linked.unlink(missing_ok=True)
        probe.touch(mode=0o600, exist_ok=False)
        try:
            os.link(probe, linked)
            linked.unlink()
        finally:
            probe.unlink()

    def _sync(self) -> None:
        sync_directory(self.path)
