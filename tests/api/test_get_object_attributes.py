"""GetObjectAttributes."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import NO_VERSION, checksum_of, md5_hex, new_name, put_all
from tests.etags import etag_of
from tests.multipart import upload_parts
from tests.raw_http import FOREIGNER, Response, anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODIES = {1: b"a" * (5 << 20), 2: b"b" * ((5 << 20) + 1), 3: b"end"}
SIZE = sum(map(len, BODIES.values()))
EVERYTHING = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


def ask(front: Front, target: str, attributes: str = EVERYTHING, **headers: str) -> Response:
    named = {f"x-amz-{name.replace('_', '-')}": value for name, value in headers.items()}
    sent = {"x-amz-object-attributes": attributes, **named}
    return call(front, "GET", f"{target}?attributes", headers=sent)


def attributes_of(response: Response) -> dict[str, Any]:
    """What botocore reads, without the members that are in every reply."""
    assert response.status == 200, response.body
    parsed = response.parsed("GetObjectAttributes")
    return {name: value for name, value in parsed.items() if name != "ResponseMetadata"}


def test_an_object(front: Front, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", ChecksumAlgorithm="SHA256")
    found = attributes_of(ask(front, f"/{bucket}/key"))
    modified = found.pop("LastModified")
    assert modified == s3.head_object(Bucket=bucket, Key="key")["LastModified"]
    assert found == {
        "ETag": md5_hex(b"body"),
        "Checksum": {
            "ChecksumSHA256": checksum_of(Algorithm.SHA256, b"body"),
            "ChecksumType": "FULL_OBJECT",
        },
        "StorageClass": "STANDARD",
        "ObjectSize": 4,
    }


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ("ETag", {"ETag"}),
        ("ObjectSize", {"ObjectSize"}),
        (" ObjectSize , ETag,", {"ObjectSize", "ETag"}),
        ("ETag,ETag", {"ETag"}),
        # The object has no parts.
        ("Checksum,ObjectParts", {"Checksum"}),
    ],
)
def test_only_what_is_asked_for(
    front: Front, bucket: str, attributes: str, names: set[str]
) -> None:
    call(front, "PUT", f"/{bucket}/key", b"body")
    found = attributes_of(ask(front, f"/{bucket}/key", attributes))
    assert set(found) - {"LastModified"} == names


def test_boto3_lists_the_attributes(s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    found = s3.get_object_attributes(
        Bucket=bucket, Key="key", ObjectAttributes=["ETag", "ObjectSize"]
    )
    assert (found["ETag"], found["ObjectSize"]) == (md5_hex(b"body"), 4)


@pytest.mark.parametrize("algorithm", [None, Algorithm.SHA1, Algorithm.CRC32C])
def test_parts(front: Front, bucket: str, algorithm: Algorithm | None) -> None:
    etag = upload_parts(front, f"/{bucket}/key", BODIES, algorithm)
    found = attributes_of(ask(front, f"/{bucket}/key"))
    rows: list[dict[str, Any]] = [
        {"PartNumber": number, "Size": len(body)} for number, body in BODIES.items()
    ]
    its = algorithm or Algorithm.CRC64NVME
    values = [checksum_of(its, body) for body in BODIES.values()]
    if algorithm is None:
        kind, whole = "FULL_OBJECT", checksum_of(its, b"".join(BODIES.values()))
    else:
        # Without the number of parts, which other calls add.
        kind, whole = "COMPOSITE", checksum_of(its, b"".join(map(b64decode, values)))
    assert found["Checksum"] == {f"Checksum{its}": whole, "ChecksumType": kind}
    for row, value in zip(rows, values, strict=True):
        row[f"Checksum{its}"] = value
    assert (found["ETag"], found["ObjectSize"]) == (etag.strip('"'), SIZE)
    assert found["ObjectParts"] == {
        "TotalPartsCount": 3,
        "PartNumberMarker": 0,
        "NextPartNumberMarker": 3,
        "MaxParts": 1000,
        "IsTruncated": False,
        "Parts": rows,
    }


@pytest.mark.parametrize(
    ("parts_max", "marker", "numbers", "truncated"),
    [
        ("2", "", [1, 2], True),
        ("2", "2", [3], False),
        ("1", "1", [2], True),
        ("3", "0", [1, 2, 3], False),
        ("0", "0", [], False),
        ("5000", "3", [], False),
        ("1000", "99999", [], False),
    ],
)
def test_pages_of_parts(
    front: Front, bucket: str, parts_max: str, marker: str, numbers: list[int], truncated: bool
) -> None:
    upload_parts(front, f"/{bucket}/key", BODIES)
    response = ask(
        front, f"/{bucket}/key", "ObjectParts", max_parts=parts_max, part_number_marker=marker
    )
    found = attributes_of(response)["ObjectParts"]
    assert [row["PartNumber"] for row in found.get("Parts", [])] == numbers
    assert found["IsTruncated"] is truncated
    assert found["MaxParts"] == min(int(parts_max), 1000)
    assert found["TotalPartsCount"] == 3
    assert found["NextPartNumberMarker"] == (numbers[-1] if numbers else 0)


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ("", "InvalidRequest"),
        (" , ", "InvalidRequest"),
        ("Etag", "InvalidArgument"),
        ("ETag,Owner", "InvalidArgument"),
    ],
)
def test_attributes_that_there_are_not(
    front: Front, s3: Any, bucket: str, attributes: str, code: str
) -> None:
    put_all(s3, bucket, ["key"])
    error = ask(front, f"/{bucket}/key", attributes).error
    assert (error["status"], error["Code"]) == ("400", code)


def test_the_header_is_required(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"])
    assert call(front, "GET", f"/{bucket}/key?attributes").error["Code"] == "InvalidRequest"


@pytest.mark.parametrize("value", ["-1", "x", "1.0", str(2**31)])
@pytest.mark.parametrize("name", ["max-parts", "part-number-marker"])
def test_what_is_no_number(front: Front, s3: Any, bucket: str, name: str, value: str) -> None:
    put_all(s3, bucket, ["key"])
    error = ask(front, f"/{bucket}/key", **{name: value}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == f"x-amz-{name}"


def test_conditions(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"], b"body")
    target, asked = f"/{bucket}/key?attributes", {"x-amz-object-attributes": "ETag"}
    unchanged = {**asked, "If-None-Match": etag_of(b"body")}
    assert call(front, "GET", target, headers=unchanged).status == 304
    error = call(front, "GET", target, headers={**asked, "If-Match": '"other"'}).error
    assert (error["status"], error["Condition"]) == ("412", "If-Match")


def test_absent_foreign_and_anonymous(front: Front, s3: Any, bucket: str) -> None:
    put_all(s3, bucket, ["key"])
    assert ask(front, f"/{bucket}/absent").error["Code"] == "NoSuchKey"
    assert ask(front, f"/{new_name()}/key").error["Code"] == "NoSuchBucket"
    target, asked = f"/{bucket}/key?attributes", {"x-amz-object-attributes": "ETag"}
    foreign = call(front, "GET", target, headers=asked, key=FOREIGNER)
    assert foreign.error["Code"] == "AccessDenied"
    assert anonymous(front, "GET", target, headers=asked).error["Code"] == "AccessDenied"
    version = call(front, "GET", f"{target}&versionId={NO_VERSION}", headers=asked)
    assert version.error["Code"] == "NoSuchVersion"
