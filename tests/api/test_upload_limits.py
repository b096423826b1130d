"""AWS's limits of uploads by parts, just inside and just outside: see test_limits."""

from __future__ import annotations

import pytest

from shared import limits
from tests.api.refusals import (
    LARGEST,
    MALFORMED_XML,
    Refusal,
    answer_to_size,
    argument,
    assert_refused,
    no_integer,
    not_between,
)
from tests.api.support import new_name
from tests.api.understood import assert_understood
from tests.etags import etag_of
from tests.raw_http import Response, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

PART_NUMBER = "Part number must be an integer between 1 and 10000, inclusive"
PART = b"part"
ETAG = etag_of(PART)


@pytest.fixture(scope="module")
def upload(front: Front) -> str:
    """The target of an upload with a part, in a bucket with the object ``source``."""
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    assert call(front, "PUT", f"/{bucket}/source", b"0123456789").status == 200
    begun = call(front, "POST", f"/{bucket}/key?uploads")
    target = f"/{bucket}/key?uploadId={begun.xml.findtext('UploadId')}"
    assert call(front, "PUT", f"{target}&partNumber=3", PART).status == 200
    return target


# --- ListParts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "said"), [(0, 0), (1, 1), (1000, 1000), (1001, 1000)])
def test_a_page_has_at_most_a_thousand_parts(
    front: Front, upload: str, sent: int, said: int
) -> None:
    response = call(front, "GET", f"{upload}&max-parts={sent}")
    assert response.xml.findtext("MaxParts") == str(said)
    assert_understood("ListParts", response)


@pytest.mark.parametrize("marker", ["", "0", "2", "3", "10000", str(LARGEST)])
def test_parts_behind_a_marker(front: Front, upload: str, marker: str) -> None:
    response = call(front, "GET", f"{upload}&part-number-marker={marker}")
    assert response.xml.findtext("PartNumberMarker") == (marker or "0")
    numbers = [node.text for node in response.xml.iterfind("Part/PartNumber")]
    assert numbers == (["3"] if int(marker or 0) < 3 else [])


@pytest.mark.parametrize("name", ["max-parts", "part-number-marker"])
def test_counts_and_markers_of_parts_are_integers(front: Front, upload: str, name: str) -> None:
    for value in ("x", "1.5", str(LARGEST + 1)):
        assert_refused(call(front, "GET", f"{upload}&{name}={value}"), no_integer(name, value))
    assert_refused(call(front, "GET", f"{upload}&{name}=-1"), not_between(name, "-1", 0))


# --- Parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1", "10000"])
def test_numbers_that_parts_may_have(front: Front, upload: str, number: str) -> None:
    copied = {"x-amz-copy-source": f"{bucket_of(upload)}/source"}
    target = f"{upload}&partNumber={number}"
    assert call(front, "PUT", target, b"", copied).status == 200
    response = call(front, "PUT", target, PART)
    assert response.status == 200
    assert_understood("UploadPart", response)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "1.0", "", str(2**32 + 1)])
def test_numbers_that_no_part_may_have(front: Front, upload: str, number: str) -> None:
    expected = argument("partNumber", number, PART_NUMBER)
    target = f"{upload}&partNumber={number}"
    copied = {"x-amz-copy-source": f"{bucket_of(upload)}/source"}
    assert_refused(call(front, "PUT", target, PART), expected)
    assert_refused(call(front, "PUT", target, b"", copied), expected)
    source = f"/{bucket_of(upload)}/source?partNumber={number}"
    assert_refused(call(front, "GET", source), expected)
    assert_refused(call(front, "HEAD", source), expected)


def test_the_size_of_a_part(front: Front, upload: str) -> None:
    most = limits.OBJECT_BYTES_MAX
    assert answer_to_size(front, "PUT", f"{upload}&partNumber=3", most) is None
    refused = answer_to_size(front, "PUT", f"{upload}&partNumber=3", most + 1)
    assert refused is not None
    fields = {"ProposedSize": str(most + 1), "MaxSizeAllowed": str(most)}
    message = "Your proposed upload exceeds the maximum allowed size"
    assert_refused(refused, Refusal("EntityTooLarge", message, fields))


def copy_range(front: Front, upload: str, text: str) -> Response:
    headers = {
        "x-amz-copy-source": f"{bucket_of(upload)}/source",
        "x-amz-copy-source-range": text,
    }
    return call(front, "PUT", f"{upload}&partNumber=5", b"", headers)


@pytest.mark.parametrize("text", ["bytes=0-0", "bytes=0-9", "bytes=9-9"])
def test_ranges_of_a_source(front: Front, upload: str, text: str) -> None:
    response = copy_range(front, upload, text)
    assert response.status == 200
    assert_understood("UploadPartCopy", response)


NAME = "x-amz-copy-source-range"
BEYOND = "Range specified is not valid for source object of size: 10"
NO_RANGE = (
    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last "
    "are the zero-based offsets of the first and last bytes to copy"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bytes=0-10", BEYOND),
        ("bytes=10-10", BEYOND),
        ("bytes=5-4", NO_RANGE),
        ("bytes=0-", NO_RANGE),
        ("bytes=-1", NO_RANGE),
        ("bytes=0-1,3-4", NO_RANGE),
        ("0-1", NO_RANGE),
        ("", NO_RANGE),
    ],
)
def test_what_is_no_range_of_a_source(front: Front, upload: str, text: str, message: str) -> None:
    assert_refused(copy_range(front, upload, text), argument(NAME, text, message))


