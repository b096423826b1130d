"""What a bucket has not: reads of it by boto3, preflights, and where a refused bucket is.

The documents themselves are judged in tests/unit/s3front/configurations/test_configurations.py, and
who may ask for them in test_access.
"""

from __future__ import annotations

from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.api.support import (
    CANONICAL_ID,
    NO_VERSION,
    code_of,
    error_of,
    new_name,
    put_version,
    set_versioning,
)
from tests.raw_http import FOREIGNER, anonymous, call
from tests.servers import ACCESS_KEY, Front

PAGE = {"Origin": "https://www.example.com"}
FULL_CONTROL = {
    "Grantee": {"Type": "CanonicalUser", "ID": CANONICAL_ID, "DisplayName": "Bart"},
    "Permission": "FULL_CONTROL",
}


def test_boto3_reads_what_is_not_set(s3: Any, bucket: str) -> None:
    """The calls that Terraform makes of every bucket."""
    assert code_of(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert code_of(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    listed = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert not listed["IsTruncated"]
    assert "MetricsConfigurationList" not in listed
    one = code_of(s3.get_bucket_metrics_configuration, Bucket=bucket, Id="a")
    assert one == (404, "NoSuchConfiguration")
    status = s3.delete_bucket_policy(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"]
    assert status == 204


def test_the_owner_has_full_control(s3: Any, bucket: str) -> None:
    """Java's SDK asks for a bucket's ACL to see whether the bucket is there."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body")
    for found in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="key")):
        assert found["Owner"] == {"ID": CANONICAL_ID, "DisplayName": "Bart"}
        assert found["Grants"] == [FULL_CONTROL]
    assert code_of(s3.get_bucket_acl, Bucket=new_name()) == (404, "NoSuchBucket")


def test_the_acl_of_a_version(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    version = put_version(s3, bucket, "key", b"body")
    marker = s3.delete_object(Bucket=bucket, Key="key")["VersionId"]
    key = {"Bucket": bucket, "Key": "key"}
    assert s3.get_object_acl(**key, VersionId=version)["Grants"] == [FULL_CONTROL]
    assert code_of(s3.get_object_acl, **key) == (404, "NoSuchKey")
    assert code_of(s3.get_object_acl, **key, VersionId=marker) == (405, "MethodNotAllowed")
    assert code_of(s3.get_object_acl, **key, VersionId=NO_VERSION) == (404, "NoSuchVersion")


def test_a_write_is_refused_by_its_name(s3: Any, bucket: str) -> None:
    website = {"IndexDocument": {"Suffix": "index.html"}}
    error = error_of(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=website)
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    assert "PUT ?website" in error["Message"]


# --- Preflights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/{bucket}", "/{bucket}/key?versionId=a&X-Amz-Signature=b"])
def test_a_preflight_is_refused(front: Front, bucket: str, path: str) -> None:
    headers = PAGE | {"Access-Control-Request-Method": "PUT"}
    error = anonymous(front, "OPTIONS", path.format(bucket=bucket), headers=headers).error
    assert (error["status"], error["Code"]) == ("403", "AccessForbidden")
    assert error["Message"] == "CORSResponse: CORS is not enabled for this bucket."
    assert (error["Method"], error["ResourceType"]) == ("PUT", "BUCKET")


def test_a_preflight_of_nothing(front: Front, bucket: str) -> None:
    for path in ("/", f"/{new_name()}"):
        error = anonymous(front, "OPTIONS", path, headers=PAGE).error
        assert (error["status"], error["Code"]) == ("403", "AccessForbidden")
        assert error["Message"] == "CORSResponse: Bucket not found"
        assert error["Method"] == "OPTIONS"
    error = anonymous(front, "OPTIONS", f"/{bucket}").error
    assert (error["status"], error["Code"]) == ("400", "BadRequest")
    assert error["Message"] == "Insufficient information. Origin request header needed."


# --- Where a bucket is ----------------------------------------------------------------------------


def test_a_refused_head_says_where_the_bucket_is(front: Front, bucket: str) -> None:
    wrong = AccessKey(ACCESS_KEY, "not the secret")
    for response in (
        anonymous(front, "HEAD", f"/{bucket}"),
        call(front, "HEAD", f"/{bucket}", key=FOREIGNER),
        call(front, "HEAD", f"/{bucket}", key=wrong),
    ):
        assert (response.status, response.headers["x-amz-bucket-region"]) == (403, "us-east-1")


def test_a_refused_head_of_no_bucket_says_nothing(front: Front) -> None:
    for target in (f"/{new_name()}", f"/{new_name()}/key"):
        response = anonymous(front, "HEAD", target)
        assert "x-amz-bucket-region" not in response.headers
