"""Checksums of multipart uploads: which can be chosen, what parts need, what the object gets."""

from __future__ import annotations

import base64
import json
from itertools import product

import pytest

from s3front.bodies.checksums import Algorithm
from shared.records.upload import part_key, uploads_level
from tests.api.support import checksum_headers, checksum_members, checksum_of
from tests.faults.stores import call_metadata, stored_records
from tests.multipart import Send, begin_upload, completion, send_part
from tests.raw_http import Response, call
from tests.servers import Cluster, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODIES = {1: b"a" * (5 << 20), 3: b"end"}
WHOLE = b"".join(BODIES.values())
ENABLED = {"x-amz-checksum-mode": "ENABLED"}
CRCS = (Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME)
ALLOWED = {
    *((algorithm, "COMPOSITE") for algorithm in Algorithm if algorithm is not Algorithm.CRC64NVME),
    *((algorithm, "FULL_OBJECT") for algorithm in CRCS),
}
"""Amazon S3 user guide, "Checking object integrity": only CRCs can be combined to that of a whole,
and CRC64NVME is nothing else."""

algorithms = pytest.mark.parametrize("algorithm", Algorithm)


@pytest.fixture
def target(bucket: str) -> str:
    return f"/{bucket}/key"


@pytest.fixture
def send(front: Front) -> Send:
    def sent(
        method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Response:
        length = {"Content-Length": str(len(body))} if method == "PUT" else {}
        return call(front, method, target, body, {**length, **(headers or {})})

    return sent


def choice(algorithm: Algorithm, kind: str | None = None) -> dict[str, str]:
    """The headers that begin an upload with it."""
    chosen = {"x-amz-checksum-algorithm": algorithm.value}
    return chosen if kind is None else {**chosen, "x-amz-checksum-type": kind}


def declared(algorithm: Algorithm | None, body: bytes) -> dict[str, str]:
    return {} if algorithm is None else {algorithm.header: checksum_of(algorithm, body)}


def composite(algorithm: Algorithm) -> str:
    digests = [base64.b64decode(checksum_of(algorithm, body)) for body in BODIES.values()]
    return checksum_of(algorithm, b"".join(digests))


def refused(response: Response) -> str:
    """The message of an InvalidRequest."""
    assert (response.status, response.error["Code"]) == (400, "InvalidRequest")
    return response.error["Message"]


# --- Beginning -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), [*product(Algorithm, ("COMPOSITE", "FULL_OBJECT"))])
def test_which_types_an_algorithm_has(
    send: Send, target: str, algorithm: Algorithm, kind: str
) -> None:
    headers = {"x-amz-checksum-algorithm": algorithm.lower(), "x-amz-checksum-type": kind.title()}
    response = send("POST", f"{target}?uploads", b"", headers)
    if (algorithm, kind) in ALLOWED:
        assert response.status == 200
        assert checksum_headers(response) == choice(algorithm, kind)
    else:
        assert refused(response) == (
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum "
            "algorithm."
        )


@algorithms
def test_the_type_that_an_algorithm_has_by_default(
    send: Send, target: str, algorithm: Algorithm
) -> None:
    response = send("POST", f"{target}?uploads", b"", choice(algorithm))
    kind = "FULL_OBJECT" if algorithm is Algorithm.CRC64NVME else "COMPOSITE"
    assert checksum_headers(response) == choice(algorithm, kind)
    upload_id = response.xml.findtext("UploadId")
    for reply, operation in (
        (send("GET", f"{target}?uploadId={upload_id}"), "ListParts"),
        (send("GET", target.removesuffix("key") + "?uploads"), "ListMultipartUploads"),
    ):
        parsed = reply.parsed(operation)
        found = parsed["Uploads"][0] if "Uploads" in parsed else parsed
        assert checksum_members(found) == {
            "ChecksumAlgorithm": algorithm.value,
            "ChecksumType": kind,
        }


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {"x-amz-checksum-type": "COMPOSITE"},
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm "
            "header.",
        ),
        ({"x-amz-checksum-type": "WHOLE"}, "Value for x-amz-checksum-type header is invalid."),
        (
            choice(Algorithm.CRC32, "WHOLE"),
            "Value for x-amz-checksum-type header is invalid.",
        ),
        (
            {"x-amz-checksum-algorithm": "MD4"},
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            "types: [CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, "
            "XXHASH64]",
        ),
    ],
)
def test_choices_that_there_are_not(
    send: Send, target: str, headers: dict[str, str], message: str
) -> None:
    assert refused(send("POST", f"{target}?uploads", b"", headers)) == message


