"""@aws-sdk/s3-request-presigner: every call is signed by it, and sent by somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.api.support import OTHER_ACCOUNT_ID, keys_in
from tests.clients.node_sdk import node_sdk
from tests.clients.sdk import Sdk
from tests.servers import Front

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@pytest.fixture(scope="module")
def presigner(front: Front) -> Iterator[Sdk]:
    with node_sdk("presigner.mjs", front) as running:
        yield running


class Sender:
    """Sends what the SDK signs for calls on one bucket."""

    def __init__(self, front: Front, presigner: Sdk, bucket: str) -> None:
        self._front = front
        self._presigner = presigner
        self.bucket = bucket

    def send(self, method: str, call: str, body: bytes = b"", **input_: Any) -> requests.Response:
        told = {"Bucket": self.bucket, **input_}
        url = self._presigner.ask("presign", call=call, input=told)
        return requests.request(method, url, data=body, timeout=20, verify=self._front.verify)

    def query(self, call: str, **input_: Any) -> str:
        told = {"Bucket": self.bucket, **input_}
        url: str = self._presigner.ask("presign", call=call, input=told)
        return urlsplit(url).query


@pytest.fixture
def sender(front: Front, presigner: Sdk, bucket: str) -> Sender:
    return Sender(front, presigner, bucket)


def test_a_body_that_the_signer_does_not_know(s3: Any, sender: Sender) -> None:
    """The SDK puts the checksum of no bytes into the URL."""
    assert "x-amz-checksum-crc32=AAAAAA%3D%3D" in sender.query("PutObject", Key="a")
    for key in ("a", "b c/ü+%"):
        assert sender.send("PUT", "PutObject", b"body", Key=key).status_code == 200
        assert s3.get_object(Bucket=sender.bucket, Key=key)["Body"].read() == b"body"
        assert sender.send("GET", "GetObject", Key=key).content == b"body"
    sha256: dict[str, Any] = {"Key": "a", "ChecksumAlgorithm": "SHA256"}
    assert sender.send("PUT", "PutObject", b"other", **sha256).status_code == 200


def test_what_the_signer_says_of_an_object(s3: Any, sender: Sender) -> None:
    told: dict[str, Any] = {
        "Metadata": {"a": "grün"},
        "StorageClass": "STANDARD_IA",
        "Tagging": "k=v",
    }
    assert sender.send("PUT", "PutObject", b"body", Key="a", **told).status_code == 200
    found = s3.head_object(Bucket=sender.bucket, Key="a")
    assert (found["Metadata"], found["StorageClass"]) == (
        {"a": "=?UTF-8?Q?gr=C3=BCn?="},
        "STANDARD_IA",
    )
    other: dict[str, Any] = {"Key": "a", "ExpectedBucketOwner": OTHER_ACCOUNT_ID}
    for method, call in (("GET", "GetObject"), ("PUT", "PutObject"), ("DELETE", "DeleteObject")):
        assert sender.send(method, call, **other).status_code == 403
    assert keys_in(s3, sender.bucket) == ["a"]


def test_an_upload_by_parts(s3: Any, sender: Sender) -> None:
    begun = sender.send("POST", "CreateMultipartUpload", Key="m")
    upload: dict[str, Any] = {
        "Key": "m",
        "UploadId": begun.text.partition("<UploadId>")[2].partition("<")[0],
    }
    sent = sender.send("PUT", "UploadPart", b"part", PartNumber=1, **upload)
    assert sent.status_code == 200
    listed = sender.send("GET", "ListParts", **upload)
    assert "<PartNumber>1</PartNumber>" in listed.text
    part = f"<Part><ETag>{sent.headers['ETag']}</ETag><PartNumber>1</PartNumber></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    ended = sender.send("POST", "CompleteMultipartUpload", body, **upload)
    assert ended.status_code == 200
    assert s3.get_object(Bucket=sender.bucket, Key="m")["Body"].read() == b"part"


@pytest.mark.parametrize(
    ("method", "call", "told"),
    [
        ("HEAD", "HeadBucket", {}),
        ("GET", "GetBucketLocation", {}),
        ("GET", "GetBucketVersioning", {}),
        ("GET", "ListObjects", {"Prefix": "k"}),
        ("GET", "ListObjectsV2", {"Prefix": "k", "OptionalObjectAttributes": ["RestoreStatus"]}),
        ("GET", "ListObjectVersions", {}),
        ("GET", "ListMultipartUploads", {}),
        ("HEAD", "HeadObject", {"Key": "key"}),
        ("GET", "GetObject", {"Key": "key", "ChecksumMode": "ENABLED", "PartNumber": 1}),
        ("GET", "GetObjectTagging", {"Key": "key"}),
        ("DELETE", "DeleteObjectTagging", {"Key": "key"}),
        ("GET", "GetObjectAttributes", {"Key": "key", "ObjectAttributes": ["ETag", "Checksum"]}),
        ("PUT", "CopyObject", {"Key": "copy", "CopySource": "{bucket}/key"}),
        ("DELETE", "DeleteObject", {"Key": "key"}),
    ],
)
def test_calls_without_a_body(
    s3: Any, sender: Sender, method: str, call: str, told: dict[str, Any]
) -> None:
    s3.put_object(Bucket=sender.bucket, Key="key", Body=b"body")
    given: dict[str, Any] = {
        name: text.format(bucket=sender.bucket) if isinstance(text, str) else text
        for name, text in told.items()
    }
    response = sender.send(method, call, **given)
    assert response.status_code in (200, 204, 206), response.text


def test_documents_that_the_signer_knows(s3: Any, sender: Sender) -> None:
    """They are verified: their checksums in the URLs are right."""
    s3.put_object(Bucket=sender.bucket, Key="key", Body=b"body")
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    document = "<TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet>"
    body = f"{DECLARATION}<Tagging {NAMESPACE}>{document}</Tagging>".encode()
    told: dict[str, Any] = {"Key": "key", "Tagging": tags}
    assert sender.send("PUT", "PutObjectTagging", body, **told).status_code == 200
    wrong = body.replace(b"<Value>v", b"<Value>w")
    assert sender.send("PUT", "PutObjectTagging", wrong, **told).status_code == 400
    assert s3.get_object_tagging(Bucket=sender.bucket, Key="key")["TagSet"] == tags["TagSet"]
    removed = f"{DECLARATION}<Delete {NAMESPACE}><Object><Key>key</Key></Object></Delete>"
    told = {"Delete": {"Objects": [{"Key": "key"}]}}
    assert sender.send("POST", "DeleteObjects", removed.encode(), **told).status_code == 200
    assert keys_in(s3, sender.bucket) == []
