"""Objects whose data is where, or what, this server cannot read; and old forms that it can."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.records.names import METASTORE, UPLOADS_PREFIX
from tests.faults.stores import call_metadata, stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import exchange, host_of
from tests.servers import Cluster, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

KEYED = {"cryptoScheme": 1, "cipheredDataKey": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
Change = Callable[[dict[str, Any]], object]


def change(running: Cluster, sub_level: str, key: str, how: Change) -> dict[str, Any]:
    """Store a record again, as ``how`` changes it in place."""
    record: dict[str, Any] = stored_records(running, [sub_level])[sub_level][key]
    how(record)
    call_metadata(running, "put", [key, json.dumps(record), {}], [sub_level])
    return record


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]


NOT_HERE = (501, "NotImplemented")


@pytest.fixture
def address(s3: Any, bucket: str) -> dict[str, str]:
    """An object."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"0123456789")
    return {"Bucket": bucket, "Key": "key"}


def assert_unreadable(s3: Any, bucket: str, address: dict[str, str]) -> None:
    assert refused(s3.get_object, **address) == NOT_HERE
    assert refused(s3.get_object, **address, Range="bytes=1-2") == NOT_HERE
    assert refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource=address) == NOT_HERE
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    copy = {**upload, "PartNumber": 1, "CopySource": address}
    assert refused(s3.upload_part_copy, **copy) == NOT_HERE
    s3.abort_multipart_upload(**upload)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]