# --- An upload that chose an algorithm -----------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), sorted(ALLOWED))
def test_the_checksum_of_the_whole(
    send: Send, target: str, algorithm: Algorithm, kind: str
) -> None:
    upload_id = begin_upload(send, target, choice(algorithm, kind))
    for number, body in BODIES.items():
        given = declared(algorithm, body)
        response = send_part(send, target, upload_id, number, body, given)
        assert checksum_headers(response) == given
    listed = send("GET", f"{target}?uploadId={upload_id}").parsed("ListParts")["Parts"]
    name = f"Checksum{algorithm}"
    assert [checksum_members(part) for part in listed] == [
        {name: checksum_of(algorithm, body)} for body in BODIES.values()
    ]
    document = completion(BODIES, algorithm)
    answer = send("POST", f"{target}?uploadId={upload_id}", document)
    full = kind == "FULL_OBJECT"
    value = checksum_of(algorithm, WHOLE) if full else f"{composite(algorithm)}-2"
    parsed = answer.parsed("CompleteMultipartUpload")
    assert checksum_members(parsed) == {name: value, "ChecksumType": kind}
    found = send("HEAD", target, b"", ENABLED)
    assert checksum_headers(found) == {algorithm.header: value, "x-amz-checksum-type": kind}
    asked = {"x-amz-object-attributes": "Checksum"}
    attributes = send("GET", f"{target}?attributes", b"", asked).parsed("GetObjectAttributes")
    assert attributes["Checksum"] == {name: value.partition("-")[0], "ChecksumType": kind}


@pytest.mark.parametrize(("algorithm", "kind"), sorted(ALLOWED))
def test_a_part_without_a_checksum(
    send: Send, target: str, algorithm: Algorithm, kind: str
) -> None:
    upload_id = begin_upload(send, target, choice(algorithm, kind))
    response = send_part(send, target, upload_id, 1, b"body")
    if kind == "FULL_OBJECT":
        assert checksum_headers(response) == declared(algorithm, b"body")
        answer = send("POST", f"{target}?uploadId={upload_id}", completion({1: b"body"}))
        assert answer.xml.findtext(f"Checksum{algorithm}") == checksum_of(algorithm, b"body")
    else:
        assert refused(response) == (
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, actual "
            "checksum Type: null"
        )


def test_a_part_with_another_checksum(send: Send, target: str) -> None:
    upload_id = begin_upload(send, target, choice(Algorithm.CRC32, "FULL_OBJECT"))
    given = declared(Algorithm.SHA512, b"body")
    assert refused(send_part(send, target, upload_id, 1, b"body", given)) == (
        "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: "
        "sha512"
    )


def test_a_composite_checksum_needs_those_of_the_parts_again(send: Send, target: str) -> None:
    algorithm = Algorithm.XXHASH3
    upload_id = begin_upload(send, target, choice(algorithm))
    send_part(send, target, upload_id, 2, b"body", declared(algorithm, b"body"))
    finish = f"{target}?uploadId={upload_id}"
    assert refused(send("POST", finish, completion({2: b"body"}))) == (
        "The upload was created using a xxhash3 checksum. The complete request must include the "
        "checksum for each part. It was missing for part 2 in the request."
    )
    right = completion({2: b"body"}, algorithm)
    wrong = right.replace(checksum_of(algorithm, b"body").encode(), b"AAAAAAAAAAA=")
    assert send("POST", finish, wrong).error["Code"] == "InvalidPart"
    assert send("POST", finish, right).status == 200


@algorithms
def test_copied_parts(send: Send, target: str, algorithm: Algorithm) -> None:
    assert send("PUT", target, b"body").status == 200
    upload_id = begin_upload(send, target, choice(algorithm))
    response = send_part(send, target, upload_id, 1, b"", {"x-amz-copy-source": target})
    value = checksum_of(algorithm, b"body")
    assert checksum_members(response.parsed("UploadPartCopy")["CopyPartResult"]) == {
        f"Checksum{algorithm}": value
    }


