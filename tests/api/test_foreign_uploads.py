"""Uploads that the original's front-end began, and ours as it finds them: their records are the
same (reference/dmd-wire.md, section 5)."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import requests

from shared.records.names import DEAD_LETTERS, DELETIONS, UPLOADS_PREFIX
from tests.faults.stores import call_metadata, stored_blobs, stored_records
from tests.servers import Cluster

pytestmark = pytest.mark.usefixtures("undisturbed")

NO_GRANTS: dict[str, Any] = {"FULL_CONTROL": [], "WRITE_ACP": [], "READ": [], "READ_ACP": []}
OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"


def theirs(upload_id: str, bucket: str, **members: Any) -> dict[str, Any]:
    """An overview as CloudServer 8.8 writes it; what was not said in the request is not there."""
    return {
        "id": upload_id,
        "eventualStorageBucket": bucket,
        "initiated": "2026-01-31T12:00:00.000Z",
        "owner-display-name": "Bart",
        "owner-id": OWNER,
        "initiator": {"DisplayName": "user", "ID": "arn:aws:iam::123456789012:user/user"},
        "key": "key",
        "uploadId": upload_id,
        "x-amz-storage-class": "STANDARD",
        "controllingLocationConstraint": "us-east-1",
        "dataStoreName": "us-east-1",
        "acl": {"Canned": "private", **NO_GRANTS},
        **members,
    }


def begin_theirs(running: Cluster, bucket: str, **members: Any) -> dict[str, Any]:
    """What names an upload that the original began."""
    upload_id = uuid.uuid4().hex
    put_overview(running, bucket, theirs(upload_id, bucket, **members))
    return {"Bucket": bucket, "Key": "key", "UploadId": upload_id}


def put_overview(running: Cluster, bucket: str, document: dict[str, Any]) -> None:
    key = f"overview..|..key..|..{document['id']}"
    call_metadata(running, "put", [key, json.dumps(document), {}], [UPLOADS_PREFIX + bucket])


def complete(s3: Any, upload: dict[str, Any], bodies: dict[int, bytes]) -> Any:
    parts = []
    for number, body in bodies.items():
        etag = s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_an_upload_without_a_content_type(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    upload = begin_theirs(shared_cluster, bucket)
    complete(s3, upload, {1: b"body"})
    found = s3.get_object(Bucket=bucket, Key="key")
    assert (found["Body"].read(), found["ContentType"]) == (b"body", "binary/octet-stream")


def test_what_an_upload_of_theirs_says(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    acl = {"Canned": "public-read", **NO_GRANTS}
    upload = begin_theirs(
        shared_cluster,
        bucket,
        **{
            "content-type": "text/plain",
            "cache-control": "no-cache",
            "x-amz-meta-a": "b",
            "x-amz-tagging": "a%20b=1%2B2&c=&d",
            "x-amz-website-redirect-location": "/there",
        },
        acl=acl,
    )
    complete(s3, upload, {1: b"body"})
    head = s3.head_object(Bucket=bucket, Key="key")
    assert (head["ContentType"], head["CacheControl"]) == ("text/plain", "no-cache")
    assert (head["Metadata"], head["WebsiteRedirectLocation"]) == ({"a": "b"}, "/there")
    tags = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a b": "1+2", "c": "", "d": ""}
    record = stored_records(shared_cluster, [bucket])[bucket]["key"]
    assert (record["owner-id"], record["acl"]) == (OWNER, acl)
    assert "uploadId" in record


def test_more_tags_than_may_be_put_here(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    """The original takes 50."""
    tagging = "&".join(f"k{number}=v" for number in range(50))
    upload = begin_theirs(shared_cluster, bucket, **{"x-amz-tagging": tagging})
    complete(s3, upload, {1: b"body"})
    address = {"Bucket": bucket, "Key": "key"}
    tags = s3.get_object_tagging(**address)["TagSet"]
    assert len(tags) == 50
    # Read, changed and written back, as clients change one tag.
    s3.put_object_tagging(**address, Tagging={"TagSet": [*tags[1:], {"Key": "k", "Value": "w"}]})
    with pytest.raises(s3.exceptions.ClientError, match="greater than 50"):
        s3.put_object_tagging(**address, Tagging={"TagSet": [*tags, {"Key": "k", "Value": "w"}]})
    s3.put_object_tagging(**address, Tagging={"TagSet": tags[:1]})
    with pytest.raises(s3.exceptions.ClientError, match="greater than 10"):
        s3.put_object_tagging(**address, Tagging={"TagSet": tags[:11]})


def test_their_uploads_are_listed(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    upload = begin_theirs(shared_cluster, bucket)
    user = {"ID": "arn:aws:iam::123456789012:user/user", "DisplayName": "user"}
    owner = {"ID": OWNER, "DisplayName": "Bart"}
    (row,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (row["UploadId"], row["Initiator"], row["Owner"]) == (upload["UploadId"], user, owner)
    parts = s3.list_parts(**upload)
    assert (parts["Initiator"], parts["Owner"]) == (user, owner)


def test_ours_has_what_theirs_has(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    upload_id = s3.create_multipart_upload(
        Bucket=bucket, Key="key", Tagging="a%20b=1%2B2&c=d", Metadata={"m": "n"}
    )["UploadId"]
    s3.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=3, Body=b"part")
    level = UPLOADS_PREFIX + bucket
    records = stored_records(shared_cluster, [level])[level]
    overview = records[f"overview..|..key..|..{upload_id}"]
    assert set(theirs(upload_id, bucket)) <= set(overview)
    assert (overview["id"], overview["uploadId"], overview["key"]) == (upload_id, upload_id, "key")
    assert overview["x-amz-tagging"] == "a%20b=1%2B2&c=d"
    assert overview["x-amz-meta-m"] == "n"
    assert overview["controllingLocationConstraint"] == overview["dataStoreName"] == "us-east-1"
    part = records[f"{upload_id}..|..00003"]
    assert part["md-model-version"] == 3
    assert part["key"] == f"{upload_id}..|..00003"


def test_our_own_records_from_before(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    """They had tags as a document, and neither upload ID nor ACL."""
    old = theirs(uuid.uuid4().hex, bucket, tags={"a": "b"}, **{"content-type": "text/plain"})
    for name in ("uploadId", "acl", "controllingLocationConstraint"):
        del old[name]
    put_overview(shared_cluster, bucket, old)
    complete(s3, {"Bucket": bucket, "Key": "key", "UploadId": old["id"]}, {1: b"body"})
    tags = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}]


# --- What the original left half done ------------------------------------------------------------


HalfCompleted = tuple[dict[str, Any], dict[str, Any], set[str]]


@pytest.fixture(params=["unversioned", "versioned", "overwritten"])
def half_completed(
    request: pytest.FixtureRequest, s3: Any, bucket: str, shared_cluster: Cluster
) -> HalfCompleted:
    if request.param != "unversioned":
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    made = complete_by_half(s3, bucket, shared_cluster)
    if request.param == "overwritten":
        s3.put_object(Bucket=bucket, Key="key", Body=b"newer")
    s3.upload_part(**made[0], PartNumber=2, Body=b"not used")
    return made


def complete_by_half(s3: Any, bucket: str, shared_cluster: Cluster) -> HalfCompleted:
    """An upload that is still there and an object that has taken over its parts: the address of
    both, and the object's blobs."""
    upload = begin_theirs(shared_cluster, bucket)
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"body")["ETag"]
    level = UPLOADS_PREFIX + bucket
    kept = stored_records(shared_cluster, [level])[level]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    made = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    address = {"Bucket": bucket, "Key": "key"}
    if "VersionId" in made:
        address["VersionId"] = made["VersionId"]
    for key, record in kept.items():
        document = record | ({"completeInProgress": True} if "overview" in key else {})
        call_metadata(shared_cluster, "put", [key, json.dumps(document), {}], [level])
    part = kept[f"{upload['UploadId']}..|..00001"]
    return upload, address, {entry["key"] for entry in part["partLocations"]}


