"""What the tests of the data plane share: looks at a store and at its directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from dmd.data.base import Blob, BlobStore
from dmd.data.packed.segment import scan
from shared.segment_records import State


def files_in(directory: Path) -> set[Path]:
    """Every file of a data directory, besides those that describe it."""
    found = {Path(folder, name) for folder, _, names in os.walk(directory) for name in names}
    about = ("lock", "lease", "about.json", "packed/end")
    return found - {directory / name for name in about}


def keys_in(directory: Path) -> set[str]:
    """The keys of all blobs of a data directory, whether or not a daemon serves it."""
    numbered = (folder for folder in directory.iterdir() if folder.name.isdigit())
    found = {blob.name for folder in numbered for blob in folder.iterdir()}
    for path in (directory / "packed").glob("*.segment"):
        # A daemon that serves it may remove a segment meanwhile: all in it was deleted.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as segment:
            records = scan(segment.fileno(), int(path.stem, 16))
            found |= {record.key for record in records if record.state is not State.DELETED}
    return found


async def put(store: BlobStore, *pieces: bytes) -> str:
    """Store the pieces as one blob; return its key."""
    upload = await store.create(sum(map(len, pieces)))
    try:
        for piece in pieces:
            await upload.write(piece)
        return await upload.commit()
    finally:
        await upload.abort()


async def content_of(blob: Blob) -> bytes:
    """Read a whole blob, in one read."""
    return bytes(await blob.read(0, blob.size))


async def get(store: BlobStore, key: str) -> bytes:
    """Return the bytes of a blob."""
    blob = await store.open(key)
    try:
        return await content_of(blob)
    finally:
        await blob.close()
