"""The default encryption of buckets, and that nothing plain gets into one that has it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.objects.default_encryption import MEMBER
from shared.records.names import METASTORE, UPLOADS_PREFIX
from tests.api.encrypting import (
    ALGORITHM,
    BY_FIRST,
    BY_KMS,
    BY_S3,
    FIRST,
    SECOND,
    TOLD_S3,
    by_customer,
    encrypting_cluster,
    put_default,
    rule,
    told,
    told_customer,
)
from tests.api.support import code_of, error_of, new_name
from tests.clients_boto3 import s3_client
from tests.faults.stores import assert_consistent, call_metadata, stored_records
from tests.raw_http import exchange, sign
from tests.servers import Cluster, Front, wait_for

PART = os.urandom(5 * 1024 * 1024)


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path_factory.mktemp("encrypting"), fronts=2) as running:
        yield running


@pytest.fixture(scope="module")
def front(encrypting: Cluster) -> Front:
    return encrypting.fronts[0]


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


@pytest.fixture(scope="module")
def elsewhere(encrypting: Cluster) -> Any:
    """A client of another front-end."""
    return s3_client(encrypting.fronts[1])


def default_of(s3: Any, bucket: str) -> Any:
    found = s3.get_bucket_encryption(Bucket=bucket)
    return found["ServerSideEncryptionConfiguration"]["Rules"]


def record_of(running: Cluster, bucket: str) -> dict[str, Any]:
    found: dict[str, Any] = stored_records(running, [METASTORE])[METASTORE][bucket]
    return found


NOT_SET = (404, "ServerSideEncryptionConfigurationNotFoundError")


@pytest.mark.parametrize(
    ("given", "shown", "expected"),
    [
        (rule(), rule(BucketKeyEnabled=False), TOLD_S3),
        (rule("aws:kms"), rule("aws:kms", BucketKeyEnabled=False), BY_FIRST),
        (
            rule("aws:kms", SECOND, BucketKeyEnabled=True),
            rule("aws:kms", SECOND, BucketKeyEnabled=True),
            {**BY_FIRST, "-aws-kms-key-id": SECOND, "-bucket-key-enabled": "true"},
        ),
        (
            rule("aws:kms:dsse", SECOND),
            rule("aws:kms:dsse", SECOND, BucketKeyEnabled=False),
            {"": "aws:kms:dsse", "-aws-kms-key-id": SECOND},
        ),
        (
            {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}},
            rule(
                BucketKeyEnabled=False,
                BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]},
            ),
            TOLD_S3,
        ),
    ],
    ids=["SSE-S3", "SSE-KMS", "a key, and bucket keys", "DSSE-KMS", "no keys of clients"],
)
def test_a_default(
    s3: Any, bucket: str, given: dict[str, Any], shown: dict[str, Any], expected: dict[str, str]
) -> None:
    assert code_of(s3.get_bucket_encryption, Bucket=bucket) == NOT_SET
    assert told(s3.put_object(Bucket=bucket, Key="before", Body=b"text")) == {}
    put_default(s3, bucket, given)
    assert default_of(s3, bucket) == [shown]
    address = {"Bucket": bucket, "Key": "key"}
    assert told(s3.put_object(**address, Body=b"text")) == expected
    assert told(s3.get_object(**address)) == expected
    assert told(s3.create_multipart_upload(**address)) == expected
    assert told(s3.copy_object(**address, CopySource=address)) == expected
    assert told(s3.get_object(Bucket=bucket, Key="before")) == {}
    for _ in range(2):
        s3.delete_bucket_encryption(Bucket=bucket)
        assert code_of(s3.get_bucket_encryption, Bucket=bucket) == NOT_SET
    assert told(s3.put_object(Bucket=bucket, Key="after", Body=b"text")) == {}
    assert s3.get_object(**address)["Body"].read() == b"text"


def test_what_a_request_says_comes_first(s3: Any, bucket: str) -> None:
    put_default(s3, bucket, rule("aws:kms", SECOND, BucketKeyEnabled=True))
    address = {"Bucket": bucket, "Key": "key"}
    assert told(s3.put_object(**address, Body=b"a", **BY_S3)) == TOLD_S3
    assert told(s3.put_object(**address, Body=b"a", **by_customer())) == told_customer()
    # Without a key, the one of whoever names none; a bucket key as the bucket has it.
    made = told(s3.put_object(**address, Body=b"a", **BY_KMS))
    assert made == {**BY_FIRST, "-bucket-key-enabled": "true"}


def test_a_bucket_may_let_no_client_use_its_own_key(s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"text", **by_customer())
    put_default(s3, bucket, rule(BlockedEncryptionTypes={"EncryptionType": ["SSE-C"]}))
    for call in (s3.put_object, s3.create_multipart_upload):
        assert code_of(call, **address, **by_customer()) == (403, "AccessDenied")
    assert s3.get_object(**address, **by_customer())["Body"].read() == b"text"
    put_default(s3, bucket, rule(BlockedEncryptionTypes={"EncryptionType": ["NONE"]}))
    s3.put_object(**address, Body=b"text", **by_customer())


MALFORMED = (400, "MalformedXML")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], MALFORMED),
        ([rule(), rule()], MALFORMED),
        ([{}], MALFORMED),
        ([rule("AES128")], MALFORMED),
        ([rule("aws:kms", "")], MALFORMED),
        ([rule("aws:fsx")], (501, "NotImplemented")),
        ([rule(BlockedEncryptionTypes={"EncryptionType": ["SSE-S3"]})], MALFORMED),
        ([rule("AES256", FIRST)], (400, "InvalidArgument")),
    ],
    ids=["none", "two", "empty", "algorithm", "key", "FSx", "blocked", "key of S3"],
)
def test_what_is_no_default(
    s3: Any, bucket: str, rules: list[dict[str, Any]], expected: tuple[int, str]
) -> None:
    configuration = {"Rules": rules}
    sent = {"Bucket": bucket, "ServerSideEncryptionConfiguration": configuration}
    error = error_of(s3.put_bucket_encryption, **sent)
    assert (error["status"], error["Code"]) == expected
    if expected[1] == "InvalidArgument":
        assert error["ArgumentName"] == "ApplyServerSideEncryptionByDefault"
        assert error["Message"] == (
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
            "aws:kms:dsse"
        )
    assert code_of(s3.get_bucket_encryption, Bucket=bucket) == NOT_SET


def test_a_record_names_no_key_of_ours_to_the_original(
    s3: Any, bucket: str, encrypting: Cluster
) -> None:
    """Its ``file`` KMS would take the ID for a key, and encrypt by an empty one."""
    put_default(s3, bucket)
    expected = {"cryptoScheme": 1, "algorithm": "AES256", "mandatory": True}
    assert record_of(encrypting, bucket)[MEMBER] == expected
    put_default(s3, bucket, rule("aws:kms", SECOND))
    assert record_of(encrypting, bucket)[MEMBER] == {
        **expected,
        "algorithm": "aws:kms",
        "masterKeyName": SECOND,
    }
    s3.delete_bucket_encryption(Bucket=bucket)
    assert record_of(encrypting, bucket)[MEMBER] is None


def test_a_master_key_in_a_record_of_the_original_is_not_shown(
    s3: Any, bucket: str, encrypting: Cluster
) -> None:
    """Its ``file`` KMS has it there; what is new is encrypted by a key of ours."""
    secret = "5e" * 32
    record = record_of(encrypting, bucket)
    for stored in (
        {"algorithm": "AES256", "masterKeyId": secret},
        {"algorithm": "aws:kms", "masterKeyId": secret},
        {"algorithm": "aws:kms", "masterKeyId": secret, "configuredMasterKeyId": secret},
    ):
        changed = {**record, MEMBER: {"cryptoScheme": 1, "mandatory": True, **stored}}
        call_metadata(encrypting, "put", [bucket, json.dumps(changed), {}], [METASTORE])
        assert secret not in str(s3.get_bucket_encryption(Bucket=bucket))
        if "configuredMasterKeyId" not in stored:
            made = s3.put_object(Bucket=bucket, Key="key", Body=b"text")
            assert told(made)[""] == stored["algorithm"]
            assert told(made).get("-aws-kms-key-id") in (None, FIRST)


def test_a_bucket_that_is_encrypted_from_the_beginning(front: Front, s3: Any) -> None:
    """As CloudServer's tool makes it."""
    asked = f"{ALGORITHM.replace('x-amz', 'x-amz-scal')}"
    for headers, shown in (
        ({asked: "AES256"}, rule(BucketKeyEnabled=False)),
        ({asked: "aws:kms"}, rule("aws:kms", BucketKeyEnabled=False)),
        (
            {asked: "aws:kms", f"{asked}-aws-kms-key-id": SECOND},
            rule("aws:kms", SECOND, BucketKeyEnabled=False),
        ),
    ):
        name = new_name()
        assert exchange(front, sign(front, "PUT", f"/{name}", headers=headers)).status == 200
        assert default_of(s3, name) == [shown]
        assert told(s3.put_object(Bucket=name, Key="key", Body=b"a"))
    for headers in (
        {asked: "AES128"},
        {f"{asked}-aws-kms-key-id": SECOND},
        {asked: "AES256", f"{asked}-aws-kms-key-id": SECOND},
    ):
        response = exchange(front, sign(front, "PUT", f"/{new_name()}", headers=headers))
        assert (response.status, response.error["Code"]) == (400, "InvalidArgument")