def queued(running: Cluster) -> set[str]:
    entries = stored_records(running, ["..deletions"])["..deletions"].values()
    return {entry["key"] for record in entries for entry in record["location"]}


def test_its_end_leaves_the_object_its_data(
    s3: Any,
    bucket: str,
    half_completed: HalfCompleted,
    shared_cluster: Cluster,
) -> None:
    upload, address, blobs = half_completed
    level = UPLOADS_PREFIX + bucket
    s3.abort_multipart_upload(**upload)
    assert stored_records(shared_cluster, [level])[level] == {}
    assert s3.get_object(**address)["Body"].read() == b"body"
    assert blobs <= stored_blobs(shared_cluster)
    assert not blobs & queued(shared_cluster)


def test_its_completion_makes_no_second_object(
    s3: Any,
    bucket: str,
    half_completed: HalfCompleted,
    shared_cluster: Cluster,
) -> None:
    upload, address, blobs = half_completed
    versions = len(s3.list_object_versions(Bucket=bucket)["Versions"])
    part = s3.list_parts(**upload)["Parts"][0]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    again = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert again.get("VersionId") == address.get("VersionId")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == versions
    assert s3.get_object(**address)["Body"].read() == b"body"
    assert not blobs & queued(shared_cluster)
    level = UPLOADS_PREFIX + bucket
    assert stored_records(shared_cluster, [level])[level] == {}


