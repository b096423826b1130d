"""RenameObject: an object gets another key, with all that is known of it, and its bytes stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.records.names import CLIENT_TOKENS
from tests.api.support import (
    ODD_KEYS,
    code_of,
    error_of,
    key_id,
    keys_in,
    new_name,
    path_of,
    set_versioning,
)
from tests.clients_boto3 import s3_client
from tests.faults.stores import (
    blobs_of,
    call_metadata,
    expire_leases,
    stored_blobs,
    stored_records,
)
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import call
from tests.servers import Cluster, Front, cluster, wait_for

BODY = b"the bytes of the object"
EARLIER = datetime.now(UTC) - timedelta(days=1)
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    """A bucket with an object at ``old``."""
    s3.put_object(Bucket=bucket, Key="old", Body=BODY)
    return bucket


def rename(s3: Any, bucket: str, old: str = "old", new: str = "new", **options: Any) -> Any:
    source = path_of(bucket, old)
    return s3.rename_object(Bucket=bucket, Key=new, RenameSource=source, **options)


def refusal(s3: Any, bucket: str, **options: Any) -> tuple[int, str]:
    options = {"RenameSource": f"{bucket}/old", "Key": "new", **options}
    return code_of(s3.rename_object, Bucket=bucket, **options)


@pytest.mark.parametrize("state", ["Enabled", "Suspended"])
def test_not_in_a_bucket_with_versions(s3: Any, filled: str, state: str) -> None:
    set_versioning(s3, filled, state)
    assert refusal(s3, filled) == (400, "InvalidRequest")
    assert keys_in(s3, filled) == ["old"]


def test_everything_goes_along(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="old",
        Body=BODY,
        ContentType="text/plain",
        CacheControl="no-cache",
        ContentDisposition="attachment",
        Metadata={"colour": "blue"},
        Tagging="a=1&b=2",
        ChecksumAlgorithm="SHA256",
        WebsiteRedirectLocation="/elsewhere",
    )
    before = s3.get_object(Bucket=bucket, Key="old", ChecksumMode="ENABLED")
    tags = s3.get_object_tagging(Bucket=bucket, Key="old")["TagSet"]
    assert rename(s3, bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert keys_in(s3, bucket) == ["new"]
    after = s3.get_object(Bucket=bucket, Key="new", ChecksumMode="ENABLED")
    assert (before["Body"].read(), after["Body"].read()) == (BODY, BODY)
    for response in (before, after):
        del response["Body"], response["ResponseMetadata"]
    assert after == before
    assert s3.get_object_tagging(Bucket=bucket, Key="new")["TagSet"] == tags
    assert code_of(s3.get_object, Bucket=bucket, Key="old") == (404, "NoSuchKey")


def test_the_parts_of_an_upload_go_along(front: Front, s3: Any, bucket: str) -> None:
    parts = {1: b"1" * 5 * 1024**2, 2: b"2"}

    def send(method: str, target: str, body: bytes = b"", headers: Any = None) -> Any:
        return call(front, method, target, body, headers)

    upload_id = begin_upload(send, f"/{bucket}/old")
    for number, body in parts.items():
        assert send_part(send, f"/{bucket}/old", upload_id, number, body).status == 200
    place = f"/{bucket}/old?uploadId={upload_id}"
    assert send("POST", place, completion(parts)).status == 200
    rename(s3, bucket)
    assert s3.get_object(Bucket=bucket, Key="new", PartNumber=2)["Body"].read() == b"2"
    assert s3.head_object(Bucket=bucket, Key="new", PartNumber=1)["PartsCount"] == 2


def test_an_empty_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="old")
    rename(s3, bucket)
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b""


@pytest.mark.parametrize("key", ODD_KEYS, ids=key_id)
def test_odd_keys(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key="plain", Body=BODY)
    rename(s3, bucket, "plain", key)
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
    rename(s3, bucket, key, "plain")
    assert s3.get_object(Bucket=bucket, Key="plain")["Body"].read() == BODY


def test_an_object_at_the_destination_is_replaced(s3: Any, filled: str) -> None:
    s3.put_object(Bucket=filled, Key="new", Body=b"replaced", Tagging="of=replaced")
    rename(s3, filled)
    assert keys_in(s3, filled) == ["new"]
    assert s3.get_object(Bucket=filled, Key="new")["Body"].read() == BODY
    assert s3.get_object_tagging(Bucket=filled, Key="new")["TagSet"] == []


# --- Refusals -------------------------------------------------------------------------------------


def test_an_absent_source(s3: Any, filled: str) -> None:
    error = error_of(s3.rename_object, Bucket=filled, Key="new", RenameSource=f"{filled}/gone")
    assert (error["status"], error["Code"], error["Key"]) == (404, "NoSuchKey", "gone")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("{bucket}/new", "InvalidRequest"),
        ("other-bucket/old", "InvalidRequest"),
        ("{bucket}/old?versionId=null", "InvalidRequest"),
        ("old", "InvalidArgument"),
        ("{bucket}/", "InvalidArgument"),
        ("/", "InvalidArgument"),
        ("{bucket}/%FF", "InvalidArgument"),
        ("{bucket}/" + "x" * 1025, "KeyTooLongError"),
    ],
)
def test_what_is_no_source(front: Front, filled: str, source: str, code: str) -> None:
    headers = {"x-amz-rename-source": source.format(bucket=filled)}
    response = call(front, "PUT", f"/{filled}/new?renameObject", b"", headers)
    assert (response.status, response.error["Code"]) == (400, code)
    assert call(front, "HEAD", f"/{filled}/old").status == 200


def test_no_source_at_all(front: Front, filled: str) -> None:
    response = call(front, "PUT", f"/{filled}/new?renameObject", b"body")
    assert (response.status, response.error["ArgumentName"]) == (400, "x-amz-rename-source")
    assert call(front, "HEAD", f"/{filled}/new").status == 404


def test_a_bucket_that_is_not_there(s3: Any) -> None:
    assert refusal(s3, new_name()) == (404, "NoSuchBucket")


def test_somebody_else(other_s3: Any, s3: Any, filled: str) -> None:
    assert refusal(other_s3, filled) == (403, "AccessDenied")
    theirs = new_name()
    other_s3.create_bucket(Bucket=theirs)
    assert refusal(other_s3, theirs, RenameSource=f"{filled}/old") == (400, "InvalidRequest")
    assert keys_in(s3, filled) == ["old"]


# --- Conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"DestinationIfNoneMatch": "*"},
        {"DestinationIfMatch": '"something"'},
        {"DestinationIfUnmodifiedSince": EARLIER},
        {"SourceIfMatch": '"something"'},
        {"SourceIfNoneMatch": "*"},
        {"SourceIfUnmodifiedSince": EARLIER},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_condition_that_fails(s3: Any, filled: str, options: dict[str, Any]) -> None:
    s3.put_object(Bucket=filled, Key="new", Body=b"there before")
    error = error_of(
        s3.rename_object, Bucket=filled, Key="new", RenameSource=f"{filled}/old", **options
    )
    assert (error["status"], error["Code"]) == (412, "PreconditionFailed")
    (name,) = options
    prefix = "x-amz-rename-source-" if name.startswith("Source") else ""
    assert error["Condition"].replace("-", "").lower().endswith(name.partition("If")[2].lower())
    assert error["Condition"].startswith(prefix)
    assert keys_in(s3, filled) == ["new", "old"]


@pytest.mark.parametrize(
    "options",
    [
        {"DestinationIfMatch": "{replaced}"},
        {"DestinationIfUnmodifiedSince": LATER},
        {"DestinationIfModifiedSince": EARLIER},
        {"SourceIfMatch": "{source}"},
        {"SourceIfNoneMatch": '"something"'},
        {"SourceIfUnmodifiedSince": LATER},
        {"SourceIfModifiedSince": EARLIER},
        # A time that is yet to come is no condition.
        {"DestinationIfModifiedSince": LATER},
        {"SourceIfModifiedSince": LATER},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_condition_that_holds(s3: Any, filled: str, options: dict[str, Any]) -> None:
    replaced = s3.put_object(Bucket=filled, Key="new", Body=b"there before")["ETag"]
    source = s3.head_object(Bucket=filled, Key="old")["ETag"]
    known = {"{replaced}": replaced, "{source}": source}
    rename(s3, filled, **{name: known.get(value, value) for name, value in options.items()})
    assert keys_in(s3, filled) == ["new"]


def test_conditions_on_a_destination_that_is_absent(s3: Any, filled: str) -> None:
    assert refusal(s3, filled, DestinationIfMatch='"etag"') == (404, "NoSuchKey")
    assert refusal(s3, filled, DestinationIfMatch="*") == (501, "NotImplemented")
    failed = (412, "PreconditionFailed")
    assert refusal(s3, filled, DestinationIfModifiedSince=EARLIER) == failed
    assert refusal(s3, filled, DestinationIfNoneMatch='"etag"') == (501, "NotImplemented")
    rename(s3, filled, DestinationIfNoneMatch="*", DestinationIfUnmodifiedSince=EARLIER)
    assert keys_in(s3, filled) == ["new"]


# --- Client tokens --------------------------------------------------------------------------------


def test_a_repeated_request_does_nothing_more(s3: Any, filled: str) -> None:
    options = {"ClientToken": new_name(), "DestinationIfNoneMatch": "*"}
    rename(s3, filled, **options)
    rename(s3, filled, **options)
    s3.put_object(Bucket=filled, Key="old", Body=b"another one")
    rename(s3, filled, **options)
    assert keys_in(s3, filled) == ["new", "old"]
    assert s3.get_object(Bucket=filled, Key="new")["Body"].read() == BODY


@pytest.mark.parametrize("other", ["key", "source", "condition"])
def test_a_token_that_was_used_otherwise(s3: Any, filled: str, other: str) -> None:
    token = new_name()
    rename(s3, filled, ClientToken=token)
    s3.put_object(Bucket=filled, Key="old", Body=b"another one")
    options: dict[str, Any] = {
        "key": {"Key": "third"},
        "source": {"RenameSource": f"{filled}/third"},
        "condition": {"SourceIfMatch": "*"},
    }[other]
    refused = refusal(s3, filled, ClientToken=token, **options)
    assert refused == (400, "IdempotencyParameterMismatch")
    assert keys_in(s3, filled) == ["new", "old"]


def test_a_token_of_a_failed_request_may_be_used_again(s3: Any, filled: str) -> None:
    token = new_name()
    assert refusal(s3, filled, ClientToken=token, SourceIfMatch='"x"')[0] == 412
    rename(s3, filled, ClientToken=token)
    assert keys_in(s3, filled) == ["new"]


def test_tokens_of_two_accounts_are_two(s3: Any, other_s3: Any, filled: str) -> None:
    token, theirs = new_name(), new_name()
    rename(s3, filled, ClientToken=token)
    other_s3.create_bucket(Bucket=theirs)
    other_s3.put_object(Bucket=theirs, Key="old", Body=b"theirs")
    rename(other_s3, theirs, ClientToken=token)
    assert keys_in(other_s3, theirs) == ["new"]


@pytest.mark.parametrize(("length", "status"), [(64, 200), (65, 400)])
def test_the_length_of_a_token(front: Front, filled: str, length: int, status: int) -> None:
    assert_token(front, filled, new_name().ljust(length, "t"), status)


def test_a_token_that_is_none(front: Front, filled: str) -> None:
    assert_token(front, filled, "a b", 400)


def assert_token(front: Front, filled: str, token: str, status: int) -> None:
    headers = {"x-amz-rename-source": f"{filled}/old", "x-amz-client-token": token}
    response = call(front, "PUT", f"/{filled}/new?renameObject", b"", headers)
    assert response.status == status


# --- What lies in the stores ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"deleteDelaySeconds": 0}
    with cluster(tmp_path_factory.mktemp("renaming"), settings=settings) as started:
        yield started


def test_the_bytes_stay_and_those_of_the_destination_go(running: Cluster) -> None:
    s3, name = s3_client(running.fronts[0]), new_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="old", Body=BODY)
    before = stored_blobs(running)
    s3.put_object(Bucket=name, Key="new", Body=b"replaced")
    rename(s3, name)
    wait_for(lambda: stored_blobs(running) == before, "the replaced bytes to go")
    assert blobs_of(stored_records(running, [name])[name])[0] in before


def test_tokens_are_forgotten(running: Cluster) -> None:
    s3, name = s3_client(running.fronts[0]), new_name()
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="old", Body=BODY)
    old = "000000000001." + "0" * 64
    call_metadata(running, "put", [old, '{"request":"x"}', {}], [CLIENT_TOKENS])
    rename(s3, name, ClientToken="known")
    # Whoever gets the lease looks at once, and else once a minute.
    expire_leases(running)

    def tokens() -> set[str]:
        return set(stored_records(running, [CLIENT_TOKENS])[CLIENT_TOKENS])

    wait_for(lambda: old not in tokens(), "the old token to go")
    assert tokens()
