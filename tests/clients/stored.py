"""What a bucket holds after a program has worked on it, as boto3 sees it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.clients import tree

_DELETED_AT_A_TIME = 1000


@dataclass(frozen=True)
class Description:
    """What an upload says of an object beside its bytes."""

    content_type: str = "text/x-twofold"
    cache_control: str = "max-age=60, must-revalidate"
    metadata: dict[str, str] = field(
        default_factory=lambda: {"colour": "blue", "dashed-name": "a, b; c=d"}
    )


@dataclass(frozen=True)
class Bucket:
    """A bucket that a program may have made, and boto3's client of its owner."""

    s3: Any
    name: str

    def exists(self) -> bool:
        return self.name in [entry["Name"] for entry in self.s3.list_buckets()["Buckets"]]

    def listing(self) -> dict[str, tuple[str, int]]:
        """ETag and size in bytes of every object, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {
            entry["Key"]: (entry["ETag"], entry["Size"])
            for page in pages
            for entry in page.get("Contents", [])
        }

    def versions(self, kind: str = "Versions") -> list[dict[str, Any]]:
        """Every version, or every one of ``DeleteMarkers``: of a key the newest first."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.name)
        return [entry for page in pages for entry in page.get(kind, [])]

    def delete_versions(self, entries: Sequence[dict[str, Any]]) -> None:
        """Remove versions and delete markers for good, as many at a time as S3 takes."""
        for start in range(0, len(entries), _DELETED_AT_A_TIME):
            objects = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]}
                for entry in entries[start : start + _DELETED_AT_A_TIME]
            ]
            answer = self.s3.delete_objects(
                Bucket=self.name, Delete={"Objects": objects, "Quiet": True}
            )
            assert "Errors" not in answer

    def etag(self, key: str) -> str:
        return str(self.s3.head_object(Bucket=self.name, Key=key)["ETag"])

    def description(self, key: str) -> Description:
        reply = self.s3.head_object(Bucket=self.name, Key=key)
        return Description(reply["ContentType"], reply.get("CacheControl", ""), reply["Metadata"])

    def sha256(self, key: str) -> str:
        """The digest of an object's bytes, which are read as they come."""
        digest = sha256()
        body = self.s3.get_object(Bucket=self.name, Key=key)["Body"]
        for block in body.iter_chunks(tree.MIB):
            digest.update(block)
        return digest.hexdigest()

    def remove(self) -> None:
        """Remove the bucket with all that a failed test has left in it."""
        with suppress(self.s3.exceptions.NoSuchBucket):
            uploads = self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
            for upload in uploads:
                self.s3.abort_multipart_upload(
                    Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"]
                )
            for key in self.listing():
                self.s3.delete_object(Bucket=self.name, Key=key)
            self.s3.delete_bucket(Bucket=self.name)


def tree_listing(without: frozenset[str] = frozenset()) -> dict[str, tuple[str, int]]:
    """The listing of a bucket that holds the files of the tree, but for some."""
    return {
        name: (tree.etag(data), len(data))
        for name, data in tree.files().items()
        if name not in without
    }