def test_one_that_is_there_is_not_said_to_be_encrypted(front: Front, s3: Any, bucket: str) -> None:
    headers = {"x-amz-scal-server-side-encryption": "AES256"}
    response = exchange(front, sign(front, "PUT", f"/{bucket}", headers=headers))
    assert (response.status, response.error["Code"]) == (409, "BucketAlreadyOwnedByYou")
    put_default(s3, bucket)
    assert exchange(front, sign(front, "PUT", f"/{bucket}", headers=headers)).status == 200


def test_all_is_encrypted_where_the_configuration_says_so(
    s3: Any, bucket: str, encrypting: Cluster
) -> None:
    """Also in a bucket from before, whose default cannot be removed then."""
    front = encrypting.add_front(settings={"globalEncryptionEnabled": True})
    client = s3_client(front)
    assert default_of(client, bucket) == [rule(BucketKeyEnabled=False)]
    assert told(client.put_object(Bucket=bucket, Key="key", Body=b"a")) == TOLD_S3
    client.delete_bucket_encryption(Bucket=bucket)
    assert told(client.put_object(Bucket=bucket, Key="key", Body=b"a")) == TOLD_S3
    name = new_name()
    client.create_bucket(Bucket=name)
    assert record_of(encrypting, name)[MEMBER]["mandatory"] is True
    assert told(s3.put_object(Bucket=name, Key="key", Body=b"a")) == TOLD_S3