# --- An upload that chose none -------------------------------------------------------------------


def test_an_upload_that_chose_nothing_gets_the_default(send: Send, target: str) -> None:
    """Every part may be verified by another algorithm, which is not the upload's."""
    begun = send("POST", f"{target}?uploads")
    assert checksum_headers(begun) == {}
    upload_id = begun.xml.findtext("UploadId", "")
    bodies = {1: BODIES[1], 2: BODIES[1], 3: BODIES[1], 4: b"end"}
    senders = (None, Algorithm.SHA1, Algorithm.CRC64NVME, Algorithm.MD5)
    for (number, body), algorithm in zip(bodies.items(), senders, strict=True):
        given = declared(algorithm, body)
        assert checksum_headers(send_part(send, target, upload_id, number, body, given)) == given
    listed = send("GET", f"{target}?uploadId={upload_id}").parsed("ListParts")
    assert checksum_members(listed) == {}
    assert [checksum_members(part) for part in listed["Parts"]] == [{}] * 4
    answer = send("POST", f"{target}?uploadId={upload_id}", completion(bodies))
    value = checksum_of(Algorithm.CRC64NVME, b"".join(bodies.values()))
    expected = {"ChecksumCRC64NVME": value, "ChecksumType": "FULL_OBJECT"}
    assert checksum_members(answer.parsed("CompleteMultipartUpload")) == expected
    assert checksum_members(send("HEAD", target, b"", ENABLED).parsed("HeadObject")) == expected


def test_copied_parts_of_an_upload_that_chose_nothing(send: Send, target: str) -> None:
    given = declared(Algorithm.SHA1, b"body")
    assert send("PUT", target, b"body", given).status == 200
    upload_id = begin_upload(send, target)
    response = send_part(send, target, upload_id, 1, b"", {"x-amz-copy-source": target})
    assert checksum_members(response.parsed("UploadPartCopy")["CopyPartResult"]) == {}
    answer = send("POST", f"{target}?uploadId={upload_id}", completion({1: b"body"}))
    value = checksum_of(Algorithm.CRC64NVME, b"body")
    assert answer.xml.findtext("ChecksumCRC64NVME") == value


def test_a_part_may_be_named_with_the_checksum_it_was_sent_with(send: Send, target: str) -> None:
    upload_id = begin_upload(send, target)
    send_part(send, target, upload_id, 1, b"body", declared(Algorithm.CRC32, b"body"))
    document = completion({1: b"body"}, Algorithm.CRC32)
    assert send("POST", f"{target}?uploadId={upload_id}", document).status == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (declared(Algorithm.CRC64NVME, b"body"), None),
        (declared(Algorithm.CRC64NVME, b"else"), "BadDigest"),
        (declared(Algorithm.CRC32, b"body"), "InvalidRequest"),
        ({"x-amz-checksum-type": "FULL_OBJECT"}, "InvalidRequest"),
    ],
)
def test_what_the_completion_of_one_says_of_the_object(
    send: Send, target: str, headers: dict[str, str], code: str | None
) -> None:
    upload_id = begin_upload(send, target)
    send_part(send, target, upload_id, 1, b"body")
    document = completion({1: b"body"})
    response = send("POST", f"{target}?uploadId={upload_id}", document, headers)
    if code is None:
        assert response.status == 200
    else:
        assert (response.status, response.error["Code"]) == (400, code)
        assert send("HEAD", target).status == 404


def test_parts_from_before_there_was_a_default(
    send: Send, target: str, bucket: str, shared_cluster: Cluster
) -> None:
    """Their records have no checksum; the object goes without."""
    upload_id = begin_upload(send, target)
    send_part(send, target, upload_id, 1, b"body")
    level, key = uploads_level(bucket), part_key(upload_id, 1)
    record = stored_records(shared_cluster, [level])[level][key]
    assert list(record.pop("checksum")) == ["CRC64NVME"]
    call_metadata(shared_cluster, "put", [key, json.dumps(record), {}], [level])
    answer = send("POST", f"{target}?uploadId={upload_id}", completion({1: b"body"}))
    assert answer.status == 200
    assert checksum_members(answer.parsed("CompleteMultipartUpload")) == {}
    assert checksum_headers(send("HEAD", target, b"", ENABLED)) == {}
