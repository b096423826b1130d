"""Signature Version 2, in the header and in the query; its rules are in
tests/unit/s3front/auth/test_sigv2.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from s3front.auth import sigv2
from s3front.auth.sigv4 import AccessKey
from tests.api.support import error_of, md5_hex, put_all
from tests.clients_boto3 import s3_client
from tests.raw_http import FOREIGNER, OWNER, Response, anonymous, exchange, host_of, wire
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """The path of an object."""
    put_all(s3, bucket, ["a b"], b"body")
    return f"/{bucket}/a%20b"


@pytest.fixture
def old_s3(front: Front) -> Any:
    """boto3, set to sign with this version."""
    return s3_client(front, signature_version="s3")


def call_signed(
    front: Front,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    key: AccessKey = OWNER,
    host: str | None = None,
    resource: str | None = None,
) -> Response:
    path, _, query = target.partition("?")
    sent = {
        "Host": host or host_of(front),
        "Date": format_datetime(datetime.now(UTC), usegmt=True),
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    signed = sigv2.trimmed_headers(sent.items())
    head = sigv2.RequestHead(method, resource or path, query, signed)
    sent["Authorization"] = sigv2.authorization(head, key.access_key, key.secret)
    return exchange(front, wire(method, target, sent, body))


def test_boto3_writes_reads_lists_and_deletes(old_s3: Any, bucket: str) -> None:
    metadata = {"colour": "blue, green", "empty": ""}
    old_s3.put_object(Bucket=bucket, Key="a b/ü+%", Body=b"body", Metadata=metadata)
    reply = old_s3.get_object(
        Bucket=bucket, Key="a b/ü+%", ResponseContentType="text/x; a=b", Range="bytes=1-"
    )
    assert (reply["Body"].read(), reply["ContentType"]) == (b"ody", "text/x; a=b")
    assert reply["Metadata"] == metadata
    old_s3.put_object_tagging(
        Bucket=bucket, Key="a b/ü+%", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]}
    )
    listed = old_s3.list_objects_v2(Bucket=bucket, Prefix="a b/")
    assert [entry["Key"] for entry in listed["Contents"]] == ["a b/ü+%"]
    asked = {"Objects": [{"Key": "a b/ü+%"}]}
    assert "Errors" not in old_s3.delete_objects(Bucket=bucket, Delete=asked)


def test_boto3_uploads_by_parts(old_s3: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "parts"}
    upload["UploadId"] = old_s3.create_multipart_upload(**upload)["UploadId"]
    etag = old_s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    old_s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert old_s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"part"


def test_a_url_carries_what_its_signer_meant(front: Front, s3: Any, bucket: str) -> None:
    client = s3_client(front, signature_version="s3")
    asked = {"Bucket": bucket, "Key": "key", "Metadata": {"a": "b"}, "ContentType": "image/x"}
    url = client.generate_presigned_url("put_object", asked, 60)
    assert requests.put(url, b"body", timeout=10, verify=front.verify).status_code == 200
    reply = s3.head_object(Bucket=bucket, Key="key")
    assert (reply["Metadata"], reply["ContentType"]) == ({"a": "b"}, "image/x")


def test_a_url_of_a_virtual_host(front: Front, bucket: str) -> None:
    client = s3_client(front, signature_version="s3", s3={"addressing_style": "virtual"})
    url = urlsplit(client.generate_presigned_url("list_objects", {"Bucket": bucket}, 60))
    assert url.netloc.startswith(bucket)
    response = anonymous(front, "GET", f"{url.path}?{url.query}", headers={"Host": url.netloc})
    assert response.status == 200


def test_a_url_is_for_one_object_and_call(front: Front, stored: str, bucket: str) -> None:
    client = s3_client(front, signature_version="s3")
    asked = {"Bucket": bucket, "Key": "a b"}
    url = urlsplit(client.generate_presigned_url("get_object", asked, 60))
    target = f"{url.path}?{url.query}"
    assert anonymous(front, "GET", target).body == b"body"
    changed = (
        ("DELETE", target),
        ("GET", target.replace("a%20b", "other")),
        ("GET", target + "&tagging"),
        ("GET", target + "&response-content-type=text%2Fhtml"),
        ("GET", target.replace("Expires=", "Expires=9")),
        ("GET", target.replace("accessKey1", "accessKey2")),
    )
    for method, other in changed:
        error = anonymous(front, method, other).error
        assert (error["status"], error["Code"]) == ("403", "SignatureDoesNotMatch"), other
        assert error["StringToSign"]


def test_a_url_expires(front: Front, stored: str) -> None:
    query = f"AWSAccessKeyId=accessKey1&Expires={int(time.time()) - 1}&Signature=c2ln"
    error = anonymous(front, "GET", f"{stored}?{query}").error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["Message"] == "Request has expired"


@pytest.mark.parametrize("query", ["AWSAccessKeyId=accessKey1", "Signature=c2ln&Expires=1"])
def test_half_a_signature_is_not_anonymous(front: Front, stored: str, query: str) -> None:
    error = anonymous(front, "GET", f"{stored}?{query}").error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["Message"].startswith("Query-string authentication requires")


def test_only_one_signature(front: Front, stored: str) -> None:
    response = call_signed(front, "GET", f"{stored}?Signature=c2ln")
    assert (response.status, response.error["Code"]) == (400, "InvalidArgument")


def test_a_foreign_key_and_an_unknown_one(front: Front, stored: str) -> None:
    assert call_signed(front, "GET", stored, key=FOREIGNER).error["Code"] == "AccessDenied"
    response = call_signed(front, "GET", stored, key=AccessKey("nobody", "secret"))
    assert (response.status, response.error["Code"]) == (403, "InvalidAccessKeyId")


def test_a_wrong_secret(front: Front, bucket: str) -> None:
    client = s3_client(front, secret_key="wrong", signature_version="s3")
    assert error_of(client.list_objects_v2, Bucket=bucket)["Code"] == "SignatureDoesNotMatch"


def test_a_token_is_refused(front: Front, stored: str) -> None:
    response = call_signed(front, "GET", stored, headers={"x-amz-security-token": "token"})
    assert response.error["Code"] == "InvalidToken"


def test_content_md5_and_payload_hash_are_verified(front: Front, bucket: str) -> None:
    for headers, code in (
        ({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"x-amz-content-sha256": "0" * 64}, "XAmzContentSHA256Mismatch"),
        ({"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "InvalidRequest"),
    ):
        response = call_signed(front, "PUT", f"/{bucket}/key", b"body", headers)
        assert response.error["Code"] == code
    response = call_signed(front, "PUT", f"/{bucket}/key", b"body")
    assert response.headers["ETag"] == f'"{md5_hex(b"body")}"'


def test_the_host_may_name_the_bucket(front: Front, stored: str, bucket: str) -> None:
    host = f"{bucket}.{host_of(front)}"
    response = call_signed(front, "GET", "/a%20b", host=host, resource=stored)
    assert response.body == b"body"
    # The resource is signed with its bucket, whoever names it.
    response = call_signed(front, "GET", "/a%20b", host=host)
    assert response.error["Code"] == "SignatureDoesNotMatch"


def test_a_request_out_of_time(front: Front, stored: str) -> None:
    response = call_signed(
        front, "GET", stored, headers={"Date": "Tue, 27 Mar 2007 19:36:42 +0000"}
    )
    assert (response.status, response.error["Code"]) == (403, "RequestTimeTooSkewed")