@pytest.mark.parametrize("sends_more", [False, True])
def test_the_configuration_counts_for_uploads_from_before(
    s3: Any, bucket: str, encrypting: Cluster, sends_more: bool
) -> None:
    """They may last for months."""
    client = s3_client(encrypting.add_front(settings={"globalEncryptionEnabled": True}))
    upload = {"Bucket": bucket, "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    sent = [s3.upload_part(**upload, PartNumber=1, Body=PART)]
    if sends_more:
        sent.append(client.upload_part(**upload, PartNumber=2, Body=b"end"))
        assert told(sent[1]) == TOLD_S3
    parts = [{"PartNumber": number, "ETag": made["ETag"]} for number, made in enumerate(sent, 1)]
    done = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert told(done) == TOLD_S3
    record = stored_records(encrypting, [bucket])[bucket]["key"]
    assert {each["cryptoScheme"] for each in record["location"]} == {"twofold-1"}


@pytest.mark.parametrize("stored", ["AES256", 1, [], {"mandatory": True}])
def test_a_default_that_cannot_be_read(
    s3: Any, bucket: str, encrypting: Cluster, stored: Any
) -> None:
    """It is not taken for none."""
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    put = {"Bucket": bucket, "Key": "key", "Body": b"text"}
    assert told(s3.put_object(**put)) == {}
    record = {**record_of(encrypting, bucket), MEMBER: stored}
    call_metadata(encrypting, "put", [bucket, json.dumps(record), {}], [METASTORE])
    # At first on the bucket as the front-end was told of it.
    assert code_of(s3.put_object, **put) == (501, "NotImplemented")
    assert code_of(s3.put_object, **put) == (501, "NotImplemented")
    part = {**upload, "PartNumber": 1, "Body": b"text"}
    assert code_of(s3.upload_part, **part) == (501, "NotImplemented")
    assert code_of(s3.get_bucket_encryption, Bucket=bucket) == (501, "NotImplemented")
    assert told(s3.put_object(**put, **BY_S3)) == TOLD_S3
    if isinstance(stored, dict):
        put_default(s3, bucket)
        assert told(s3.put_object(**put)) == TOLD_S3
    s3.delete_bucket_encryption(Bucket=bucket)
    assert told(s3.put_object(**put)) == {}


def test_without_a_master_key_there_is_no_encryption(encrypting: Cluster, bucket: str) -> None:
    """And it is said so, before a bucket takes nothing more."""
    nowhere = str(encrypting.folder / "keys" / "none.json")
    front = encrypting.add_front(settings={"encryption": {"keyringFile": nowhere}})
    s3 = s3_client(front)
    configuration = {"Rules": [rule()]}
    sent = {"Bucket": bucket, "ServerSideEncryptionConfiguration": configuration}
    for error in (
        error_of(s3.put_bucket_encryption, **sent),
        error_of(s3.put_object, Bucket=bucket, Key="key", Body=b"a", **BY_S3),
    ):
        assert (error["status"], error["Code"]) == (501, "NotImplemented")
        assert "s3front keys create" in error["Message"]
    headers = {"x-amz-scal-server-side-encryption": "AES256"}
    assert exchange(front, sign(front, "PUT", f"/{new_name()}", headers=headers)).status == 501
    s3.put_object(Bucket=bucket, Key="key", Body=b"plain")


# --- A default that comes while something else does ----------------------------------------------


def test_what_a_front_end_was_told_before_does_not_count(
    s3: Any, elsewhere: Any, bucket: str, encrypting: Cluster
) -> None:
    """It keeps the record of the bucket, and decides on that as it was."""
    elsewhere.put_object(Bucket=bucket, Key="before", Body=b"text")
    put_default(s3, bucket)
    large = os.urandom(9_000_000)
    for key, body in (("small", b"text"), ("large", large), ("empty", b"")):
        assert told(elsewhere.put_object(Bucket=bucket, Key=key, Body=body)) == TOLD_S3
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        s3.delete_bucket_encryption(Bucket=bucket)
        elsewhere.put_object(Bucket=bucket, Key="between", Body=b"text")
        put_default(s3, bucket)
    source = {"Bucket": bucket, "Key": "before"}
    assert told(elsewhere.copy_object(Bucket=bucket, Key="copy", CopySource=source)) == TOLD_S3
    records = stored_records(encrypting, [bucket])[bucket]
    assert {key for key in records if not records[key][ALGORITHM]} == {"before", "between"}


Write = Callable[[Any, str, str, bytes], Any]


def put(client: Any, bucket: str, key: str, body: bytes) -> Any:
    """Which needs no read before."""
    return client.put_object(Bucket=bucket, Key=key, Body=body)


def put_if_absent(client: Any, bucket: str, key: str, body: bytes) -> Any:
    """Which does."""
    return client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")


def copy(client: Any, bucket: str, key: str, _body: bytes) -> Any:
    return client.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/source")


def upload(client: Any, bucket: str, key: str, body: bytes) -> Any:
    sent = {"Bucket": bucket, "Key": key}
    sent["UploadId"] = client.create_multipart_upload(**sent)["UploadId"]
    etag = client.upload_part(**sent, PartNumber=1, Body=body)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    return client.complete_multipart_upload(**sent, MultipartUpload=parts)


@pytest.mark.parametrize("write", [put, put_if_absent, copy, upload])
@pytest.mark.parametrize("size", [6_400, 1_500_000])
def test_writes_at_the_same_time(
    s3: Any, elsewhere: Any, bucket: str, encrypting: Cluster, write: Write, size: int
) -> None:
    """Whoever is answered after the default was set has stored nothing plain since."""
    body = os.urandom(64) * (size // 64)
    s3.put_object(Bucket=bucket, Key="source", Body=body)

    def one(number: int) -> tuple[int, dict[str, str]]:
        client = elsewhere if number % 2 else s3
        return number, told(write(client, bucket, f"{number:03}", body))

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(one, number) for number in range(24)]
        put_default(s3, bucket)
        behind = [pool.submit(one, number) for number in range(24, 48)]
        made = dict(each.result() for each in (*running, *behind))
    records = stored_records(encrypting, [bucket])[bucket]
    for number, said in made.items():
        record = records[f"{number:03}"]
        assert said == ({"": record[ALGORITHM]} if record[ALGORITHM] else {})
        assert ("cryptoScheme" in record["location"][0]) is bool(record[ALGORITHM])
        assert number < 24 or said == TOLD_S3
        assert s3.get_object(Bucket=bucket, Key=f"{number:03}")["Body"].read() == body
    assert_consistent(encrypting)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("size", [6_400, 1_500_000])
def test_parts_at_the_same_time(
    s3: Any, elsewhere: Any, bucket: str, encrypting: Cluster, copies: bool, size: int
) -> None:
    """The same of parts of one upload."""
    body = os.urandom(64) * (size // 64)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    sent = {"Bucket": bucket, "Key": "key"}
    sent["UploadId"] = s3.create_multipart_upload(**sent)["UploadId"]

    def one(number: int) -> tuple[int, dict[str, str]]:
        client, part = elsewhere if number % 2 else s3, {**sent, "PartNumber": number}
        if copies:
            return number, told(client.upload_part_copy(**part, CopySource=f"{bucket}/source"))
        return number, told(client.upload_part(**part, Body=body))

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(one, number) for number in range(1, 24)]
        put_default(s3, bucket)
        behind = [pool.submit(one, number) for number in range(24, 40)]
        made = dict(each.result() for each in (*running, *behind))
    level = UPLOADS_PREFIX + bucket
    records = stored_records(encrypting, [level])[level]
    for number, said in made.items():
        part = records[f"{sent['UploadId']}..|..{number:05}"]
        assert said == (TOLD_S3 if "cryptoScheme" in part["partLocations"][0] else {})
        assert number < 24 or said == TOLD_S3
    assert_consistent(encrypting)


@pytest.mark.parametrize("sends_more", [False, True])
def test_an_upload_from_before(
    s3: Any, elsewhere: Any, bucket: str, encrypting: Cluster, sends_more: bool
) -> None:
    """Its parts are stored again, and the client sees nothing of it."""
    upload = {"Bucket": bucket, "Key": "key"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []

    def send(number: int, body: bytes, client: Any) -> dict[str, str]:
        made = client.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
        return told(made)

    assert send(1, PART, s3) == {}
    if not sends_more:
        assert send(2, b"end", s3) == {}
    put_default(s3, bucket)
    if sends_more:
        assert send(2, b"end", elsewhere) == TOLD_S3
    done = elsewhere.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert told(done) == TOLD_S3
    got = s3.get_object(Bucket=bucket, Key="key")
    assert (got["Body"].read(), told(got)) == (PART + b"end", TOLD_S3)
    record = stored_records(encrypting, [bucket])[bucket]["key"]
    assert [each["cryptoScheme"] for each in record["location"]] == ["twofold-1"] * 2
    assert stored_records(encrypting, [UPLOADS_PREFIX + bucket]) == {UPLOADS_PREFIX + bucket: {}}


def status_of(call: Any, **arguments: Any) -> int:
    try:
        status: int = call(**arguments)["ResponseMetadata"]["HTTPStatusCode"]
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def is_encrypted(running: Cluster, upload: dict[str, str]) -> bool:
    """Whether an upload is, or has ended."""
    level = UPLOADS_PREFIX + upload["Bucket"]
    key = f"overview..|..{upload['Key']}..|..{upload['UploadId']}"
    found = stored_records(running, [level])[level]
    return key not in found or ALGORITHM in found[key]


def test_a_part_that_comes_while_the_one_before_is_stored_again(
    s3: Any, elsewhere: Any, bucket: str, encrypting: Cluster
) -> None:
    """Whoever was told that it is stored finds it, and nothing is made of the other one."""
    large = os.urandom(16 * 1024 * 1024)
    for number in range(6):
        upload = {"Bucket": bucket, "Key": f"{number}"}
        upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
        etag = s3.upload_part(**upload, PartNumber=1, Body=large)["ETag"]
        put_default(s3, bucket)
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        with ThreadPoolExecutor(1) as pool:
            completing = pool.submit(
                status_of, s3.complete_multipart_upload, **upload, MultipartUpload=parts
            )
            wait_for(
                lambda upload=upload: is_encrypted(encrypting, upload),  # type: ignore[misc]
                "the upload to get the default",
            )
            stored = status_of(elsewhere.upload_part, **upload, PartNumber=1, Body=b"b")
        if stored == 200:
            assert completing.result() == 400
            assert s3.list_parts(**upload)["Parts"][0]["Size"] == 1
            s3.abort_multipart_upload(**upload)
        else:
            assert completing.result() == 200
        s3.delete_bucket_encryption(Bucket=bucket)
