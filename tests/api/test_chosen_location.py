"""Which location an object goes to: by its request, its bucket, its endpoint, or by default.

Manual, 2.3 and 2.7.1. All locations here are of type ``file``: what counts is what records say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.records.names import METASTORE
from tests.api.support import body_of, code_of, new_name
from tests.clients_boto3 import s3_client
from tests.faults.stores import call_metadata, stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import call, exchange
from tests.servers import Cluster, Front, cluster

HEADER = "x-amz-meta-scal-location-constraint"
CHOICE = {"Metadata": {"scal-location-constraint": "paris"}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("choice")
    names = ("us-east-1", "paris", "berlin", "rome")
    path = folder / "locations.json"
    path.write_text(json.dumps({name: {"type": "file", "details": {}} for name in names}))
    endpoints = {"localhost": "us-east-1", "berlin.test": "berlin", "10.1.2.3": "rome"}
    with cluster(
        folder,
        settings={"restEndpoints": endpoints, "requests": {"publicEndpoints": ["public.test:81"]}},
        environ={"S3_LOCATION_FILE": str(path)},
    ) as started:
        yield started


@pytest.fixture(scope="module")
def front(running: Cluster) -> Front:
    return running.fronts[0]


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


def made(s3: Any, location: str = "") -> str:
    name = new_name()
    if location:
        wanted = {"CreateBucketConfiguration": {"LocationConstraint": location}}
        s3.create_bucket(Bucket=name, **wanted)
    else:
        s3.create_bucket(Bucket=name)
    return name


def location_of(running: Cluster, bucket: str, key: str) -> str:
    """Where the record says that the bytes are."""
    record = stored_records(running, [bucket])[bucket][key]
    (found,) = {each["dataStoreName"] for each in record["location"]}
    assert record["dataStoreName"] == found
    return str(found)


@pytest.mark.parametrize("size", [10, 300_000])
def test_the_bucket_of_an_object(running: Cluster, s3: Any, size: int) -> None:
    for location in ("", "berlin"):
        bucket = made(s3, location)
        s3.put_object(Bucket=bucket, Key="key", Body=b"x" * size)
        assert location_of(running, bucket, "key") == (location or "us-east-1")


@pytest.mark.parametrize("size", [10, 300_000])
def test_the_header_comes_before_the_bucket(running: Cluster, s3: Any, size: int) -> None:
    bucket = made(s3, "berlin")
    s3.put_object(Bucket=bucket, Key="key", Body=b"x" * size, **CHOICE)
    assert location_of(running, bucket, "key") == "paris"
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == CHOICE["Metadata"]


def test_the_header_of_an_upload_counts_at_its_beginning(running: Cluster, s3: Any) -> None:
    bucket = made(s3)
    address = {"Bucket": bucket, "Key": "key"}
    upload = {**address, "UploadId": s3.create_multipart_upload(**address, **CHOICE)["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert location_of(running, bucket, "key") == "paris"
    assert s3.head_object(**address)["Metadata"] == CHOICE["Metadata"]


def test_the_field_of_a_form(running: Cluster, front: Front, s3: Any) -> None:
    bucket = made(s3)
    form = form_body(signed_v4({"key": "key", HEADER: "paris"}, bucket), b"body")
    request = form_request(f"localhost:{front.port}", f"/{bucket}", form)
    assert exchange(front, request).status == 204
    assert location_of(running, bucket, "key") == "paris"


def test_a_location_that_is_not_there(front: Front, s3: Any) -> None:
    bucket = made(s3)
    nowhere = {"Metadata": {"scal-location-constraint": "nowhere"}}
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"body")
    refused = (400, "InvalidArgument")
    assert code_of(s3.put_object, **address, Body=b"new", **nowhere) == refused
    assert code_of(s3.create_multipart_upload, **address, **nowhere) == refused
    copy = {"CopySource": address, "MetadataDirective": "REPLACE"}
    assert code_of(s3.copy_object, **address, **copy, **nowhere) == refused
    target = {"Host": f"localhost:{front.port}", HEADER: ""}
    assert call(front, "PUT", f"/{bucket}/key", b"new", target).status == 400
    assert body_of(s3, bucket, "key") == b"body"
    wanted = {"CreateBucketConfiguration": {"LocationConstraint": "nowhere"}}
    refused = (400, "InvalidLocationConstraint")
    assert code_of(s3.create_bucket, Bucket=new_name(), **wanted) == refused


# --- Copies ---------------------------------------------------------------------------------------


def copied(front: Front, source: str, bucket: str, **headers: str) -> None:
    sent = {
        "x-amz-copy-source": source,
        **{name.replace("_", "-"): headers[name] for name in headers},
    }
    answer = call(front, "PUT", f"/{bucket}/copy", b"", sent)
    assert answer.status == 200, answer.body


def test_a_copy_goes_where_its_bucket_is(running: Cluster, front: Front, s3: Any) -> None:
    """Wherever its source was to go; the copy says what became of that, as with CloudServer."""
    near, far = made(s3), made(s3, "berlin")
    s3.put_object(Bucket=near, Key="key", Body=b"body", Metadata={"a": "b", **CHOICE["Metadata"]})
    copied(front, f"/{near}/key", far)
    assert location_of(running, far, "copy") == "berlin"
    found = s3.head_object(Bucket=far, Key="copy")["Metadata"]
    assert found == {"a": "b", "scal-location-constraint": "berlin"}


def test_a_copy_of_what_chose_nothing_says_nothing(front: Front, s3: Any) -> None:
    near, far = made(s3), made(s3, "berlin")
    s3.put_object(Bucket=near, Key="key", Body=b"body", Metadata={"a": "b"})
    copied(front, f"/{near}/key", far)
    assert s3.head_object(Bucket=far, Key="copy")["Metadata"] == {"a": "b"}


@pytest.mark.parametrize("directive", ["COPY", "REPLACE"])
def test_a_copy_that_chooses(running: Cluster, front: Front, s3: Any, directive: str) -> None:
    bucket = made(s3)
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", Metadata={"a": "b"})
    chosen = {HEADER: "rome", "x-amz-metadata-directive": directive}
    copied(front, f"/{bucket}/key", bucket, **chosen)
    assert location_of(running, bucket, "copy") == "rome"
    kept = {"a": "b"} if directive == "COPY" else {}
    found = s3.head_object(Bucket=bucket, Key="copy")["Metadata"]
    assert found == {**kept, "scal-location-constraint": "rome"}


def test_an_object_moves_by_a_copy_to_itself(running: Cluster, front: Front, s3: Any) -> None:
    bucket = made(s3)
    s3.put_object(Bucket=bucket, Key="copy", Body=b"body", Metadata={"a": "b"})
    copied(front, f"/{bucket}/copy", bucket, **{HEADER: "rome"})
    assert location_of(running, bucket, "copy") == "rome"
    assert body_of(s3, bucket, "copy") == b"body"
    again = {"x-amz-copy-source": f"/{bucket}/copy", HEADER: "rome"}
    assert call(front, "PUT", f"/{bucket}/copy", b"", again).error["Code"] == "InvalidRequest"


# --- Buckets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "location"),
    [
        ("localhost", None),
        ("berlin.test", "berlin"),
        ("BERLIN.test.:8000", "berlin"),
        ("{bucket}.berlin.test", "berlin"),
        ("{bucket}.berlin.test:80", "berlin"),
        ("10.1.2.3:8000", "rome"),
        ("public.test:81", None),
        # An endpoint that is not known: us-east-1 (manual, 2.7.1).
        ("192.0.2.7", None),
        ("unknown", None),
    ],
)
def test_the_endpoint_of_a_new_bucket(
    front: Front, s3: Any, host: str, location: str | None
) -> None:
    bucket = new_name()
    target = "/" if "{" in host else f"/{bucket}"
    sent = {"Host": host.format(bucket=bucket)}
    assert call(front, "PUT", target, b"", sent).status == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == location


def test_the_request_comes_before_the_endpoint(front: Front, s3: Any) -> None:
    bucket = new_name()
    document = (
        b"<CreateBucketConfiguration><LocationConstraint>paris</LocationConstraint>"
        b"</CreateBucketConfiguration>"
    )
    assert call(front, "PUT", f"/{bucket}", document, {"Host": "berlin.test"}).status == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "paris"


def test_the_endpoint_of_an_object_does_not_count(running: Cluster, front: Front, s3: Any) -> None:
    bucket = made(s3, "paris")
    assert call(front, "PUT", f"/{bucket}/key", b"body", {"Host": "berlin.test"}).status == 200
    assert location_of(running, bucket, "key") == "paris"


@pytest.mark.parametrize("absent", ["null", "missing"])
def test_a_bucket_that_is_older_than_locations(
    running: Cluster, front: Front, s3: Any, absent: str
) -> None:
    """The endpoint of each object counts then; clients see such a bucket in us-east-1."""
    bucket = made(s3)
    record = stored_records(running, [METASTORE])[METASTORE][bucket]
    if absent == "null":
        record["locationConstraint"] = None
    else:
        del record["locationConstraint"]
    call_metadata(running, "put", [bucket, json.dumps(record), {}], [METASTORE])
    for host, location in (("berlin.test", "berlin"), ("unknown", "us-east-1")):
        assert call(front, "PUT", f"/{bucket}/key", b"body", {"Host": host}).status == 200
        assert location_of(running, bucket, "key") == location
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
