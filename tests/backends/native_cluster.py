"""A cluster with locations of the tests' own type (``native_place``), which can be looked at from
the other side, told to fail, and which do no more than their names say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from s3front.locations.remote_store import MARK_METADATA
from shared.records.names import DEAD_LETTERS, DELETIONS, STRAYS
from tests.backends.native_place import TYPE, Blob, Details, NativePlace
from tests.backends.s3_services import Remote, remote, twofold
from tests.faults.stores import stored_records
from tests.servers import Cluster, Process, wait_for

GRACE_SECONDS: Final = 3
"""How old a note becomes: little more than twice what a call may take."""

PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "versions": {"versions": True},
    "all": {"versions": True, "multipart": True, "copy": True, "tags": True},
    "all-plain": {"multipart": True, "copy": True, "tags": True},
    "small": {"blobBytesMax": 100_000},
    "small-parts": {
        "versions": True,
        "multipart": True,
        "blobBytesMax": 100_000,
        "partBytesMax": 50_000,
    },
}
"""The locations by name, and what each can do."""

_MODULES: Final = {"s3front.process.serve": [], "s3front.work": ["work"]}


class NativeCluster(Cluster):
    """Its processes know the type."""

    def _process(self, name: str, *argv: str, environ: Mapping[str, str] | None = None) -> Process:
        if argv[0] in _MODULES:
            argv = ("tests.backends.native_front", *_MODULES[argv[0]])
        return super()._process(name, *argv, environ=environ)


class S3Place:
    """A bucket of a second instance of this server, with as much of ``NativePlace`` as looks at
    what is there."""

    def __init__(self, there: Remote) -> None:
        self._s3 = there.s3
        self._bucket = {"Bucket": there.bucket}

    def blobs(self) -> list[Blob]:
        """All that is there, by name; of an object what its location says."""
        found = []
        for page in self._s3.get_paginator("list_object_versions").paginate(**self._bucket):
            for entry in page.get("Versions", []):
                named = {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                with suppress(ClientError):  # it has gone meanwhile
                    head = self._s3.head_object(**self._bucket, **named)
                    found.append(_blob(entry, head))
        return sorted(found, key=lambda blob: (blob.name, blob.version))

    def uploads(self) -> list[str]:
        """The IDs of the uploads that are under way there."""
        return [each["UploadId"] for each in self._uploads()]

    def bucket_of_upload(self, upload_id: str) -> str:
        """For which bucket's object one of them is."""
        keys = [each["Key"] for each in self._uploads() if each["UploadId"] == upload_id]
        return str(keys[0]).partition("/")[0]

    def _uploads(self) -> list[Any]:
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(**self._bucket)
        return [upload for page in pages for upload in page.get("Uploads", [])]


def _blob(entry: Any, head: Any) -> Blob:
    metadata = head["Metadata"]
    mark = metadata.pop(MARK_METADATA, "")
    bucket, _, key = entry["Key"].partition("/")
    version = "" if entry["VersionId"] == "null" else entry["VersionId"]
    etag, type_ = entry["ETag"].strip('"'), head["ContentType"]
    return Blob(entry["Key"], version, mark, bucket, key, etag, type_, metadata, {}, {})


@dataclass(frozen=True)
class Stage:
    """The cluster, and its places as the other side sees them; those of S3 apart."""

    running: Cluster
    places: Mapping[str, NativePlace]
    s3_places: Mapping[str, S3Place] = field(default_factory=dict)

    @property
    def every_place(self) -> Mapping[str, NativePlace | S3Place]:
        return {**self.places, **self.s3_places}

    def records(self, sub_level: str) -> dict[str, Any]:
        """The documents of a sub-level, by key."""
        return stored_records(self.running, [sub_level])[sub_level]

    def wait_until_settled(self) -> None:
        """Until nothing waits in a queue."""
        if self.running.work.handle is None:
            self.running.work.start()
        levels = [STRAYS, DELETIONS]
        wait_for(
            lambda: not any(stored_records(self.running, levels).values()),
            lambda: f"empty queues: {stored_records(self.running, [*levels, DEAD_LETTERS])}",
        )
        assert not self.records(DEAD_LETTERS)


@contextmanager
def native_cluster(
    folder: Path,
    fronts: int = 1,
    settings: Mapping[str, Any] | None = None,
    *,
    with_s3: bool = False,
) -> Iterator[Stage]:
    """A running cluster that ends with the block; ``with_s3``: with locations ``aws`` and
    ``aws-plain``, which is without versions."""
    locations: dict[str, Any] = {"us-east-1": {"type": "file", "legacyAwsBehavior": True}}
    places: dict[str, NativePlace] = {}
    for name, can in PLACES.items():
        details = {"folder": str(folder / "places" / name), **can}
        locations[name] = {"type": TYPE, "details": details}
        places[name] = NativePlace(msgspec.convert(details, Details))
    path = folder / "locations.json"
    all_settings = {
        "gcGraceSeconds": GRACE_SECONDS,
        "metadataClient": {"callTimeoutMs": 1000},
        "multipartMinPartSizeBytes": 100,
        "deleteDelaySeconds": 0,
        **(settings or {}),
    }
    with ExitStack() as others:
        buckets: dict[str, S3Place] = {}
        if with_s3:
            service = others.enter_context(twofold(folder / "remote"))
            for name in ("aws", "aws-plain"):
                there = remote(service, versioned=name == "aws")
                details = there.document(bucketMatch=False)
                locations[name] = {"type": "aws_s3", "details": details}
                buckets[name] = S3Place(there)
        path.write_text(json.dumps(locations))
        running = NativeCluster(folder, all_settings, {"S3_LOCATION_FILE": str(path)})
        others.callback(running.stop)
        yield Stage(running.start(fronts), places, buckets)
