"""What a page of a listing costs, in buckets of different sizes and shapes.

The buckets are written into the metadata store directly, as the daemon would have written them.
With TWOFOLD_SOAK=1 one of them has 10 million objects, which takes some minutes and 12 GB of disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from dmd.metadata import keys, stored
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.projection import project
from tests.bench.load import signed
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Cluster, wait_for

_SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
_BATCH = 5000
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

Records = Iterator[tuple[str, dict[str, object]]]


@dataclass(frozen=True)
class Page:
    """One row: a bucket, and the query of a page in its middle."""

    name: str
    bucket: str
    query: str


PAGES = [
    Page("LIST 1,000 of 10 thousand", "small", "list-type=2&start-after=k0005000"),
    Page("LIST 1,000 of 1 million", "large", "list-type=2&start-after=k0500000"),
    Page("LIST 1,000, 100 versions each", "versions", "list-type=2&start-after=k0000500"),
    *([Page("LIST 1,000 of 10 million", "huge", "list-type=2&start-after=k5000000")] * _SOAK),
    Page("LIST past a prefix of 1 million", "large", "list-type=2&delimiter=k"),
]


def _plain(count: int) -> Records:
    for number in range(count):
        yield f"k{number:07}", _DOCUMENT


def _versioned(count: int, versions: int) -> Records:
    for number in range(count):
        name = f"k{number:07}"
        for version in range(versions):
            version_id = f"{version:020}RG001  "
            document = {**_DOCUMENT, "versionId": version_id}
            if version == 0:
                yield name, document
            yield f"{name}\0{version_id}", document


def fill(running: Cluster) -> None:
    """Make the buckets; the daemon is restarted for it."""
    s3 = s3_client(running.fronts[0])
    shapes = {
        "small": _plain(10_000),
        "large": _plain(1_000_000),
        "versions": _versioned(2000, 100),
    }
    if _SOAK:
        shapes["huge"] = _plain(10_000_000)
    for bucket in shapes:
        s3.create_bucket(Bucket=bucket)
    running.dmd_metadata.stop()
    engine = LmdbEngine(running.folder / "metadata")
    for bucket, records in shapes.items():
        _write(engine, bucket, records)
    engine.close()
    running.start_daemons()
    wait_for(lambda: call(running.fronts[0], "HEAD", "/large").status == 200, "the front-end")


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
                key = keys.physical([bucket], name, engine.key_bytes_max)
                entry = plain_entry
                if document is not _DOCUMENT:
                    record = json.dumps(document).encode()
                    entry = stored.Stored(1, *project([bucket], record), record)
                transaction.put(key, stored.pack(key, entry))


def requests(running: Cluster) -> dict[str, bytes]:
    """The signed request of each row."""
    port = running.fronts[0].port
    return {page.name: signed(port, "GET", f"/{page.bucket}?{page.query}") for page in PAGES}
