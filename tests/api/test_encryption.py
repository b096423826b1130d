"""Encryption at rest as S3's clients see it: objects, by keys of the server and of their own.

Codes and texts are those that AWS was recorded to answer (LocalStack's ``test_s3.snapshot.json``),
where it was.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from tests.api.encrypting import (
    ALGORITHM,
    BY_FIRST,
    BY_KMS,
    BY_S3,
    BY_SECOND,
    FIRST,
    KEY,
    OTHER_KEY,
    SECOND,
    TOLD_S3,
    by_customer,
    customer_headers,
    encrypting_cluster,
    md5_of,
    told,
    told_customer,
)
from tests.api.support import code_of, error_of, set_versioning
from tests.clients_boto3 import s3_client
from tests.faults.stores import stored_records
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import exchange, host_of, sign
from tests.servers import Cluster, Front, Tls

SIZES = [0, 1, 1000, 65536, 65537, 300_000, 9_000_000]
"""Carried with their record, of one segment and of more, and of a file of their own."""

KINDS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], dict[str, str]]] = {
    "SSE-S3": (BY_S3, {}, TOLD_S3),
    "SSE-KMS": (BY_KMS, {}, BY_FIRST),
    "SSE-KMS by a key": (BY_SECOND, {}, {**BY_FIRST, "-aws-kms-key-id": SECOND}),
    "DSSE-KMS": (
        {"ServerSideEncryption": "aws:kms:dsse"},
        {},
        {**BY_FIRST, "": "aws:kms:dsse"},
    ),
    "bucket key": (
        {**BY_KMS, "BucketKeyEnabled": True},
        {},
        {**BY_FIRST, "-bucket-key-enabled": "true"},
    ),
    "SSE-C": (by_customer(), by_customer(), told_customer()),
}
"""What a client says when it writes, and when it reads, and what it is told."""


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_object(s3: Any, bucket: str, kind: str, size: int) -> None:
    writes, reads, expected = KINDS[kind]
    content = os.urandom(size)
    address = {"Bucket": bucket, "Key": "key"}
    made = s3.put_object(**address, Body=content, **writes)
    assert told(made) == expected
    got = s3.get_object(**address, **reads)
    assert (got["Body"].read(), told(got)) == (content, expected)
    assert (got["ETag"], got["ContentLength"]) == (made["ETag"], size)
    head = s3.head_object(**address, **reads)
    assert (told(head), head["ContentLength"]) == (expected, size)
    wanted = ["ETag", "ObjectSize", "Checksum"]
    attributes = s3.get_object_attributes(**address, ObjectAttributes=wanted, **reads)
    assert (attributes["ObjectSize"], told(attributes)) == (size, {})
    for start, end in ((0, 0), (1, 10), (65_530, 65_540), (size - 5, size - 1)):
        if 0 <= start <= end < size:
            part = s3.get_object(**address, Range=f"bytes={start}-{end}", **reads)
            assert part["Body"].read() == content[start : end + 1]


def test_nothing_of_it_is_stored_plain(s3: Any, bucket: str, encrypting: Cluster) -> None:
    text = os.urandom(16).hex().encode() * 40
    for number, (writes, _, _) in enumerate(KINDS.values()):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=text, **writes)
        s3.put_object(Bucket=bucket, Key=f"{number}-large", Body=text * 1000, **writes)
    s3.put_object(Bucket=bucket, Key="plain", Body=text.swapcase())
    found = [
        path
        for folder in ("data", "metadata")
        for path in (encrypting.folder / folder).rglob("*")
        if path.is_file()
    ]
    assert any(text.swapcase()[:64] in path.read_bytes() for path in found)
    assert not [path for path in found if text[:64] in path.read_bytes()]


def test_records_are_the_originals_as_far_as_it_has_them(
    s3: Any, bucket: str, encrypting: Cluster
) -> None:
    """And no key is in them."""
    s3.put_object(Bucket=bucket, Key="s3", Body=b"a", **BY_S3)
    s3.put_object(Bucket=bucket, Key="kms", Body=b"a", **BY_KMS)
    s3.put_object(Bucket=bucket, Key="customer", Body=b"a", **by_customer())
    records = stored_records(encrypting, [bucket])[bucket]
    assert records["s3"][ALGORITHM] == "AES256"
    assert records["kms"][ALGORITHM] == "aws:kms"
    assert records["kms"][f"{ALGORITHM}-aws-kms-key-id"] == FIRST
    assert records["customer"][f"{ALGORITHM}-customer-algorithm"] == "AES256"
    assert [records[key]["location"][0]["cryptoScheme"] for key in records] == ["twofold-1"] * 3
    kept = json.dumps(records)
    assert not any(secret in kept for secret in (KEY.hex(), b64encode(KEY).decode()))
    assert told_customer()["-customer-key-md5"] not in kept


def test_the_context_is_told_when_it_is_given(s3: Any, bucket: str) -> None:
    context = b64encode(b'{"team":"a","\xc3\xa9":"b"}').decode()
    address = {"Bucket": bucket, "Key": "key"}
    made = s3.put_object(**address, Body=b"a", **BY_KMS, SSEKMSEncryptionContext=context)
    assert told(made) == {**BY_FIRST, "-context": context}
    got = s3.get_object(**address)
    assert (got["Body"].read(), told(got)) == (b"a", BY_FIRST)
    upload = s3.create_multipart_upload(**address, **BY_KMS, SSEKMSEncryptionContext=context)
    assert told(upload) == {**BY_FIRST, "-context": context}


def test_no_log_has_a_clients_key(encrypting: Cluster, bucket: str) -> None:
    """However it is sent, and whatever becomes of the request."""
    keyring = encrypting.settings["encryption"]
    front = encrypting.add_front(settings={"encryption": keyring, "log": {"logLevel": "trace"}})
    s3, address = s3_client(front), {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"text" * 1000, **by_customer())
    s3.get_object(**address, **by_customer())["Body"].read()
    copy = {**address, "CopySource": address, **by_customer(prefix="CopySource")}
    s3.copy_object(**copy, **by_customer(OTHER_KEY))
    assert code_of(s3.get_object, **address, **by_customer()) == (403, "AccessDenied")
    url = s3.generate_presigned_url("get_object", Params={**address, **by_customer(OTHER_KEY)})
    requests.get(url, headers=customer_headers(OTHER_KEY), timeout=10)
    requests.get(f"{url}&a=b", headers=customer_headers(OTHER_KEY), timeout=10)
    secrets = [form(key) for key in (KEY, OTHER_KEY) for form in (bytes.hex, base64_of, md5_of)]
    output = front.process.output
    assert "CopyObject" in output
    assert not [secret for secret in secrets if secret in output]
    for process in (encrypting.dmd_metadata, encrypting.dmd_data):
        assert not [secret for secret in secrets if secret in process.output]


def base64_of(key: bytes) -> str:
    return b64encode(key).decode()


COLON = "Requests specifying Server Side Encryption with Customer provided keys must "
PUT_REFUSALS: Mapping[str, tuple[dict[str, str], str, str]] = {
    "both kinds": (
        {ALGORITHM: "AES256", **customer_headers()},
        "InvalidArgument",
        "Server Side Encryption with Customer provided key is incompatible with the encryption "
        "method specified",
    ),
    "another algorithm": (
        {**customer_headers(), f"{ALGORITHM}-customer-algorithm": "KMS"},
        "InvalidEncryptionAlgorithmError",
        "The Encryption request you specified is not valid. Supported value: AES256.",
    ),
    "no algorithm": (
        {f"{ALGORITHM}-customer-key": b64encode(KEY).decode()},
        "InvalidArgument",
        f"{COLON}provide a valid encryption algorithm.",
    ),
    "no key": (
        {f"{ALGORITHM}-customer-algorithm": "AES256"},
        "InvalidArgument",
        f"{COLON}provide an appropriate secret key.",
    ),
    "no MD5": (
        {name: text for name, text in customer_headers().items() if "md5" not in name},
        "InvalidArgument",
        f"{COLON}provide the client calculated MD5 of the secret key.",
    ),
    "a short key": (
        customer_headers(KEY[:10]),
        "InvalidArgument",
        "The secret key was invalid for the specified algorithm.",
    ),
    "another MD5": (
        {**customer_headers(), f"{ALGORITHM}-customer-key-md5": "A" * 22 + "=="},
        "InvalidArgument",
        "The calculated MD5 hash of the key did not match the hash that was provided.",
    ),
    "unknown": (
        {ALGORITHM: "aes:kms"},
        "InvalidArgument",
        "The encryption method specified is not supported",
    ),
    "a key ID alone": (
        {f"{ALGORITHM}-aws-kms-key-id": FIRST},
        "InvalidArgument",
        "Server Side Encryption with AWS KMS managed key requires HTTP header "
        "x-amz-server-side-encryption : aws:kms",
    ),
    "a key ID of S3": (
        {ALGORITHM: "AES256", f"{ALGORITHM}-aws-kms-key-id": FIRST},
        "InvalidArgument",
        "Server Side Encryption with AWS KMS managed key requires HTTP header "
        "x-amz-server-side-encryption : aws:kms",
    ),
    "a context that is none": (
        {ALGORITHM: "aws:kms", f"{ALGORITHM}-context": "e30"},
        "InvalidArgument",
        "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string "
        "holding JSON which represents a string-string map",
    ),
    "a bucket key that is none": (
        {ALGORITHM: "aws:kms", f"{ALGORITHM}-bucket-key-enabled": "yes"},
        "InvalidArgument",
        "Value for x-amz-server-side-encryption-bucket-key-enabled header is invalid.",
    ),
}


@pytest.mark.parametrize("name", PUT_REFUSALS)
def test_what_cannot_be_meant(front: Front, bucket: str, name: str) -> None:
    sent, code, message = PUT_REFUSALS[name]
    for method, target, body in (("PUT", "/key", b"a"), ("POST", "/key?uploads", b"")):
        response = exchange(front, sign(front, method, f"/{bucket}{target}", body, sent))
        error = response.error
        assert (response.status, error["Code"], error["Message"]) == (400, code, message)
        assert b64encode(KEY) not in response.body


MISSING = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be "
    "provided to retrieve the object."
)


def test_a_clients_key_is_needed_to_read(front: Front, s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}
    s3.put_object(**address, Body=b"text", **by_customer())
    attributes = {**address, "ObjectAttributes": ["ETag"]}
    asked = ((s3.get_object, address), (s3.get_object_attributes, attributes))
    for call, wanted in asked:
        error = error_of(call, **wanted)
        told_error = error["status"], error["Code"], error["Message"]
        assert told_error == (400, "InvalidRequest", MISSING)
        error = error_of(call, **wanted, **by_customer(OTHER_KEY))
        told_error = error["status"], error["Code"], error["Message"]
        assert told_error == (403, "AccessDenied", f"{COLON}provide the correct secret key.")
        assert code_of(call, **wanted, **by_customer(KEY[:10])) == (403, "AccessDenied")
    assert code_of(s3.head_object, **address)[0] == 400
    assert code_of(s3.head_object, **address, **by_customer(OTHER_KEY))[0] == 403
    # What does not show the bytes needs no key.
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.put_object_tagging(**address, Tagging=tags)
    assert s3.get_object_tagging(**address)["TagSet"] == tags["TagSet"]
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == 4
    s3.delete_object(**address)


def test_a_key_of_nothing(s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}
    for writes in ({}, BY_S3):
        s3.put_object(**address, Body=b"text", **writes)
        error = error_of(s3.get_object, **address, **by_customer())
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")
        assert error["Message"] == "The encryption parameters are not applicable to this object."


def test_a_reader_names_no_key_of_the_server(front: Front, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"text", **BY_KMS)
    for method in ("GET", "HEAD"):
        request = sign(front, method, f"/{bucket}/key", headers={ALGORITHM: "aws:kms"})
        assert exchange(front, request).status == 400


def test_a_key_that_there_is_not(s3: Any, bucket: str) -> None:
    named = {**BY_KMS, "SSEKMSKeyId": "nobody-has-it"}
    address = {"Bucket": bucket, "Key": "key"}
    for call in (s3.put_object, s3.create_multipart_upload):
        assert code_of(call, **address, **named) == (400, "KMS.NotFoundException")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_clients_key_is_not_sent_where_others_can_read_it(
    encrypting: Cluster, tls: Tls, bucket: str
) -> None:
    """But over TLS, as far as the server is told by a proxy that it trusts."""
    address = {"Bucket": bucket, "Key": "key"}
    keyring = encrypting.settings["encryption"]["keyringFile"]
    strict = {"encryption": {"keyringFile": keyring, "customerKeysOverHttp": False}}
    proxied = {"requests": {"viaProxy": True, "trustedProxyCIDRs": ["127.0.0.1/32"]}}
    front = encrypting.add_front(settings={**strict, **proxied})
    s3 = s3_client(front)
    for call in (s3.put_object, s3.create_multipart_upload, s3.get_object):
        error = error_of(call, **address, **by_customer())
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")
        assert error["Message"] == f"{COLON}be made over a secure connection."
    copy = {**address, "CopySource": address, **by_customer(prefix="CopySource")}
    assert code_of(s3.copy_object, **copy)[1] in ("InvalidRequest", "NoSuchKey")
    headers = {**customer_headers(), "X-Forwarded-Proto": "https"}
    put = sign(front, "PUT", f"/{bucket}/key", b"text", headers)
    assert exchange(front, put).status == 200
    secure = s3_client(encrypting.add_front(settings=strict, tls=tls))
    got = secure.get_object(**address, **by_customer())
    assert (got["Body"].read(), told(got)) == (b"text", told_customer())


def test_presigned(s3: Any, bucket: str) -> None:
    """The headers are signed, and sent again with the request, but for what is in the query."""
    params = {"Bucket": bucket, "Key": "key", **by_customer()}
    put, get = (
        s3.generate_presigned_url(name, Params=params) for name in ("put_object", "get_object")
    )
    sent = customer_headers()
    assert requests.put(put, data=b"text", headers=sent, timeout=10).status_code == 200
    assert requests.get(get, headers=sent, timeout=10).content == b"text"
    assert requests.get(get, headers=customer_headers(OTHER_KEY), timeout=10).status_code == 403
    params = {"Bucket": bucket, "Key": "kms", **BY_KMS}
    put = s3.generate_presigned_url("put_object", Params=params)
    response = requests.put(put, data=b"text", headers={ALGORITHM: "aws:kms"}, timeout=10)
    assert (response.status_code, response.headers[ALGORITHM]) == (200, "aws:kms")


def test_versions_each_have_their_own(s3: Any, bucket: str) -> None:
    set_versioning(s3, bucket, "Enabled")
    address = {"Bucket": bucket, "Key": "key"}
    made = [
        s3.put_object(**address, Body=name.encode(), **writes)["VersionId"]
        for name, (writes, _, _) in KINDS.items()
    ]
    for (name, (_, reads, expected)), version_id in zip(KINDS.items(), made, strict=True):
        got = s3.get_object(**address, VersionId=version_id, **reads)
        assert (got["Body"].read(), told(got)) == (name.encode(), expected)
    s3.delete_object(**address, VersionId=made[-1])
    assert told(s3.head_object(**address)) == KINDS["bucket key"][2]


def test_a_form(front: Front, s3: Any, bucket: str) -> None:
    for name, (_, reads, expected) in KINDS.items():
        fields = {"key": name, **sent_by(expected)}
        response = exchange(
            front,
            form_request(
                host_of(front), f"/{bucket}", form_body(signed_v4(fields, bucket), b"file")
            ),
        )
        assert response.status == 204, response.body
        got = s3.get_object(Bucket=bucket, Key=name, **reads)
        assert (got["Body"].read(), told(got)) == (b"file", expected)
        assert {ALGORITHM + each: text for each, text in expected.items()}.items() <= {
            each.lower(): text for each, text in response.headers.items()
        }.items()


def sent_by(expected: Mapping[str, str]) -> dict[str, str]:
    """What a client sends to be told this."""
    if "-customer-algorithm" in expected:
        return customer_headers()
    return {ALGORITHM + name: text for name, text in expected.items()}