def test_a_renamed_object_takes_its_data_along(
    s3: Any, bucket: str, shared_cluster: Cluster
) -> None:
    """Nothing that is done to the upload afterwards is about that."""
    upload, _, blobs = complete_by_half(s3, bucket, shared_cluster)
    s3.upload_part(**upload, PartNumber=2, Body=b"not used")
    s3.rename_object(Bucket=bucket, Key="renamed", RenameSource=f"{bucket}/key")
    level = UPLOADS_PREFIX + bucket
    assert stored_records(shared_cluster, [level])[level] == {}
    parts = {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.abort_multipart_upload(**upload)
    assert s3.get_object(Bucket=bucket, Key="renamed")["Body"].read() == b"body"
    assert not blobs & queued(shared_cluster)


@pytest.mark.parametrize("removed", ["overwritten", "deleted"])
def test_nothing_is_made_of_data_that_went_with_its_object(
    s3: Any, bucket: str, shared_cluster: Cluster, removed: str
) -> None:
    upload, address, blobs = complete_by_half(s3, bucket, shared_cluster)
    part = s3.list_parts(**upload)["Parts"][0]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    if removed == "overwritten":
        s3.put_object(**address, Body=b"newer")
    else:
        s3.delete_object(**address)
    assert blobs <= queued(shared_cluster)
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    # As when the deletion could not be done and was set aside.
    entries = stored_records(shared_cluster, [DELETIONS])[DELETIONS]
    letter = json.dumps({"queue": DELETIONS, "entry": json.dumps(list(entries.values()))})
    call_metadata(shared_cluster, "put", ["letter", letter, {}], [DEAD_LETTERS])
    for key in entries:
        call_metadata(shared_cluster, "del", [key, {}], [DELETIONS])
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    # As when it has been done.
    call_metadata(shared_cluster, "del", ["letter", {}], [DEAD_LETTERS])
    for blob in blobs:
        url = f"http://127.0.0.1:{shared_cluster.data_port}/DataFile/{blob}"
        assert requests.delete(url, timeout=10).status_code == 204
    with pytest.raises(s3.exceptions.NoSuchUpload):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    s3.abort_multipart_upload(**upload)


def test_what_is_still_there_of_a_half_completed_upload_is_completed(
    s3: Any, bucket: str, shared_cluster: Cluster
) -> None:
    """The original had stopped before it stored the object."""
    upload = begin_theirs(shared_cluster, bucket, completeInProgress=True)
    assert complete(s3, upload, {1: b"body"})["Key"] == "key"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"body"
