"""PostObject: forms, as browsers and boto3's helper send them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from s3front.auth.sigv4 import AccessKey
from s3front.bodies.checksums import Algorithm
from tests.api.support import (
    ODD_KEYS,
    OTHER_ACCOUNT_ID,
    checksum_of,
    key_id,
    keys_in,
    md5_base64,
    md5_hex,
)
from tests.clients_boto3 import s3_client
from tests.forms import form_body, form_request, signed_v2, signed_v4
from tests.raw_http import (
    FOREIGNER,
    OWNER,
    Connection,
    Response,
    anonymous,
    call,
    connected,
    exchange,
    host_of,
)
from tests.servers import Cluster, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

FILE = b"the file of a form"
Signed = Callable[..., dict[str, str]]
SIGNERS = pytest.mark.parametrize("signed", [signed_v4, signed_v2], ids=["v4", "v2"])


def post(
    front: Front,
    bucket: str,
    fields: Mapping[str, str],
    file: bytes | None = FILE,
    **options: Any,
) -> Response:
    """Send a form and get its answer."""
    body = form_body(fields, file, **options)
    return exchange(front, form_request(host_of(front), f"/{bucket}", body))


def refusal(response: Response) -> tuple[int, str]:
    error = response.error
    return int(error["status"]), error["Code"]


def content_of(s3: Any, bucket: str, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


# --- What is stored -----------------------------------------------------------------------------


@SIGNERS
@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 8 * 2**20, 8 * 2**20 + 1, 20_000_000])
def test_the_file_is_stored(front: Front, s3: Any, bucket: str, signed: Signed, size: int) -> None:
    file = (b"0123456789abcde\r\n" * (size // 17 + 1))[:size]
    response = post(front, bucket, signed({"key": "a b"}, bucket), file)
    assert response.status == 204
    assert response.headers["ETag"] == f'"{md5_hex(file)}"'
    assert response.headers["Location"] == f"{front.url}/{bucket}/a%20b"
    found = s3.get_object(Bucket=bucket, Key="a b")
    assert found["Body"].read() == file
    assert found["ETag"] == response.headers["ETag"]
    assert found["ContentType"] == "binary/octet-stream"
    if size > 2:
        part = s3.get_object(Bucket=bucket, Key="a b", Range=f"bytes={size - 2}-")
        assert part["Body"].read() == file[-2:]


def test_what_the_fields_say_of_the_object(front: Front, s3: Any, bucket: str) -> None:
    fields = {
        "key": "a",
        "acl": "bucket-owner-full-control",
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="ü"',
        "Content-Encoding": "gzip",
        "Expires": "Thu, 01 Dec 2044 16:00:00 GMT",
        "x-amz-meta-One": "grün",
        "x-amz-storage-class": "STANDARD",
        "x-amz-website-redirect-location": "/b",
        "tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>v w</Value></Tag></TagSet></Tagging>",
    }
    assert post(front, bucket, signed_v4(fields, bucket)).status == 204
    headers = call(front, "HEAD", f"/{bucket}/a").headers
    for name in ("Content-Type", "Cache-Control", "Content-Encoding"):
        assert headers[name] == fields[name]
    assert headers["Content-Disposition"] == 'attachment; filename="\udcfc"'  # in Latin-1
    assert headers["Expires"] == fields["Expires"]
    assert headers["x-amz-meta-one"] == "=?UTF-8?Q?gr=C3=BCn?="
    assert headers["x-amz-website-redirect-location"] == "/b"
    assert s3.get_object_tagging(Bucket=bucket, Key="a")["TagSet"] == [{"Key": "k", "Value": "v w"}]


@pytest.mark.parametrize("key", ODD_KEYS, ids=key_id)
def test_any_key(front: Front, s3: Any, bucket: str, key: str) -> None:
    assert post(front, bucket, signed_v4({"key": key}, bucket)).status == 204
    assert keys_in(s3, bucket) == [key]


@SIGNERS
def test_the_name_of_the_file_becomes_the_key(
    front: Front, s3: Any, bucket: str, signed: Signed
) -> None:
    fields = signed({}, bucket, ["starts-with", "$key", "user/"])
    response = post(front, bucket, {"key": "user/${filename}", **fields}, filename="C:/x/ü.png")
    assert response.status == 204
    assert keys_in(s3, bucket) == ["user/ü.png"]


def test_it_replaces_what_was_there(front: Front, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old", Metadata={"old": "1"})
    assert post(front, bucket, signed_v4({"key": "a"}, bucket)).status == 204
    found = s3.get_object(Bucket=bucket, Key="a")
    assert (found["Body"].read(), found["Metadata"]) == (FILE, {})


def test_fields_behind_the_file_do_not_count(front: Front, s3: Any, bucket: str) -> None:
    after = [("submit", "Upload"), ("x-amz-meta-a", "b"), ("key", "other")]
    fields = signed_v4({"key": "a"}, bucket)
    assert post(front, bucket, fields, after=after).status == 204
    assert keys_in(s3, bucket) == ["a"]
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == {}


@pytest.mark.parametrize("algorithm", Algorithm)
def test_checksums_are_verified_and_kept(
    front: Front, s3: Any, bucket: str, algorithm: Algorithm
) -> None:
    name, right = algorithm.header, checksum_of(algorithm, FILE)
    fields = signed_v4({"key": "a"}, bucket)
    assert post(front, bucket, {name: right, **fields}).status == 204
    found = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert found[f"Checksum{algorithm}"] == right
    wrong = {name: checksum_of(algorithm, b"else"), **fields, "x-ignore-a": ""}
    assert refusal(post(front, bucket, wrong)) == (400, "BadDigest")


def test_a_file_without_a_checksum_gets_the_default(front: Front, s3: Any, bucket: str) -> None:
    response = post(front, bucket, signed_v4({"key": "a"}, bucket))
    value = checksum_of(Algorithm.CRC64NVME, FILE)
    assert response.headers["x-amz-checksum-crc64nvme"] == value
    found = s3.head_object(Bucket=bucket, Key="a", ChecksumMode="ENABLED")
    assert (found["ChecksumCRC64NVME"], found["ChecksumType"]) == (value, "FULL_OBJECT")


def test_a_wrong_md5_stores_nothing(front: Front, s3: Any, bucket: str) -> None:
    fields = signed_v4({"key": "a", "Content-MD5": md5_base64(b"else")}, bucket)
    file = FILE * 1_000_000
    assert refusal(post(front, bucket, fields, file)) == (400, "BadDigest")
    assert keys_in(s3, bucket) == []
    fields = signed_v4({"key": "a", "Content-MD5": md5_base64(file)}, bucket)
    assert post(front, bucket, fields, file).status == 204


# --- Clients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"signature_version": "s3v4"}], ids=["default", "v4"])
def test_what_boto3_prepares(front: Front, bucket: str, options: dict[str, str]) -> None:
    client = s3_client(front, **options)
    prepared = client.generate_presigned_post(
        bucket,
        "user/${filename}",
        Fields={"Content-Type": "image/png", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "image/png"},
            {"success_action_status": "201"},
            ["content-length-range", 1, 100],
        ],
    )
    url, fields = prepared["url"], prepared["fields"]
    send = partial(requests.request, "POST", url, data=fields, timeout=10, verify=front.verify)
    response = send(files={"file": ("a.png", FILE)})
    assert response.status_code == 201, response.text
    assert content_of(client, bucket, "user/a.png") == FILE
    response = send(files={"file": ("b.png", FILE * 10)})
    assert response.status_code == 400
    assert "<Code>EntityTooLarge</Code>" in response.text


def test_a_form_over_https_to_a_virtual_host(tls_front: Front, front: Front, bucket: str) -> None:
    assert tls_front.tls is not None
    fields = signed_v4({"key": "a", "success_action_status": "201"}, bucket)
    host = f"{bucket}.localhost:{tls_front.port}"
    with connected(tls_front) as connection:
        response = connection.exchange(form_request(host, "/", form_body(fields, FILE)))
    assert response.status == 201
    assert response.xml.findtext("Location") == f"https://{host}/a"


# --- What the form gets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "status"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204)]
)
def test_the_status_that_was_asked_for(front: Front, bucket: str, wanted: str, status: int) -> None:
    fields = signed_v4({"key": "a&b", "success_action_status": wanted}, bucket)
    response = post(front, bucket, fields)
    assert response.status == status
    if status != 201:
        assert response.body == b""
        return
    tree = response.xml
    assert tree.tag == "PostResponse"
    assert {node.tag: node.text for node in tree} == {
        "Location": f"{front.url}/{bucket}/a%26b",
        "Bucket": bucket,
        "Key": "a&b",
        "ETag": f'"{md5_hex(FILE)}"',
    }


@pytest.mark.parametrize("field", ["success_action_redirect", "redirect"])
@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("http://example.com/done", "http://example.com/done?{}"),
        ("https://example.com/done?a=b", "https://example.com/done?a=b&{}"),
        ("http://example.com/#x", "http://example.com/?{}#x"),
    ],
)
def test_the_page_that_was_asked_for(
    front: Front, bucket: str, field: str, page: str, expected: str
) -> None:
    fields = signed_v4({"key": "a b&c", field: page, "success_action_status": "200"}, bucket)
    response = post(front, bucket, fields)
    assert response.status == 303
    result = f"bucket={bucket}&key=a%20b%26c&etag=%22{md5_hex(FILE)}%22"
    assert response.headers["Location"] == expected.format(result)


@pytest.mark.parametrize("page", ["nowhere", "javascript:alert(1)", "http://", "http://[", "//x/"])
def test_a_page_that_is_none(front: Front, bucket: str, page: str) -> None:
    fields = signed_v4({"key": "a", "success_action_redirect": page}, bucket)
    assert post(front, bucket, fields).status == 204


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a:b\r\nSet-Cookie", "c"),
        ("Content-Type", "text/html\nX: y"),
        ("x-amz-meta-ü", "c"),
    ],
)
def test_nothing_of_a_form_gets_between_the_headers(
    front: Front, s3: Any, bucket: str, name: str, value: str
) -> None:
    marked = signed_v4({"key": "a", "marked": value}, bucket, ["starts-with", f"${name}", ""])
    fields = {name: value, **marked}
    error = post(front, bucket, fields).error
    assert error["Code"] in ("InvalidArgument", "MalformedPOSTRequest")
    assert keys_in(s3, bucket) == []


# --- What is refused ----------------------------------------------------------------------------


@SIGNERS
def test_a_foreign_bucket(front: Front, s3: Any, bucket: str, signed: Signed) -> None:
    fields = signed({"key": "a"}, bucket, key=FOREIGNER)
    assert refusal(post(front, bucket, fields)) == (403, "AccessDenied")
    assert keys_in(s3, bucket) == []


def test_nobody_may_without_a_signature(front: Front, s3: Any, bucket: str) -> None:
    assert refusal(post(front, bucket, {"key": "a"})) == (403, "AccessDenied")
    assert keys_in(s3, bucket) == []


@SIGNERS
def test_a_bucket_that_does_not_exist(front: Front, signed: Signed) -> None:
    fields = signed({"key": "a"}, "no-such-bucket")
    assert refusal(post(front, "no-such-bucket", fields)) == (404, "NoSuchBucket")


@SIGNERS
def test_a_policy_is_for_one_bucket(front: Front, bucket: str, signed: Signed) -> None:
    error = post(front, bucket, signed({"key": "a"}, "other-bucket")).error
    assert error["Code"] == "AccessDenied"
    assert error["Message"] == (
        'Invalid according to Policy: Policy Condition failed: ["eq", "$bucket", "other-bucket"]'
    )


@SIGNERS
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("key", "b", 'Policy Condition failed: ["eq", "$key", "a"]'),
        ("x-amz-meta-b", "c", "Extra input fields: x-amz-meta-b"),
        ("x-amz-acl", "private", "Extra input fields: x-amz-acl"),
    ],
)
def test_a_form_that_its_policy_does_not_allow(
    front: Front, s3: Any, bucket: str, signed: Signed, name: str, value: str, message: str
) -> None:
    fields = {**signed({"key": "a"}, bucket), name: value}
    error = post(front, bucket, fields).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["Message"] == f"Invalid according to Policy: {message}"
    assert keys_in(s3, bucket) == []


@SIGNERS
def test_a_policy_that_has_expired(front: Front, bucket: str, signed: Signed) -> None:
    error = post(front, bucket, signed({"key": "a"}, bucket, expires_seconds=-1)).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["Message"] == "Invalid according to Policy: Policy expired."


@SIGNERS
def test_a_wrong_signature_is_explained(front: Front, s3: Any, bucket: str, signed: Signed) -> None:
    fields = signed({"key": "a"}, bucket, key=AccessKey(OWNER.access_key, "wrong"))
    error = post(front, bucket, fields).error
    assert (error["status"], error["Code"]) == ("403", "SignatureDoesNotMatch")
    assert error["AWSAccessKeyId"] == OWNER.access_key
    assert error["StringToSign"] == fields["policy"]
    assert bytes.fromhex(error["StringToSignBytes"]).decode() == fields["policy"]
    assert error["SignatureProvided"] in fields.values()
    assert keys_in(s3, bucket) == []


@SIGNERS
def test_a_policy_that_was_changed(front: Front, bucket: str, signed: Signed) -> None:
    fields = signed({"key": "a"}, bucket)
    policy = base64.b64decode(fields["policy"]).replace(b'"key"', b'"Key"')
    changed = {**fields, "policy": base64.b64encode(policy).decode()}
    assert refusal(post(front, bucket, changed)) == (403, "SignatureDoesNotMatch")


@SIGNERS
def test_an_unknown_key(front: Front, bucket: str, signed: Signed) -> None:
    fields = signed({"key": "a"}, bucket, key=AccessKey("nobody", "secret"))
    error = post(front, bucket, fields).error
    assert (error["status"], error["Code"]) == ("403", "InvalidAccessKeyId")
    assert error["AWSAccessKeyId"] == "nobody"


@SIGNERS
def test_a_security_token_is_none_of_ours(front: Front, bucket: str, signed: Signed) -> None:
    fields = signed({"key": "a", "x-amz-security-token": "token"}, bucket)
    assert refusal(post(front, bucket, fields)) == (400, "InvalidToken")


@pytest.mark.parametrize(
    ("signed", "name", "shown"),
    [
        (signed_v4, "key", "key"),
        (signed_v4, "policy", "Policy"),
        (signed_v4, "x-amz-signature", "X-Amz-Signature"),
        (signed_v4, "x-amz-algorithm", "X-Amz-Algorithm"),
        (signed_v4, "x-amz-credential", "X-Amz-Credential"),
        (signed_v4, "x-amz-date", "X-Amz-Date"),
        (signed_v2, "key", "key"),
        (signed_v2, "policy", "policy"),
        (signed_v2, "signature", "Signature"),
        (signed_v2, "AWSAccessKeyId", "AWSAccessKeyId"),
    ],
)
def test_a_field_that_is_missing(
    front: Front, bucket: str, signed: Signed, name: str, shown: str
) -> None:
    fields = signed({"key": "a"}, bucket)
    del fields[name]
    error = post(front, bucket, fields).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == shown
    assert error["Message"].startswith(f"Bucket POST must contain a field named '{shown}'.  If")


@pytest.mark.parametrize(
    ("name", "pattern", "replacement"),
    [
        ("x-amz-algorithm", "HMAC", "ECDSA"),
        ("x-amz-credential", "/s3/", "/iam/"),
        ("x-amz-credential", "/aws4_request", ""),
        ("x-amz-date", "T", " "),
        ("x-amz-date", "^....", "1999"),
    ],
)
def test_a_field_of_the_signature_that_is_wrong(
    front: Front, bucket: str, name: str, pattern: str, replacement: str
) -> None:
    fields = signed_v4({"key": "a"}, bucket)
    fields[name] = re.sub(pattern, replacement, fields[name])
    expected = (400, "AuthorizationQueryParametersError")
    assert refusal(post(front, bucket, fields)) == expected


def test_only_one_signature(front: Front, bucket: str) -> None:
    fields = signed_v4({"key": "a"}, bucket)
    both = {**fields, "AWSAccessKeyId": "a", "signature": "b"}
    assert refusal(post(front, bucket, both)) == (400, "InvalidArgument")
    body = form_body(fields, FILE)
    signature = {"Authorization": "AWS accessKey1:signature"}
    for request in (
        form_request(host_of(front), f"/{bucket}", body, signature),
        form_request(host_of(front), f"/{bucket}?X-Amz-Signature=a", body),
        form_request(host_of(front), f"/{bucket}?Signature=a", body),
    ):
        assert refusal(exchange(front, request)) == (400, "InvalidArgument")


def test_a_policy_that_is_none(front: Front, bucket: str) -> None:
    """Its signature is right: that is not looked into before."""
    assert refusal(post(front, bucket, signed_v4({"key": "a"}, bucket, ["eq"]))) == (
        400,
        "InvalidPolicyDocument",
    )


@pytest.mark.parametrize(
    ("range_", "code", "limit"),
    [
        (("content-length-range", 19, 30), "EntityTooSmall", "MinSizeAllowed"),
        (("content-length-range", 0, 17), "EntityTooLarge", "MaxSizeAllowed"),
    ],
)
def test_a_file_of_a_wrong_size(
    front: Front, s3: Any, bucket: str, range_: tuple[Any], code: str, limit: str
) -> None:
    error = post(front, bucket, signed_v4({"key": "a"}, bucket, range_)).error
    assert (error["status"], error["Code"]) == ("400", code)
    assert error["ProposedSize"] == "18"
    assert int(error[limit]) in range_
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": ""}, (400, "InvalidArgument")),
        ({"key": "x" * 1025}, (400, "KeyTooLongError")),
        ({"key": "a\0b"}, (400, "InvalidArgument")),
        ({"key": "a", "acl": "aws-exec-read"}, (501, "NotImplemented")),
        ({"key": "a", "acl": "public-read"}, (400, "AccessControlListNotSupported")),
        ({"key": "a", "x-amz-server-side-encryption": "AES256"}, (501, "NotImplemented")),
        ({"key": "a", "x-amz-storage-class": "NONE"}, (400, "InvalidStorageClass")),
        ({"key": "a", "tagging": "<Tagging>"}, (400, "MalformedXML")),
        ({"key": "a", "x-amz-trailer": "x-amz-checksum-crc32"}, (400, "InvalidRequest")),
        ({"key": "a", "x-amz-meta-a": "x" * 2050}, (400, "MetadataTooLarge")),
    ],
)
def test_fields_that_no_object_can_have(
    front: Front, s3: Any, bucket: str, fields: dict[str, str], code: tuple[int, str]
) -> None:
    assert refusal(post(front, bucket, signed_v4(fields, bucket))) == code
    assert keys_in(s3, bucket) == []


def test_a_form_that_is_cut_off_stores_nothing(
    front: Front, shared_cluster: Cluster, s3: Any, bucket: str
) -> None:
    """Not even the blobs of the file that were complete before."""

    def large_blobs() -> set[Path]:
        data = shared_cluster.folder / "data"
        return {path for path in data.rglob("*") if path.is_file() and "segment" not in str(path)}

    before = large_blobs()
    body = form_body(signed_v4({"key": "a"}, bucket), FILE * 1_500_000)
    with Connection(front) as connection:
        request = bytes(form_request(host_of(front), f"/{bucket}", body))
        connection.send(request[:-100_000])
        connection.half_close()
        assert connection.receive("POST").status == 400
    truncated = form_request(host_of(front), f"/{bucket}", body[:-10])
    assert refusal(exchange(front, truncated)) == (400, "MalformedPOSTRequest")
    assert keys_in(s3, bucket) == []
    assert large_blobs() == before


def test_what_is_no_form(front: Front, bucket: str) -> None:
    for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}):
        error = anonymous(front, "POST", f"/{bucket}", b"key=a", headers).error
        assert (error["status"], error["Code"]) == ("412", "PreconditionFailed")
        assert error["Condition"].startswith("Bucket POST must be of the enclosure-type")


def test_the_owner_that_the_sender_expects(front: Front, bucket: str) -> None:
    body = form_body(signed_v4({"key": "a"}, bucket), FILE)
    headers = {"x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}
    request = form_request(host_of(front), f"/{bucket}", body, headers)
    assert refusal(exchange(front, request)) == (403, "AccessDenied")


def test_a_condition_on_the_object(front: Front, bucket: str) -> None:
    fields = signed_v4({"key": "a", "If-None-Match": "*"}, bucket)
    assert post(front, bucket, fields).status == 204
    assert refusal(post(front, bucket, fields)) == (412, "PreconditionFailed")


def test_a_connection_goes_on_after_a_refusal(front: Front, bucket: str) -> None:
    """The rest of a form that was refused is read and dropped."""
    refused = signed_v4({"key": "a"}, bucket, ("content-length-range", 0, 10))
    body = form_body(refused, FILE * 10_000)
    with connected(front) as connection:
        request = form_request(host_of(front), f"/{bucket}", body)
        assert refusal(connection.exchange(request)) == (400, "EntityTooLarge")
        body = form_body(signed_v4({"key": "a"}, bucket), FILE)
        request = form_request(host_of(front), f"/{bucket}", body)
        assert connection.exchange(request).status == 204
