"""Markers of ListMultipartUploads."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.usefixtures("undisturbed")


def begin(s3: Any, bucket: str, key: str) -> str:
    upload_id: str = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    return upload_id


def test_the_last_page_has_the_markers_of_its_end(s3: Any, bucket: str) -> None:
    empty = s3.list_multipart_uploads(Bucket=bucket)
    assert (empty["NextKeyMarker"], empty["NextUploadIdMarker"]) == ("", "")
    assert "Prefix" not in empty
    begin(s3, bucket, "a")
    last = begin(s3, bucket, "b")
    page = s3.list_multipart_uploads(Bucket=bucket)
    assert not page["IsTruncated"]
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == ("b", last)
    behind = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b", UploadIdMarker=last)
    assert "Uploads" not in behind
    assert s3.list_multipart_uploads(Bucket=bucket, Prefix="a")["Prefix"] == "a"


OF_NOBODY = "5f0c4ad1c3e24f0b9a3be9d6a1c7e842"
"""An ID of the form that CloudServer gives."""


@pytest.mark.parametrize(
    "marker", ["nosuchupload", OF_NOBODY, "0" * 32, "of another key", "\u00fc" * 500]
)
def test_a_marker_that_no_upload_of_its_key_has(s3: Any, bucket: str, marker: str) -> None:
    of_another_key = begin(s3, bucket, "a")
    begin(s3, bucket, "b")
    if marker == "of another key":
        marker = of_another_key
    with pytest.raises(ClientError) as caught:
        s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b", UploadIdMarker=marker)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidArgument", "Invalid uploadId marker")
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("upload-id-marker", marker)
    # Without a key it is ignored.
    uploads = s3.list_multipart_uploads(Bucket=bucket, UploadIdMarker=marker)["Uploads"]
    assert len(uploads) == 2


def test_whoever_ends_the_uploads_of_each_page_comes_to_all(s3: Any, bucket: str) -> None:
    """As sweepers do, with a paginator."""
    keys = ["a", *["b"] * 5, "c"]
    begun = {begin(s3, bucket, key): key for key in keys}
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    for page in pages:
        for upload in page["Uploads"]:
            upload_id = upload["UploadId"]
            assert begun.pop(upload_id) == upload["Key"]
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload_id)
    assert not begun
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_marker_that_is_longer_than_any_key(s3: Any, bucket: str) -> None:
    begin(s3, bucket, "k")
    asked = {"Bucket": bucket, "KeyMarker": "k" * 3000}
    assert "Uploads" not in s3.list_multipart_uploads(**asked)
    with pytest.raises(ClientError) as caught:
        s3.list_multipart_uploads(**asked, UploadIdMarker="nosuchupload")
    assert caught.value.response["Error"]["Code"] == "InvalidArgument"
