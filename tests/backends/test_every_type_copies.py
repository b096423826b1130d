"""Copies, within a location of every type, between two of them, and to and from another type."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import body_of, code_of, set_versioning
from tests.backends.bodies import MIB, PART, body_of_size
from tests.backends.places import DISK, OTHER, PLACE, Server, new_bucket
from tests.etags import etag_of
from tests.multipart import upload_parts

WAYS = [(PLACE, PLACE), (PLACE, OTHER), (PLACE, DISK), (DISK, PLACE)]
BODY = body_of_size(300_000)


@pytest.mark.parametrize("size", [0, 1, 300_000, 6 * MIB])
@pytest.mark.parametrize(("source", "target"), WAYS)
def test_a_copy_has_the_bytes_and_what_is_said_of_them(
    s3: Any, source: str, target: str, size: int
) -> None:
    body = body_of_size(size)
    here, there = new_bucket(s3, source), new_bucket(s3, target)
    said = {"ContentType": "text/plain", "Metadata": {"a": "b"}, "CacheControl": "no-store"}
    s3.put_object(Bucket=here, Key="source", Body=body, **said, Tagging="t=1")
    copied = s3.copy_object(Bucket=there, Key="copy", CopySource={"Bucket": here, "Key": "source"})
    assert copied["CopyObjectResult"]["ETag"] == etag_of(body)
    s3.delete_object(Bucket=here, Key="source")
    found = s3.get_object(Bucket=there, Key="copy")
    assert found["Body"].read() == body
    assert said.items() <= found.items()
    assert found["TagCount"] == 1


@pytest.mark.parametrize("target", [PLACE, DISK])
def test_a_copy_is_said_something_else_of(s3: Any, bucket: str, target: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=BODY, Metadata={"a": "b"}, Tagging="t=1")
    there = new_bucket(s3, target)
    s3.copy_object(
        Bucket=there,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "source"},
        MetadataDirective="REPLACE",
        Metadata={"c": "d"},
        ContentType="text/html",
        TaggingDirective="REPLACE",
        Tagging="u=2&v=3",
    )
    found = s3.get_object(Bucket=there, Key="copy")
    assert (found["Metadata"], found["ContentType"]) == ({"c": "d"}, "text/html")
    assert (found["TagCount"], found["Body"].read()) == (2, BODY)


def test_a_copy_to_itself(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=BODY, Metadata={"a": "b"})
    assert code_of(s3.copy_object, **address, CopySource=address) == (400, "InvalidRequest")
    for number in range(3):
        s3.copy_object(
            **address,
            CopySource=address,
            MetadataDirective="REPLACE",
            Metadata={"number": str(number)},
        )
        found = s3.get_object(**address)
        assert (found["Body"].read(), found["Metadata"]) == (BODY, {"number": str(number)})
    s3.delete_object(**address)
    at.wait_until_holding(before)


def test_a_copy_of_an_object_of_parts(at: Server, s3: Any, bucket: str) -> None:
    bodies = {1: body_of_size(PART), 2: body_of_size(1000)}
    upload_parts(at.front, f"/{bucket}/source", bodies)
    for location in (PLACE, DISK):
        there = new_bucket(s3, location)
        copied = s3.copy_object(
            Bucket=there, Key="copy", CopySource={"Bucket": bucket, "Key": "source"}
        )
        whole = b"".join(bodies.values())
        assert copied["CopyObjectResult"]["ETag"] == etag_of(whole)
        assert body_of(s3, there, "copy") == whole


def test_a_copy_of_an_earlier_version(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    address = {"Bucket": bucket, "Key": "key"}
    first = s3.put_object(**address, Body=body_of_size(70_000, 1))["VersionId"]
    s3.put_object(**address, Body=body_of_size(70_000, 2))
    s3.copy_object(**address, CopySource={**address, "VersionId": first})
    assert body_of(s3, bucket, "key") == body_of_size(70_000, 1)
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 3


def test_a_copy_under_a_condition(at: Server, s3: Any, bucket: str) -> None:
    source = {"Bucket": bucket, "Key": "source"}
    s3.put_object(**source, Body=BODY)
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": source}
    with at.left_nothing():
        wrong = {"CopySourceIfMatch": etag_of(b"other")}
        assert code_of(s3.copy_object, **copy, **wrong) == (412, "PreconditionFailed")
        there = {"CopySourceIfNoneMatch": etag_of(BODY)}
        assert code_of(s3.copy_object, **copy, **there) == (412, "PreconditionFailed")
    s3.copy_object(**copy, CopySourceIfMatch=etag_of(BODY))
    assert body_of(s3, bucket, "copy") == BODY


def test_a_copy_chooses_its_location(at: Server, s3: Any, bucket: str) -> None:
    """By the header of the copy; what the source says of its own is where that is."""
    disk = new_bucket(s3, DISK)
    source = {"Bucket": disk, "Key": "source"}
    s3.put_object(**source, Body=BODY)
    before = at.blobs()
    s3.copy_object(
        Bucket=disk,
        Key="copy",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"scal-location-constraint": PLACE},
    )
    there = at.blobs() - before
    assert len(there) == 1
    # The copy of the copy goes where its bucket is.
    s3.copy_object(Bucket=disk, Key="third", CopySource={"Bucket": disk, "Key": "copy"})
    if at.place.type != "file":
        assert at.blobs() - before == there
    assert body_of(s3, disk, "copy") == body_of(s3, disk, "third") == BODY


def test_a_source_that_is_not_there(at: Server, s3: Any, bucket: str) -> None:
    with at.left_nothing():
        missing = {"Bucket": bucket, "Key": "missing"}
        copy = {"Bucket": bucket, "Key": "copy", "CopySource": missing}
        assert code_of(s3.copy_object, **copy) == (404, "NoSuchKey")


def test_an_object_is_renamed(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="old", Body=BODY)
    s3.rename_object(Bucket=bucket, Key="new", RenameSource=f"{bucket}/old")
    assert body_of(s3, bucket, "new") == BODY
    assert code_of(s3.get_object, Bucket=bucket, Key="old") == (404, "NoSuchKey")
    s3.put_object(Bucket=bucket, Key="old", Body=b"another")
    assert body_of(s3, bucket, "new") == BODY
