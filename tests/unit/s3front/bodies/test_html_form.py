"""A form as it arrives: its fields, and its file, however the bytes are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.post_policy import SizeRange
from s3front.bodies.html_form import FormFile, read_form
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from shared import limits
from tests.forms import BOUNDARY, form_body
from tests.unit.s3front.pieces import Pieces

TYPE = f'multipart/form-data; boundary="{BOUNDARY}"'


def request_of(pieces: Sequence[bytes], content_type: str = TYPE) -> Request:
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": content_type}))
    return Request("POST", "/bucket", headers, Pieces(pieces), "127.0.0.1", secure=False)


def cut(body: bytes, *positions: int) -> list[bytes]:
    return [body[start:end] for start, end in pairwise((0, *positions, len(body))) if end > start]


async def read(
    pieces: Sequence[bytes], sizes: SizeRange | None = None, content_type: str = TYPE
) -> tuple[dict[str, str], bytes]:
    """The fields and the file."""
    form = await read_form(request_of(pieces, content_type))
    file = FormFile(form, sizes or SizeRange())
    return dict(form.fields), b"".join([block async for block in file.blocks()])


async def refusal(body: bytes, sizes: SizeRange | None = None, content_type: str = TYPE) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await read([body], sizes, content_type)
    return caught.value


# Nearly the boundary, again and again.
FILE = f"line\r\n--{BOUNDARY[:-1]}\r\n--\r\r\n--\n\r".encode() * 2
FIELDS = {"key": "a\r\nb", "Content-Type": "text/plain", "empty": "", "policy": "${filename}"}
BODY = form_body(FIELDS, FILE, [("submit", "Upload")])
EXPECTED = {name.lower(): value for name, value in FIELDS.items()}


async def test_every_cut_of_the_same_bytes_is_the_same_form() -> None:
    assert await read([BODY]) == (EXPECTED, FILE)
    for position in range(1, len(BODY)):
        assert await read(cut(BODY, position)) == (EXPECTED, FILE), position
    for width in (1, 2, 3, 7, 19, 64):
        assert await read(cut(BODY, *range(width, len(BODY), width))) == (EXPECTED, FILE), width


@pytest.mark.parametrize("file", [b"", b"\r\n", b"--", b"\r\n--", b"\0\xff"])
async def test_files_that_are_nearly_nothing(file: bytes) -> None:
    assert await read([form_body({"key": "a"}, file)]) == ({"key": "a"}, file)


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("a.txt", "x/a.txt"),
        ("C:\\\\Program Files\\\\a.txt", "x/a.txt"),
        ("/home/user/a.txt", "x/a.txt"),
        ("grün.txt", "x/grün.txt"),
        ("", "x/"),
    ],
)
async def test_the_name_of_the_file_in_fields(filename: str, key: str) -> None:
    fields, _ = await read([form_body({"key": "x/${filename}"}, b"", filename=filename)])
    assert fields == {"key": key}


async def test_a_field_that_is_repeated() -> None:
    body = form_body({"key": "a"}, None).replace(f"--{BOUNDARY}--\r\n".encode(), b"")
    assert (await read([body + form_body({"KEY": "b"}, b"")]))[0] == {"key": "a,b"}


async def test_what_surrounds_a_form_is_ignored() -> None:
    body = form_body({"key": "a"}, b"file")
    assert await read([b"preamble\r\n" + body + b"epi", b"logue"]) == ({"key": "a"}, b"file")
    assert await read([body.removesuffix(b"\r\n")]) == ({"key": "a"}, b"file")


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"]
)
async def test_what_is_no_form(content_type: str) -> None:
    error = await refusal(BODY, content_type=content_type)
    assert error.code == "PreconditionFailed"
    assert error.fields["Condition"].endswith("enclosure-type multipart/form-data")


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=é"],
)
async def test_a_form_without_a_boundary(content_type: str) -> None:
    assert (await refusal(BODY, content_type=content_type)).code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        BODY.replace(b"\r\n", b"\n"),
        form_body({"key": "a"}, b"file").removesuffix(f"--{BOUNDARY}--\r\n".encode()),
        form_body({"key": "a"}, b"file")[:-4],
        form_body({"key": "a"}, b"file").replace(b"form-data; ", b"attachment; "),
        form_body({"key": "a"}, b"file").replace(b"Content-Disposition", b"Content-Else"),
        form_body({"key": "ABC"}, b"file").replace(b"ABC", b"\xff\xfe\xfd"),
        form_body({"key": "a"}, b"file", [("late", "x" * limits.FORM_FIELDS_BYTES_MAX + "x")]),
        # A boundary must not occur in a file (RFC 2046, section 5.1.1).
        form_body({"key": "a"}, f"\r\n--{BOUNDARY}x".encode()),
    ],
)
async def test_a_form_that_is_malformed(body: bytes) -> None:
    assert (await refusal(body)).code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (form_body({"key": "a"}, None), "0"),
        (form_body({"key": "a"}, b"one", [("file", "two")]), "2"),
    ],
)
async def test_a_form_has_one_file(body: bytes, found: str) -> None:
    error = await refusal(body)
    assert error.code == "IncorrectNumberOfFilesInPostRequest"
    assert error.fields["ArgumentValue"] == found


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "a" * limits.FORM_FIELDS_BYTES_MAX},
        {f"x-ignore-{number}": "a" * 2000 for number in range(20)},
        {str(number): "" for number in range(limits.FORM_FIELDS_MAX + 1)},
        {"x" * 10_000: ""},
    ],
)
async def test_fields_that_are_too_large(fields: dict[str, str]) -> None:
    error = await refusal(form_body(fields, b""))
    assert error.code == "MaxPostPreDataLengthExceeded"
    assert error.fields["MaxPostPreDataLengthBytes"] == "20480"


@pytest.mark.parametrize(
    ("size", "sizes", "code"),
    [
        (4, SizeRange(5, 10), "EntityTooSmall"),
        (11, SizeRange(5, 10), "EntityTooLarge"),
        (1, SizeRange(0, 0), "EntityTooLarge"),
    ],
)
async def test_a_file_of_a_wrong_size(size: int, sizes: SizeRange, code: str) -> None:
    error = await refusal(form_body({"key": "a"}, b"x" * size), sizes)
    assert error.code == code
    assert error.fields["ProposedSize"] == str(size)


@pytest.mark.parametrize("size", [5, 10])
async def test_a_file_of_a_right_size(size: int) -> None:
    _, file = await read([form_body({"key": "a"}, b"x" * size)], SizeRange(5, 10))
    assert len(file) == size
