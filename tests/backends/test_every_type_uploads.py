"""Uploads of parts, over a location of every type."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import body_of, code_of, path_of
from tests.backends.bodies import MIB, PART, body_of_size
from tests.backends.places import DISK, PLACE, Server, new_bucket
from tests.etags import etag_of
from tests.multipart import upload_parts
from tests.raw_http import call
from tests.servers import wait_for

BODIES = {1: body_of_size(PART, 1), 2: body_of_size(PART + 1, 2), 3: body_of_size(70_001, 3)}
WHOLE = b"".join(BODIES.values())


class Upload:
    """An upload of parts under way."""

    def __init__(self, s3: Any, bucket: str, key: str = "key", **options: Any) -> None:
        address = {"Bucket": bucket, "Key": key}
        self.s3 = s3
        self.address = address
        self.names = {
            **address,
            "UploadId": s3.create_multipart_upload(**address, **options)["UploadId"],
        }
        self.parts: dict[int, str] = {}

    def put(self, number: int, body: bytes, **options: Any) -> str:
        stored = self.s3.upload_part(**self.names, PartNumber=number, Body=body, **options)
        etag: str = stored["ETag"]
        self.parts[number] = etag
        return etag

    def copy(self, number: int, source: dict[str, str], **options: Any) -> str:
        copied = self.s3.upload_part_copy(
            **self.names, PartNumber=number, CopySource=source, **options
        )
        etag: str = copied["CopyPartResult"]["ETag"]
        self.parts[number] = etag
        return etag

    def named(self, *numbers: int) -> dict[str, Any]:
        """The document that completes it."""
        chosen = numbers or sorted(self.parts)
        return {"Parts": [{"PartNumber": each, "ETag": self.parts[each]} for each in chosen]}

    def complete(self, *numbers: int) -> dict[str, Any]:
        done: dict[str, Any] = self.s3.complete_multipart_upload(
            **self.names, MultipartUpload=self.named(*numbers)
        )
        return done

    def abort(self) -> None:
        self.s3.abort_multipart_upload(**self.names)

    def listed(self) -> list[tuple[int, int]]:
        """Number and size of the parts that are there."""
        rows = self.s3.list_parts(**self.names).get("Parts", ())
        return [(row["PartNumber"], row["Size"]) for row in rows]


def test_parts_become_an_object(at: Server, s3: Any, bucket: str) -> None:
    with at.left_nothing():
        upload_parts(at.front, f"/{bucket}/key", BODIES)
        for front in at.fronts:
            assert call(front, "GET", f"/{bucket}/key").body == WHOLE
        for number, body in BODIES.items():
            found = s3.get_object(Bucket=bucket, Key="key", PartNumber=number)
            assert (found["Body"].read(), found["PartsCount"]) == (body, 3)
        s3.delete_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (PART - 1, PART), (PART, PART), (10, 2 * PART + 5), (2 * PART + 1, len(WHOLE) - 1)],
)
def test_a_range_over_parts(at: Server, s3: Any, bucket: str, start: int, end: int) -> None:
    upload_parts(at.front, f"/{bucket}/key", BODIES)
    found = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={start}-{end}")
    assert found["Body"].read() == WHOLE[start : end + 1]


def test_parts_in_another_order_and_numbers_with_gaps(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    numbers = {7: BODIES[1], 500: BODIES[2], 10_000: BODIES[3]}
    for number in (10_000, 7, 500):
        upload.put(number, numbers[number])
    assert upload.listed() == [(number, len(body)) for number, body in numbers.items()]
    upload.complete()
    assert body_of(s3, bucket, "key") == WHOLE
    for number, body in enumerate(numbers.values(), 1):
        assert s3.get_object(**upload.address, PartNumber=number)["Body"].read() == body


def test_a_part_that_is_sent_again_counts(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    upload.put(1, body_of_size(PART, 8))
    upload.put(2, body_of_size(PART, 9))
    upload.put(1, BODIES[1])
    upload.put(2, BODIES[3])
    assert upload.listed() == [(1, PART), (2, len(BODIES[3]))]
    upload.complete()
    assert body_of(s3, bucket, "key") == BODIES[1] + BODIES[3]
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


def test_parts_that_are_left_out_are_removed(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    for number, body in BODIES.items():
        upload.put(number, body)
    upload.complete(1, 3)
    assert body_of(s3, bucket, "key") == BODIES[1] + BODIES[3]
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


@pytest.mark.parametrize("bodies", [{1: b""}, {1: b"x"}, {1: BODIES[1], 2: b""}], ids=len)
def test_small_and_empty_last_parts(
    at: Server, s3: Any, bucket: str, bodies: dict[int, bytes]
) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    for number, body in bodies.items():
        upload.put(number, body)
    upload.complete()
    assert body_of(s3, bucket, "key") == b"".join(bodies.values())
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


def test_an_upload_that_is_aborted_leaves_nothing(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    upload.put(1, BODIES[1])
    upload.put(2, BODIES[3])
    upload.abort()
    assert code_of(s3.upload_part, **upload.names, PartNumber=3, Body=b"x") == (404, "NoSuchUpload")
    assert code_of(s3.list_parts, **upload.names) == (404, "NoSuchUpload")
    assert code_of(s3.get_object, **upload.address) == (404, "NoSuchKey")
    at.wait_until_holding(before)


@pytest.mark.parametrize("key", ["control\x01", "lines\r\n", "\ufffe"], ids=ascii)
def test_a_key_that_xml_cannot_have(at: Server, s3: Any, bucket: str, key: str) -> None:
    """However often it is sent, others are served."""
    target = path_of(bucket, key)

    def begun() -> str:
        response = call(at.front, "POST", f"{target}?uploads")
        assert response.status == 200
        return response.body.partition(b"<UploadId>")[2].partition(b"<")[0].decode()

    with at.left_nothing():
        for _ in range(6):
            assert call(at.front, "DELETE", f"{target}?uploadId={begun()}").status == 204
        upload_id = begun()
        part = call(at.front, "PUT", f"{target}?partNumber=1&uploadId={upload_id}", b"body")
        etag = part.headers["ETag"]
        parts = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        assert call(at.front, "POST", f"{target}?uploadId={upload_id}", document).status == 200
        assert call(at.front, "GET", target).body == b"body"
        s3.put_object(Bucket=bucket, Key="other", Body=b"other")
        assert body_of(s3, bucket, "other") == b"other"
        s3.delete_object(Bucket=bucket, Key="other")
        assert call(at.front, "DELETE", target).status == 204


def test_an_upload_with_no_part_is_aborted(at: Server, s3: Any, bucket: str) -> None:
    with at.left_nothing():
        Upload(s3, bucket).abort()


def test_completing_it_twice_answers_the_same(s3: Any, bucket: str) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, BODIES[1])
    upload.put(2, BODIES[3])
    etag = upload.complete()["ETag"]
    assert upload.complete()["ETag"] == etag
    assert body_of(s3, bucket, "key") == BODIES[1] + BODIES[3]


def test_what_cannot_be_completed(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    upload.put(1, b"too small")
    upload.put(2, BODIES[3])
    refused = {
        "EntityTooSmall": upload.named(1, 2),
        "InvalidPartOrder": upload.named(2, 1),
        "InvalidPart": {"Parts": [{"PartNumber": 1, "ETag": etag_of(b"other")}]},
    }
    for code, document in refused.items():
        complete = {**upload.names, "MultipartUpload": document}
        assert code_of(s3.complete_multipart_upload, **complete) == (400, code)
    never = {"Parts": [{"PartNumber": 9, "ETag": upload.parts[1]}]}
    complete = {**upload.names, "MultipartUpload": never}
    assert code_of(s3.complete_multipart_upload, **complete) == (400, "InvalidPart")
    upload.complete(2)
    assert body_of(s3, bucket, "key") == BODIES[3]
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


def test_several_uploads_of_one_key(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    first, second = Upload(s3, bucket), Upload(s3, bucket)
    for upload, seed in ((first, 1), (second, 2)):
        upload.put(1, body_of_size(PART, seed))
    s3.put_object(**first.address, Body=b"between")
    second.complete()
    assert body_of(s3, bucket, "key") == body_of_size(PART, 2)
    first.complete()
    assert body_of(s3, bucket, "key") == body_of_size(PART, 1)
    wait_for(lambda: len(at.blobs() - before) == 1, "what was overwritten to be removed")


def test_what_is_said_of_the_object(s3: Any, bucket: str) -> None:
    said: dict[str, Any] = {"ContentType": "text/plain", "Metadata": {"a": "b"}}
    upload = Upload(s3, bucket, **said, Tagging="t=1")
    upload.put(1, BODIES[3])
    upload.complete()
    found = s3.get_object(**upload.address)
    assert said.items() <= found.items()
    assert found["TagCount"] == 1
    assert found["Body"].read() == BODIES[3]


def test_the_location_that_an_upload_chooses(at: Server, s3: Any, bucket: str) -> None:
    """The header of its beginning counts (manual, 2.3)."""
    name = new_bucket(s3, DISK)
    before = at.blobs()
    upload = Upload(s3, name, Metadata={"scal-location-constraint": PLACE})
    upload.put(1, BODIES[3])
    upload.complete()
    assert len(at.blobs() - before) == 1
    assert body_of(s3, name, "key") == BODIES[3]
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_checksums_of_parts(at: Server, s3: Any, bucket: str, algorithm: Algorithm) -> None:
    upload_parts(at.front, f"/{bucket}/key", BODIES, algorithm)
    found = s3.get_object_attributes(
        Bucket=bucket, Key="key", ObjectAttributes=["Checksum", "ObjectParts", "ObjectSize"]
    )
    assert found["ObjectSize"] == len(WHOLE)
    assert f"Checksum{algorithm}" in found["Checksum"]
    assert body_of(s3, bucket, "key") == WHOLE


def test_a_part_with_a_wrong_digest_leaves_nothing(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    upload = Upload(s3, bucket)
    wrong = {"PartNumber": 1, "Body": BODIES[3], "ContentMD5": "A" * 22 + "=="}
    assert code_of(s3.upload_part, **upload.names, **wrong) == (400, "BadDigest")
    assert upload.listed() == []
    upload.put(1, BODIES[1])
    assert code_of(s3.upload_part, **upload.names, **wrong) == (400, "BadDigest")
    assert upload.listed() == [(1, PART)]
    upload.complete()
    assert body_of(s3, bucket, "key") == BODIES[1]
    s3.delete_object(**upload.address)
    at.wait_until_holding(before)


@pytest.mark.parametrize("location", [PLACE, DISK])
@pytest.mark.parametrize("ends", [None, (0, 4), (65_535, 70_000)])
def test_parts_are_copied(
    s3: Any, bucket: str, location: str, ends: tuple[int, int] | None
) -> None:
    """From a location of another type, and the same."""
    source = {"Bucket": new_bucket(s3, location), "Key": "source"}
    s3.put_object(**source, Body=BODIES[3])
    upload = Upload(s3, bucket)
    upload.put(1, BODIES[1])
    wanted = {} if ends is None else {"CopySourceRange": f"bytes={ends[0]}-{ends[1]}"}
    part = BODIES[3] if ends is None else BODIES[3][ends[0] : ends[1] + 1]
    assert upload.copy(2, source, **wanted) == etag_of(part)
    upload.complete()
    assert body_of(s3, bucket, "key") == BODIES[1] + part


def test_parts_are_copied_to_a_location_of_another_type(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=body_of_size(6 * MIB))
    upload = Upload(s3, new_bucket(s3, DISK))
    source = {"Bucket": bucket, "Key": "source"}
    upload.copy(1, source, CopySourceRange=f"bytes=5-{PART + 4}")
    upload.copy(2, source)
    upload.complete()
    body = body_of_size(6 * MIB)
    assert body_of(s3, upload.address["Bucket"], "key") == body[5 : PART + 5] + body


def test_a_part_of_an_object_of_parts_is_copied(at: Server, s3: Any, bucket: str) -> None:
    upload_parts(at.front, f"/{bucket}/source", BODIES)
    upload = Upload(s3, bucket)
    start, end = PART - 10, 2 * PART + 20
    source = {"Bucket": bucket, "Key": "source"}
    upload.copy(1, source, CopySourceRange=f"bytes={start}-{end}")
    upload.complete()
    assert body_of(s3, bucket, "key") == WHOLE[start : end + 1]


def test_a_bucket_goes_with_its_uploads(at: Server, s3: Any, bucket: str) -> None:
    before = at.blobs()
    Upload(s3, bucket).put(1, BODIES[3])
    s3.delete_bucket(Bucket=bucket)
    at.wait_until_holding(before)
