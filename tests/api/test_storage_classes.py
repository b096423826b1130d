"""Storage classes: what was asked for is reported wherever S3 reports it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
)


def reported(s3: Any, bucket: str, key: str) -> str | None:
    """What HeadObject says; GetObject, both listings and GetObjectAttributes must agree."""
    head: str | None = s3.head_object(Bucket=bucket, Key=key).get("StorageClass")
    assert s3.get_object(Bucket=bucket, Key=key).get("StorageClass") == head
    for listing in (s3.list_objects, s3.list_objects_v2):
        (entry,) = listing(Bucket=bucket, Prefix=key)["Contents"]
        assert entry["StorageClass"] == (head or "STANDARD")
    attributes = s3.get_object_attributes(Bucket=bucket, Key=key, ObjectAttributes=["StorageClass"])
    assert attributes["StorageClass"] == (head or "STANDARD")
    return head


@pytest.mark.parametrize("storage_class", CLASSES)
def test_of_an_object(s3: Any, bucket: str, storage_class: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", StorageClass=storage_class)
    # Like AWS, which leaves the header out for STANDARD.
    assert reported(s3, bucket, "key") == (None if storage_class == "STANDARD" else storage_class)


def test_of_a_copy(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", StorageClass="STANDARD_IA")
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    assert reported(s3, bucket, "plain") is None
    s3.copy_object(Bucket=bucket, Key="cold", CopySource=source, StorageClass="ONEZONE_IA")
    assert reported(s3, bucket, "cold") == "ONEZONE_IA"


def test_an_object_is_copied_onto_itself_to_change_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", Metadata={"a": "b"})
    source = {"Bucket": bucket, "Key": "key"}
    s3.copy_object(Bucket=bucket, Key="key", CopySource=source, StorageClass="GLACIER_IR")
    assert reported(s3, bucket, "key") == "GLACIER_IR"
    answer = s3.get_object(Bucket=bucket, Key="key")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"body", {"a": "b"})
    with pytest.raises(ClientError, match="without changing") as caught:
        s3.copy_object(Bucket=bucket, Key="key", CopySource=source, StorageClass="GLACIER_IR")
    assert caught.value.response["Error"]["Code"] == "InvalidRequest"


def test_of_an_upload_and_of_its_object(s3: Any, bucket: str) -> None:
    names = {"Bucket": bucket, "Key": "key"}
    upload = s3.create_multipart_upload(**names, StorageClass="STANDARD_IA")["UploadId"]
    part = s3.upload_part(**names, UploadId=upload, PartNumber=1, Body=b"part")
    assert s3.list_parts(**names, UploadId=upload)["StorageClass"] == "STANDARD_IA"
    (listed,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert listed["StorageClass"] == "STANDARD_IA"
    s3.complete_multipart_upload(
        **names,
        UploadId=upload,
        MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
    )
    assert reported(s3, bucket, "key") == "STANDARD_IA"


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "standard", "X"])
def test_one_that_cannot_be_had(s3: Any, bucket: str, storage_class: str) -> None:
    source = {"Bucket": bucket, "Key": "key"}
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    for call, arguments in (
        (s3.put_object, {"Body": b"other"}),
        (s3.create_multipart_upload, {}),
        (s3.copy_object, {"CopySource": source}),
    ):
        with pytest.raises(ClientError) as caught:
            call(Bucket=bucket, Key="key", StorageClass=storage_class, **arguments)
        assert caught.value.response["Error"]["Code"] == "InvalidStorageClass"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