def test_ciphertext_is_not_served(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    """An object of an encrypted bucket of CloudServer's."""
    change(shared_cluster, bucket, "key", lambda record: record["location"][0].update(KEYED))
    assert_unreadable(s3, bucket, address)
    assert s3.head_object(**address)["ContentLength"] == 10
    s3.put_object_tagging(**address, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    record = stored_records(shared_cluster, [bucket])[bucket]["key"]
    assert KEYED.items() <= record["location"][0].items()
    s3.delete_object(**address)


def test_data_of_a_location_that_is_not_supported(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    elsewhere = {"dataStoreType": "aws_s3", "dataStoreName": "cloud", "dataStoreVersionId": "v"}
    change(shared_cluster, bucket, "key", lambda record: record["location"][0].update(elsewhere))
    assert_unreadable(s3, bucket, address)


def test_an_archived_object(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    archived: dict[str, Any] = {
        "location": None,
        "archive": {"archiveInfo": {}},
        "dataStoreName": "cold",
    }
    change(shared_cluster, bucket, "key", lambda record: record.update(archived))
    assert refused(s3.get_object, **address) == (403, "InvalidObjectState")
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": address}
    assert refused(s3.copy_object, **copy) == (403, "InvalidObjectState")


@pytest.mark.parametrize("form", ["key", "list of keys", "entry"])
def test_old_forms_are_read(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster, form: str
) -> None:
    """As the original wrote them before model versions 2 and 3."""

    def age(record: dict[str, Any]) -> None:
        key = record["location"][0]["key"]
        forms = {"key": key, "list of keys": [key], "entry": {"key": key}}
        record.update({"location": forms[form], "md-model-version": 1})

    change(shared_cluster, bucket, "key", age)
    assert s3.get_object(**address)["Body"].read() == b"0123456789"
    assert s3.get_object(**address, Range="bytes=2-4")["Body"].read() == b"234"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=address)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"0123456789"


def test_a_part_that_lies_in_pieces_is_copied(
    s3: Any, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    """As one that CloudServer copied from an object of several blobs: each of its pieces has the
    MD5 of the whole part beside it."""
    content = b"0123456789" + b"abcdef"
    whole = md5(content, usedforsecurity=False).hexdigest()
    s3.put_object(Bucket=bucket, Key="other", Body=content[10:])
    records = stored_records(shared_cluster, [bucket])[bucket]
    pieces = [*records["key"]["location"], *records["other"]["location"]]
    for piece, start in zip(pieces, (0, 10), strict=True):
        piece.update({"start": start, "dataStoreETag": f"1:{whole}"})
    made = {"location": pieces, "content-length": len(content), "content-md5": f"{whole}-1"}
    change(shared_cluster, bucket, "key", lambda record: record.update(made))
    call_metadata(shared_cluster, "del", ["other", {}], [bucket])
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=address)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == content
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    copy = {**upload, "PartNumber": 1, "CopySource": address, "CopySourceRange": "bytes=2-12"}
    copied = s3.upload_part_copy(**copy)["CopyPartResult"]["ETag"]
    assert copied == f'"{md5(content[2:13], usedforsecurity=False).hexdigest()}"'


# --- Buckets that demand encryption --------------------------------------------------------------


def demand_encryption(record: dict[str, Any]) -> None:
    record["serverSideEncryption"] = {
        "cryptoScheme": 1,
        "algorithm": "AES256",
        "masterKeyId": "00" * 32,
        "mandatory": True,
    }


def test_no_plain_text_where_encryption_is_demanded(
    s3: Any, front: Front, bucket: str, address: dict[str, str], shared_cluster: Cluster
) -> None:
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    change(shared_cluster, METASTORE, bucket, demand_encryption)
    new = {"Bucket": bucket, "Key": "new"}
    assert refused(s3.put_object, **new, Body=b"text") == NOT_HERE
    assert refused(s3.put_object, **new, Body=b"") == NOT_HERE
    assert refused(s3.copy_object, **new, CopySource=address) == NOT_HERE
    assert refused(s3.create_multipart_upload, **new) == NOT_HERE
    assert refused(s3.upload_part, **upload, PartNumber=2, Body=b"text") == NOT_HERE
    copy = {**upload, "PartNumber": 2, "CopySource": address}
    assert refused(s3.upload_part_copy, **copy) == NOT_HERE
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    complete = {**upload, "MultipartUpload": parts}
    assert refused(s3.complete_multipart_upload, **complete) == NOT_HERE
    form = form_body(signed_v4({"key": "new"}, bucket), b"text")
    assert exchange(front, form_request(host_of(front), f"/{bucket}", form)).status == 501
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["key"]
    assert s3.get_object(**address)["Body"].read() == b"0123456789"  # from before
    s3.abort_multipart_upload(**upload)
    s3.delete_object(**address)
    s3.delete_bucket(Bucket=bucket)


def test_encryption_that_is_only_offered_demands_nothing(
    s3: Any, bucket: str, shared_cluster: Cluster
) -> None:
    """CloudServer makes a key for the bucket when one object is to be encrypted."""

    def offer(record: dict[str, Any]) -> None:
        demand_encryption(record)
        record["serverSideEncryption"]["mandatory"] = False

    change(shared_cluster, METASTORE, bucket, offer)
    s3.put_object(Bucket=bucket, Key="key", Body=b"text")


def test_an_upload_that_is_to_be_encrypted(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    """Its sender was told that it is."""
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    level, overview = UPLOADS_PREFIX + bucket, f"overview..|..parts..|..{upload['UploadId']}"
    promised = {"x-amz-server-side-encryption": "AES256"}
    change(shared_cluster, level, overview, lambda record: record.update(promised))
    assert refused(s3.upload_part, **upload, PartNumber=2, Body=b"text") == NOT_HERE
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    complete = {**upload, "MultipartUpload": parts}
    assert refused(s3.complete_multipart_upload, **complete) == NOT_HERE


def test_parts_that_the_original_has_encrypted(
    s3: Any, bucket: str, shared_cluster: Cluster
) -> None:
    """The object has them by the names of an object."""
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    level, part = UPLOADS_PREFIX + bucket, f"{upload['UploadId']}..|..00001"
    members = {"sseCryptoScheme": 1, "sseCipheredDataKey": KEYED["cipheredDataKey"]}
    change(shared_cluster, level, part, lambda record: record["partLocations"][0].update(members))
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    (location,) = stored_records(shared_cluster, [bucket])[bucket]["parts"]["location"]
    assert KEYED.items() <= location.items()
    assert not any(name.startswith("sse") for name in location)


def test_parts_that_cannot_be_read(s3: Any, bucket: str, shared_cluster: Cluster) -> None:
    members = {"dataStoreType": "aws_s3", "dataStoreName": "cloud", "dataStoreVersionId": "v"}
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    level, part = UPLOADS_PREFIX + bucket, f"{upload['UploadId']}..|..00001"
    change(shared_cluster, level, part, lambda record: record["partLocations"][0].update(members))
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    complete = {**upload, "MultipartUpload": parts}
    assert refused(s3.complete_multipart_upload, **complete) == NOT_HERE
    kept = stored_records(shared_cluster, [level])[level][part]
    assert members.items() <= kept["partLocations"][0].items()


@pytest.mark.parametrize("its_own", [{}, {"dataStoreETag": "3:its-own"}])
def test_complete_keeps_what_locations_say(
    s3: Any, bucket: str, shared_cluster: Cluster, its_own: dict[str, str]
) -> None:
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=3, Body=b"part")["ETag"]
    level, part = UPLOADS_PREFIX + bucket, f"{upload['UploadId']}..|..00003"
    more = {"dataStoreVersionId": "v", "later": {"a": 1}}
    change(
        shared_cluster,
        level,
        part,
        lambda record: record["partLocations"][0].update(more | its_own),
    )
    parts = {"Parts": [{"PartNumber": 3, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    (location,) = stored_records(shared_cluster, [bucket])[bucket]["parts"]["location"]
    assert more.items() <= location.items()
    # Parts of an object are counted from 1, as CloudServer looks them up by.
    assert location["dataStoreETag"] == f"1:{'its-own' if its_own else etag.strip(chr(34))}"
