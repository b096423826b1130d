"""CreateBucket, HeadBucket, GetBucketLocation, DeleteBucket and ListBuckets."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError


def new_name() -> str:
    return f"test-{uuid.uuid4().hex[:16]}"


def error_of(call: Any, **arguments: Any) -> dict[str, Any]:
    """The error that a call ends with, and its status."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response: dict[str, Any] = caught.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return {**response["Error"], "status": status}


def test_a_created_bucket_exists_and_is_listed(s3: Any) -> None:
    name = new_name()
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
