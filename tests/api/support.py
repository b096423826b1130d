"""What the API tests share: names, expected errors, and keys that are hard to get right."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.auth.sigv4 import uri_encode
from s3front.bodies.checksums import Algorithm, encode_digest, new_checksum
from tests.endpoint import BUCKET_PREFIX
from tests.raw_http import Response, call
from tests.servers import Front

ACCOUNT_ID, OTHER_ACCOUNT_ID = "123456789012", "123456789013"
CANONICAL_ID = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

NO_VERSION = "aIBG064SeSC300000000001I4j3QKItW"
"""A version ID that was never made here."""

ODD_KEYS = (
    ".",
    "..",
    "../../etc/passwd",
    "a/./b",
    "a/../b",
    "a//b",
    "/leading",
    "//two leading",
    "trailing/",
    "trailing//",
    "trailing space ",
    " leading space",
    "a+b",
    "a%2Fb",
    "a%00b",
    "%",
    "%zz",
    "100%25",
    "a?b=c&d",
    "a#b",
    "a;b=c,d:e@f!g$h'i(j)*k",
    "<a>&\"b'</a>",
    "]]>",
    "back\\slash",
    "new\nline",
    "carriage\rreturn",
    "tab\tstop",
    "control\x01\x1f\x7f",
    "noncharacter\uffff",
    "grün",
    "日本語",
    "emoji \U0001f600",
    "combining e\u0301",
    "right-to-left \u202e",
    "\u2028 line separator",
    "highest \U0010ffff",
    "x" * 1024,
    "ü" * 512,
)
"""Keys as S3 allows them (Amazon S3 user guide, "Naming Amazon S3 objects")."""


def key_id(key: str) -> str:
    """A key as the name of a test."""
    return ascii(key)[1:-1] if len(key) < 50 else f"{ascii(key[0])[1:-1]} x {len(key)}"


def new_name() -> str:
    """A bucket name that nobody has used."""
    return f"{BUCKET_PREFIX}{uuid.uuid4().hex[:16]}"


def path_of(bucket: str, key: str | None = None) -> str:
    """The raw path of a bucket or object."""
    return f"/{bucket}" if key is None else f"/{bucket}/{uri_encode(key, keep_slash=True)}"


def error_of(call: Any, **arguments: Any) -> dict[str, Any]:
    """The error that a call of boto3 ends with, and its status."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response: dict[str, Any] = caught.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return {**response["Error"], "status": status}


def code_of(call: Any, **arguments: Any) -> tuple[int, str]:
    """Status and code of the error that a call of boto3 ends with."""
    error = error_of(call, **arguments)
    return error["status"], error["Code"]


def md5_base64(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def md5_hex(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def checksum_of(algorithm: Algorithm, data: bytes) -> str:
    """The value of a checksum header."""
    checksum = new_checksum(algorithm)
    checksum.update(data)
    return encode_digest(checksum.digest())


def checksum_headers(response: Response) -> dict[str, str]:
    """The headers of a response that begin so, names in lower case."""
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith("x-amz-checksum-")
    }


def checksum_members(found: dict[str, Any]) -> dict[str, str]:
    """What a parsed response says of checksums."""
    return {name: value for name, value in found.items() if name.startswith("Checksum")}


def put_all(s3: Any, bucket: str, keys: Any, body: bytes = b"") -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def set_versioning(s3: Any, bucket: str, status: str) -> None:
    """``Enabled`` or ``Suspended``."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def put_version(s3: Any, bucket: str, key: str, body: bytes) -> str:
    """The version ID of a new object, ``null`` when it got none."""
    version: str = s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "null")
    return version


def body_of(s3: Any, bucket: str, key: str, **version: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()
    return body


def versions_of(front: Front, bucket: str) -> list[tuple[str, str]]:
    """Key and version ID of every version of a small bucket, in the order of the listing, which
    botocore does not keep. Delete markers have a ``-`` before theirs, the latest a ``*``."""
    rows = []
    for node in call(front, "GET", f"/{bucket}?versions").xml:
        if node.tag in ("Version", "DeleteMarker"):
            mark = "-" if node.tag == "DeleteMarker" else ""
            latest = "*" if node.findtext("IsLatest") == "true" else ""
            rows.append((node.findtext("Key", ""), mark + latest + node.findtext("VersionId", "")))
    return rows


def keys_in(s3: Any, bucket: str) -> list[str]:
    """Every key of a small bucket."""
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