# --- CompleteMultipartUpload --------------------------------------------------------------------


def rows(*parts: tuple[int | str, str]) -> str:
    return "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in parts
    )


def complete(
    front: Front, upload: str, content: str, headers: dict[str, str] | None = None
) -> Response:
    body = f"<CompleteMultipartUpload>{content}</CompleteMultipartUpload>".encode()
    return call(front, "POST", upload, body, headers)


NO_PARTS = Refusal("InvalidRequest", "You must specify at least one part")
OUT_OF_ORDER = "The list of parts was not in ascending order. Parts must be ordered by part number."
ABSENT = (
    "One or more of the specified parts could not be found.  The part may not have been uploaded, "
    "or the specified entity tag may not match the part's entity tag."
)


def test_no_part_at_all(front: Front, upload: str) -> None:
    assert_refused(call(front, "POST", upload), NO_PARTS)
    assert_refused(complete(front, upload, ""), NO_PARTS)


@pytest.mark.parametrize(
    "content",
    [
        "<Part><PartNumber>3</PartNumber></Part>",
        f"<Part><ETag>{ETAG}</ETag></Part>",
        rows(("x", ETAG)),
        rows(("", ETAG)),
        "<Other/>",
        "<Part>",
        rows(*((number, ETAG) for number in range(1, 10_002))),
    ],
    ids=lambda content: content[:40],
)
def test_a_document_that_lists_no_parts(front: Front, upload: str, content: str) -> None:
    assert_refused(complete(front, upload, content), MALFORMED_XML)


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_part_that_has_no_number(front: Front, upload: str, number: str) -> None:
    expected = argument("PartNumber", number, "PartNumber must be >= 1")
    assert_refused(complete(front, upload, rows((number, ETAG))), expected)


@pytest.mark.parametrize("numbers", [(3, 1), (3, 3), (1, 2, 2)])
def test_parts_out_of_order(front: Front, upload: str, numbers: tuple[int, ...]) -> None:
    fields = {"UploadId": upload.partition("=")[2]}
    expected = Refusal("InvalidPartOrder", OUT_OF_ORDER, fields)
    listed = rows(*((number, ETAG) for number in numbers))
    assert_refused(complete(front, upload, listed), expected)


@pytest.mark.parametrize(
    ("listed", "absent"),
    [
        ([(3, "0" * 32)], 0),
        ([(2, ETAG), (3, ETAG)], 0),
        ([(3, ETAG), (10_001, "etag")], 1),
        ([(number, ETAG) for number in range(3, 10_003)], 1),
    ],
    ids=["ETag", "not uploaded", "number", "10,000"],
)
def test_parts_that_are_not_there(
    front: Front, upload: str, listed: list[tuple[int, str]], absent: int
) -> None:
    number, etag = listed[absent]
    fields = {
        "UploadId": upload.partition("=")[2],
        "PartNumber": str(number),
        "ETag": etag.strip('"'),
    }
    refused = complete(front, upload, rows(*listed))
    assert_refused(refused, Refusal("InvalidPart", ABSENT, fields))


@pytest.fixture
def own_upload(front: Front, upload: str) -> str:
    """An upload of one test, with two small parts."""
    path = f"/{bucket_of(upload)}/own"
    begun = call(front, "POST", f"{path}?uploads")
    target = f"{path}?uploadId={begun.xml.findtext('UploadId')}"
    for number in (1, 10_000):
        assert call(front, "PUT", f"{target}&partNumber={number}", PART).status == 200
    return target


def test_a_part_that_is_too_small(front: Front, own_upload: str) -> None:
    refused = complete(front, own_upload, rows((1, ETAG), (10_000, ETAG)))
    fields = {
        "ProposedSize": str(len(PART)),
        "MinSizeAllowed": str(5 * 1024 * 1024),
        "PartNumber": "1",
        "ETag": ETAG.strip('"'),
    }
    message = "Your proposed upload is smaller than the minimum allowed size"
    assert_refused(refused, Refusal("EntityTooSmall", message, fields))


@pytest.mark.parametrize("number", [1, 10_000])
def test_any_number_may_be_the_only_one(front: Front, own_upload: str, number: int) -> None:
    response = complete(front, own_upload, rows((number, ETAG)))
    assert response.status == 200
    assert_understood("CompleteMultipartUpload", response)


OTHER_SIZE = (
    "The provided 'x-amz-mp-object-size' header value {} does not match what was computed: 4"
)
NO_SIZE = "Value for x-amz-mp-object-size header is invalid."


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("3", OTHER_SIZE),
        ("5", OTHER_SIZE),
        ("0", OTHER_SIZE),
        ("", NO_SIZE),
        ("-1", NO_SIZE),
        ("4.0", NO_SIZE),
        ("four", NO_SIZE),
    ],
)
def test_the_size_that_is_expected(front: Front, own_upload: str, size: str, message: str) -> None:
    listed = rows((1, ETAG))
    refused = complete(front, own_upload, listed, {"x-amz-mp-object-size": size})
    assert_refused(refused, Refusal("InvalidRequest", message.format(size)))
    assert complete(front, own_upload, listed, {"x-amz-mp-object-size": "4"}).status == 200


def bucket_of(upload: str) -> str:
    return upload.split("/")[1]
