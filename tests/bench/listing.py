"""What a page of a listing costs, in buckets of different sizes and shapes.

The buckets are written into the metadata store directly, as the daemon would have written them.
With TWOFOLD_SOAK=1 one of them has 10 million objects, and a million are deleted instead of a
hundred thousand, which takes some minutes and 18 GB of disk.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.projection import project
from shared import version_id
from tests.bench.against import drop_from_memory
from tests.bench.load import signed
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Cluster, wait_for

_SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
_BATCH = 5000
_DELETIONS = 1_000_000 if _SOAK else 100_000
_MANY = "1 million" if _SOAK else "100 thousand"
_DOCUMENT = {
    "owner-display-name": "Account1",
    "owner-id": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
    "content-length": 1024,
    "content-type": "application/octet-stream",
    "last-modified": "2026-01-02T03:04:05.678Z",
    "content-md5": "d41d8cd98f00b204e9800998ecf8427e",
    "x-amz-storage-class": "STANDARD",
    "acl": {"Canned": "private", "FULL_CONTROL": [], "WRITE_ACP": [], "READ": [], "READ_ACP": []},
    "location": [{"key": "a" * 40, "size": 1024, "start": 0, "dataStoreName": "us-east-1"}],
    "md-model-version": 6,
}

COLD = "LIST 1,000 of 1 million, cold"

Records = Iterator[tuple[str, dict[str, object]]]


@dataclass(frozen=True)
class Page:
    """One row: a bucket, and the query of a page in its middle."""

    name: str
    bucket: str
    query: str


def _pages() -> Iterator[Page]:
    yield Page("LIST 1,000 of 10 thousand", "small", "list-type=2&start-after=k0005000")
    yield Page("LIST 1,000 of 1 million", "large", "list-type=2&start-after=k0500000")
    if _SOAK:
        yield Page("LIST 1,000 of 10 million", "huge", "list-type=2&start-after=k5000000")
    yield Page("LIST 1,000, 100 versions each", "versions", "list-type=2&start-after=k0000500")
    yield Page("LIST past a prefix of 1 million", "large", "list-type=2&delimiter=k")
    yield Page("LIST 1,000 behind 1 million of a prefix", "behind", "list-type=2&delimiter=/")
    yield Page(f"LIST 1,000 behind {_MANY} deletions", "deleted", "list-type=2")
    yield Page("VERSIONS 1,000 of 10 thousand", "small", "versions&key-marker=k0005000")
    yield Page("VERSIONS 1,000 of 1 million", "large", "versions&key-marker=k0500000")
    if _SOAK:
        yield Page("VERSIONS 1,000 of 10 million", "huge", "versions&key-marker=k5000000")
    yield Page("VERSIONS 1,000, 100 of each key", "versions", "versions&key-marker=k0000500")
    yield Page(
        "VERSIONS 1,000, within a key", "versions", f"versions&key-marker=k0000500&{_WITHIN}"
    )
    yield Page(f"VERSIONS 1,000 behind {_MANY} deletions", "deleted", "versions")
    # Empty, and truncated.
    yield Page("LIST past 50 thousand delete markers", "markers", "list-type=2")
    yield Page("VERSIONS 1,000 of delete markers", "markers", "versions")


def _plain(count: int) -> Records:
    for number in range(count):
        yield f"k{number:07}", _DOCUMENT


def _behind_a_prefix() -> Records:
    for number in range(1_000_000):
        yield f"a/{number:07}", _DOCUMENT
    yield from _plain(2000)


def _version_id(number: int) -> str:
    """IDs are given from the newest on."""
    return f"{number:020}RG001  "


_WITHIN = f"version-id-marker={version_id.encode(_version_id(49))}"


def _marked() -> Records:
    """Objects whose latest version is a delete marker, and then others."""
    latest = {**_DOCUMENT, "versionId": _version_id(0), "isDeleteMarker": True}
    older = {**_DOCUMENT, "versionId": _version_id(1)}
    for number in range(_DELETIONS):
        name = f"a{number:07}"
        yield name, latest
        yield f"{name}\0{_version_id(0)}", latest
        yield f"{name}\0{_version_id(1)}", older
    yield from _plain(2000)


def _versioned(count: int, versions: int) -> Records:
    for number in range(count):
        name = f"k{number:07}"
        for version in range(versions):
            document = {**_DOCUMENT, "versionId": _version_id(version)}
            if version == 0:
                yield name, document
            yield f"{name}\0{_version_id(version)}", document


def fill(running: Cluster) -> None:
    """Make the buckets; the daemon is restarted for it."""
    s3 = s3_client(running.fronts[0])
    shapes = {
        "small": _plain(10_000),
        "large": _plain(1_000_000),
        "versions": _versioned(2000, 100),
        "behind": _behind_a_prefix(),
        "deleted": _plain(_DELETIONS + 2000),
        "markers": _marked(),
    }
    if _SOAK:
        shapes["huge"] = _plain(10_000_000)
    for bucket in shapes:
        s3.create_bucket(Bucket=bucket)
    running.dmd_metadata.stop()
    engine = LmdbEngine(running.folder / "metadata")
    for bucket, records in shapes.items():
        _write(engine, bucket, records)
    _delete(engine, "deleted", _DELETIONS)
    engine.close()
    _start(running)


def _write(engine: LmdbEngine, bucket: str, records: Records) -> None:
    # All plain objects have the same document.
    plain = json.dumps(_DOCUMENT).encode()
    plain_entry = stored.Stored(1, *project([bucket], plain), plain)
    left = True
    while left:
        with engine.transaction() as transaction:
            left = False
            for _, (name, document) in zip(range(_BATCH), records, strict=False):
                left = True
                key = record_keys.physical([bucket], name, engine.key_bytes_max)
                entry = plain_entry
                if document is not _DOCUMENT:
                    record = json.dumps(document).encode()
                    entry = stored.Stored(1, *project([bucket], record), record)
                transaction.put(key, stored.pack(key, entry))


def _delete(engine: LmdbEngine, bucket: str, count: int) -> None:
    """Delete the first objects."""
    for start in range(0, count, _BATCH):
        with engine.transaction() as transaction:
            for number in range(start, min(start + _BATCH, count)):
                transaction.delete(
                    record_keys.physical([bucket], f"k{number:07}", engine.key_bytes_max)
                )


def cold_pages(running: Cluster) -> list[bytes]:
    """The signed requests of pages all over the large bucket, in any order, none of them twice."""
    port = running.fronts[0].port
    starts = [f"k{number:07}" for number in range(0, 999_000, 1000)]
    random.shuffle(starts)
    return [signed(port, "GET", f"/large?list-type=2&start-after={start}") for start in starts]


def forget(running: Cluster) -> None:
    """Start the metadata daemon again, with nothing of its files in memory."""
    running.dmd_metadata.stop()
    drop_from_memory(running.folder / "metadata")
    _start(running)


def _start(running: Cluster) -> None:
    running.start_daemons()
    wait_for(lambda: call(running.fronts[0], "HEAD", "/large").status == 200, "the front-end")


def requests(running: Cluster) -> dict[str, bytes]:
    """The signed request of each row."""
    port = running.fronts[0].port
    return {page.name: signed(port, "GET", f"/{page.bucket}?{page.query}") for page in _pages()}
