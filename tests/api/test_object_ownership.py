"""PutBucketOwnershipControls, and whose the objects are that accounts put."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.access_lists import DENIED, OTHER, OTHER_ID, OWNER, grants, new_bucket
from tests.api.support import CANONICAL_ID, code_of, error_of, new_name
from tests.api.test_put_object_acl import MAKE
from tests.bucket_documents import PUT_BODIES
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Cluster, Front, cluster

pytestmark = pytest.mark.usefixtures("undisturbed")

SETTINGS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
NOT_FOUND = (404, "OwnershipControlsNotFoundError")


def set_ownership(s3: Any, bucket: str, setting: str) -> None:
    rules = {"Rules": [{"ObjectOwnership": setting}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


def ownership_of(s3: Any, bucket: str) -> str:
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert len(rules) == 1
    found: str = rules[0]["ObjectOwnership"]
    return found


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_bucket_is_made_with_it(s3: Any, setting: str) -> None:
    assert ownership_of(s3, new_bucket(s3, setting)) == setting


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_is_set_and_removed(s3: Any, bucket: str, setting: str) -> None:
    assert ownership_of(s3, bucket) == "BucketOwnerEnforced"
    set_ownership(s3, bucket, setting)
    assert ownership_of(s3, bucket) == setting
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert code_of(s3.get_bucket_ownership_controls, Bucket=bucket) == NOT_FOUND
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    # As one of AWS's from before there was the setting: lists count.
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")


@pytest.mark.parametrize(
    "body",
    [
        b"<OwnershipControls/>",
        b"<OwnershipControls><Rule/></OwnershipControls>",
        PUT_BODIES["PutBucketOwnershipControls"].replace(b"ObjectWriter", b"Somebody"),
        PUT_BODIES["PutBucketOwnershipControls"].replace(b"Rule", b"Rules"),
        b"<Other/>",
    ],
)
def test_a_document_that_is_none(front: Front, s3: Any, bucket: str, body: bytes) -> None:
    error = call(front, "PUT", f"/{bucket}?ownershipControls", body).error
    assert (error["status"], error["Code"]) == ("400", "MalformedXML")
    assert ownership_of(s3, bucket) == "BucketOwnerEnforced"


def test_a_list_that_gives_to_others_has_to_go_first(s3: Any) -> None:
    bucket = new_bucket(s3, ACL="public-read")
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    error = error_of(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=rules)
    assert (error["status"], error["Code"]) == (400, "InvalidBucketAclWithObjectOwnership")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    set_ownership(s3, bucket, "BucketOwnerEnforced")


# --- Whose objects are ----------------------------------------------------------------------------


def owner_of(s3: Any, bucket: str) -> dict[str, str]:
    """As a listing shows it."""
    objects = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    owner: dict[str, str] = next(each for each in objects if each["Key"] == "new")["Owner"]
    return owner


def shared(s3: Any, setting: str) -> str:
    """A bucket that the other account may do anything in, by its policy."""
    bucket = new_bucket(s3, setting)
    resources = f'["arn:aws:s3:::{bucket}", "arn:aws:s3:::{bucket}/*"]'
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", '
        f'"Principal": {{"CanonicalUser": "{OTHER_ID}"}}, "Resource": {resources}}}]}}',
    )
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", ACL="bucket-owner-full-control")
    if setting != "BucketOwnerEnforced":
        s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
    return bucket


@MAKE
@pytest.mark.parametrize(
    ("setting", "acl", "owner"),
    [
        ("BucketOwnerEnforced", None, OWNER),
        ("BucketOwnerEnforced", "bucket-owner-full-control", OWNER),
        ("BucketOwnerPreferred", None, OTHER),
        ("BucketOwnerPreferred", "private", OTHER),
        ("BucketOwnerPreferred", "bucket-owner-full-control", OWNER),
        ("ObjectWriter", None, OTHER),
        ("ObjectWriter", "bucket-owner-full-control", OTHER),
    ],
)
def test_whose_a_new_object_is(
    s3: Any,
    other_s3: Any,
    make: Callable[..., None],
    setting: str,
    acl: str | None,
    owner: dict[str, str],
) -> None:
    bucket = shared(s3, setting)
    make(other_s3, bucket, **({} if acl is None else {"ACL": acl}))
    assert owner_of(s3, bucket) == owner
    readable = owner == OWNER or acl == "bucket-owner-full-control"
    if readable:
        assert s3.get_object_acl(Bucket=bucket, Key="new")["Owner"] == owner
    else:
        assert code_of(s3.get_object, Bucket=bucket, Key="new") == DENIED


def test_the_setting_counts_for_what_is_there(s3: Any, other_s3: Any) -> None:
    bucket = shared(s3, "ObjectWriter")
    other_s3.put_object(Bucket=bucket, Key="new", Body=b"new")
    assert code_of(s3.get_object, Bucket=bucket, Key="new") == DENIED
    set_ownership(s3, bucket, "BucketOwnerEnforced")
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"new"
    found = s3.get_object_acl(Bucket=bucket, Key="new")
    assert (found["Owner"], grants(found)) == (OWNER, [(CANONICAL_ID, "FULL_CONTROL")])
    assert owner_of(s3, bucket) == OWNER
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [each["Owner"] for each in versions] == [OWNER, OWNER]
    set_ownership(s3, bucket, "ObjectWriter")
    assert owner_of(s3, bucket) == OTHER
    assert code_of(s3.get_object, Bucket=bucket, Key="new") == DENIED


def test_an_upload_is_completed_as_the_setting_is_by_then(s3: Any, other_s3: Any) -> None:
    bucket = shared(s3, "ObjectWriter")
    key = {"Bucket": bucket, "Key": "new"}
    key["UploadId"] = other_s3.create_multipart_upload(**key)["UploadId"]
    etag = other_s3.upload_part(**key, PartNumber=1, Body=b"new")["ETag"]
    set_ownership(s3, bucket, "BucketOwnerEnforced")
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    other_s3.complete_multipart_upload(**key, MultipartUpload=parts)
    set_ownership(s3, bucket, "ObjectWriter")
    assert owner_of(s3, bucket) == OWNER


# --- Other defaults -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def as_original(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with CloudServer's default."""
    settings = {"defaultObjectOwnership": "ObjectWriter", "defaultPublicAccessBlock": True}
    folder = tmp_path_factory.mktemp("original")
    with cluster(folder, settings=settings) as running:
        assert isinstance(running, Cluster)
        yield s3_client(running.fronts[0])


def test_lists_count_in_new_buckets(as_original: Any) -> None:
    name = new_name()
    as_original.create_bucket(Bucket=name)
    assert code_of(as_original.get_bucket_ownership_controls, Bucket=name) == NOT_FOUND
    as_original.put_bucket_acl(Bucket=name, GrantRead=f'id="{OTHER_ID}"')
    assert ownership_of(as_original, new_bucket(as_original, "BucketOwnerEnforced"))


def test_new_buckets_are_closed_to_the_public(as_original: Any) -> None:
    name = new_name()
    as_original.create_bucket(Bucket=name)
    block = as_original.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert list(block.values()) == [True] * 4
    assert code_of(as_original.put_bucket_acl, Bucket=name, ACL="public-read") == DENIED
    assert code_of(as_original.create_bucket, Bucket=new_name(), ACL="public-read") == DENIED
