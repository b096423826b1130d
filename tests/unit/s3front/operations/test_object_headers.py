"""Headers that describe an object, into its record and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.objects.object_record import Checksum, NewObject, ObjectRecord
from s3front.operations.object_headers import (
    DescribedObject,
    checksum_headers,
    new_object_headers,
    object_headers,
    overridden,
    taken_over,
)
from s3front.operations.object_headers import _said as said_one_by_one
from s3front.s3_errors import S3Error
from shared.http1.encoding import encode_response


def described(*pairs: tuple[str, str]) -> DescribedObject:
    return new_object_headers(CIMultiDictProxy(CIMultiDict(pairs)))


def record_of(described: DescribedObject) -> ObjectRecord:
    return ObjectRecord.create(
        NewObject(
            key="key",
            owner_id="owner",
            owner_name="Owner",
            size=5,
            etag="5d41402abc4b2a76b9719d911017c592",
            content_type=described.content_type,
            modified=datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC),
            locations=[],
            store_name="us-east-1",
            headers=described.standard,
            user_metadata=described.user_metadata,
            checksum=None,
            website_redirect=described.website_redirect,
        )
    )


_TEXTS = ["", "a", "STANDARD", "GLACIER", "\x00", "ä", "2026-01-31T12:00:00.000Z", "ON"]
_FORMS = [*_TEXTS, None, 0, 1, 1.5, True, False, [], ["a"], {}, {"a": "b"}, {"a": 1}]
_MEMBERS = (
    *("cache-control", "content-disposition", "content-encoding", "content-language", "expires"),
    *("x-amz-website-redirect-location", "tags", "x-amz-storage-class"),
    *("last-modified", "creation-time", "content-type", "content-md5"),
    *("retentionMode", "retentionDate", "legalHold"),
)
changes = st.dictionaries(st.sampled_from(_MEMBERS), st.sampled_from(_FORMS), max_size=4)


@given(changes, st.sets(st.sampled_from(_MEMBERS), max_size=2))
@example({}, set())
def test_an_object_without_extras_is_described_as_one_with_them(
    changed: dict[str, Any], without: set[str]
) -> None:
    """That has an entry of user metadata, which is shown beside everything else."""
    document = {**record_of(described()).document, **changed}
    for name in without:
        document.pop(name, None)
    extra = ObjectRecord({**document, "x-amz-meta-of-its-own": "set"})
    assert object_headers(extra) == {
        **object_headers(ObjectRecord(document)),
        "x-amz-meta-of-its-own": "set",
    }


_NAMES = st.sampled_from(
    [
        "Host",
        "Content-Length",
        "x-amz-meta",
        "x-amz-met-a",
        "my-x-amz-meta-a",
        "a\nx-amz-meta-a",
        "X-Amz-Meta-A",
        "x-amz-meta-",
        "content-TYPE",
        "Cache-Control",
        "content-encoding",
        "Expires",
        "x-amz-storage-class",
        "X-Amz-Website-Redirect-Location",
    ]
)


@given(
    st.lists(st.tuples(_NAMES, st.sampled_from(["", "/a", "aws-chunked", "STANDARD_IA"]))),
    st.booleans(),
)
def test_headers_that_say_nothing_are_not_looked_through(
    pairs: list[tuple[str, str]], encoded_words: bool
) -> None:
    """What comes of it is what comes of a look at each."""
    headers = CIMultiDictProxy(CIMultiDict(pairs))

    def outcome(described_by: Callable[..., DescribedObject]) -> object:
        try:
            return described_by(headers, encoded_words=encoded_words)
        except S3Error as error:
            return error.code, error.fields

    assert outcome(new_object_headers) == outcome(said_one_by_one)


def test_a_plain_object() -> None:
    assert object_headers(record_of(described())) == {
        "Last-Modified": "Wed, 01 May 2024 12:00:00 GMT",
        "ETag": '"5d41402abc4b2a76b9719d911017c592"',
        "Accept-Ranges": "bytes",
        "Content-Type": "binary/octet-stream",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cache-Control", "no-cache, max-age=0"),
        ("Content-Disposition", 'attachment; filename="grün.txt"'),
        ("Content-Disposition", "\udcfc"),
        ("Content-Encoding", "gzip"),
        ("Content-Language", "de, en"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Expires", "whenever"),
        ("x-amz-website-redirect-location", "/other"),
        ("x-amz-meta-a", ""),
        ("x-amz-meta-", "no name"),
        ("x-amz-meta-!#$%&'*+.^_`|~9", "odd name"),
        ("x-amz-meta-last-modified", "not a date"),
        ("x-amz-meta-x-amz-meta-a", "prefix twice"),
    ],
)
def test_what_was_sent_comes_back(name: str, value: str) -> None:
    assert object_headers(record_of(described((name, value))))[name] == value


def test_a_record_survives_its_storage() -> None:
    record = record_of(described(("x-amz-meta-a", "ü\x85\u2028"), ("Expires", "0")))
    assert ObjectRecord.parse(record.serialise()).document == record.document


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip,aws-chunked", "gzip"),
        ("gzip, AWS-CHUNKED", "gzip"),
        ("gzip, br", "gzip, br"),
        ("aws-chunked-not", "aws-chunked-not"),
    ],
)
def test_the_coding_of_the_transfer_is_not_kept(sent: str, kept: str | None) -> None:
    headers = object_headers(record_of(described(("Content-Encoding", sent))))
    assert headers.get("Content-Encoding") == kept


def test_names_of_metadata_have_no_case() -> None:
    assert described(("X-Amz-Meta-CaSe", "Value")).user_metadata == {"case": "Value"}


def test_a_repeated_header_of_metadata_is_joined() -> None:
    pairs = (("x-amz-meta-a", "1"), ("X-Amz-Meta-A", "2"))
    assert described(*pairs).user_metadata == {"a": "1,2"}


@pytest.mark.parametrize("value", ["gr\udcfcn", "grün", "=?UTF-8?Q?gr=C3=BCn?="])
def test_metadata_outside_ascii_is_one_encoded_word(value: str) -> None:
    headers = object_headers(record_of(described(("x-amz-meta-a", value))))
    assert headers["x-amz-meta-a"] == "=?UTF-8?Q?gr=C3=BCn?="


def stored_as(**members: Any) -> ObjectRecord:
    """A record that another front-end stored."""
    names = {name.replace("_", "-"): value for name, value in members.items()}
    return record_of(described()).changed(names)


def test_what_others_stored_can_always_be_sent() -> None:
    record = stored_as(
        content_type="a\r\nb", cache_control="\u65e5\x00", x_amz_meta_a="1\n2", expires=5
    ).changed(
        {
            "x-amz-meta-b:c": "1",
            "x-amz-meta-d e": "1",
            "x-amz-meta-f": "gr\xc3\xbcn",
            "x-amz-meta-g": 7,
            "x-amz-website-redirect-location": "/\n",
            "x-amz-storage-class": "A\nB",
            "content-md5": "a\nb",
            "retentionMode": "GOVERNANCE",
            "retentionDate": "never",
        }
    )
    headers = object_headers(record)
    assert {name: headers[name] for name in headers if name != "Last-Modified"} == {
        "ETag": '"a b"',
        "Accept-Ranges": "bytes",
        "Content-Type": "a  b",
        "Cache-Control": "  ",
        "Expires": "5",
        "x-amz-website-redirect-location": "/ ",
        "x-amz-storage-class": "A B",
        "x-amz-meta-a": "=?UTF-8?Q?1=0A2?=",
        "x-amz-meta-f": "=?UTF-8?Q?gr=C3=BCn?=",
        "x-amz-meta-g": "7",
        "x-amz-missing-meta": "2",
    }
    encode_response(200, headers, "")


def test_what_is_taken_over_can_be_stored() -> None:
    foreign = DescribedObject("a\nb", {"expires": "\0"}, {"a": "1\n", "b:": "", "c": "ü"}, "/\r")
    assert taken_over(foreign) == DescribedObject(
        "a b", {"expires": " "}, {"a": "=?UTF-8?Q?1=0A?=", "c": "ü"}, "/ "
    )


@pytest.mark.parametrize("value", ["x" * 2046, "ü" * 1023])
def test_the_limit_of_metadata(value: str) -> None:
    assert set(described(("x-amz-meta-ab", value)).user_metadata) == {"ab"}
    with pytest.raises(S3Error) as caught:
        described(("x-amz-meta-abc", value))
    assert caught.value.code == "MetadataTooLarge"
    assert caught.value.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


@pytest.mark.parametrize("storage_class", ["GLACIER", "standard", ""])
def test_a_storage_class_that_there_is_not(storage_class: str) -> None:
    with pytest.raises(S3Error) as caught:
        described(("x-amz-storage-class", storage_class))
    assert caught.value.code == "InvalidStorageClass"


def test_a_read_may_replace_headers() -> None:
    query = {
        "response-cache-control": "a",
        "response-content-disposition": "b",
        "response-content-encoding": "c",
        "response-content-language": "d",
        "response-content-type": "e",
        "response-expires": "f",
        "response-etag": "no",
    }
    assert overridden({"ETag": "x", "Content-Type": "y"}, query, signed=True) == {
        "ETag": "x",
        "Cache-Control": "a",
        "Content-Disposition": "b",
        "Content-Encoding": "c",
        "Content-Language": "d",
        "Content-Type": "e",
        "Expires": "f",
    }


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "\x00", "\x7f", "\u2014"])
def test_a_replaced_header_cannot_begin_another(value: str) -> None:
    with pytest.raises(S3Error) as caught:
        overridden({}, {"response-content-type": value}, signed=True)
    assert caught.value.code == "InvalidArgument"


def test_a_replaced_header_is_latin_1() -> None:
    replaced = overridden({}, {"response-content-type": "é", "response-expires": ""}, signed=True)
    assert replaced == {"Content-Type": "\udce9"}


def test_an_anonymous_read_may_not_replace_headers() -> None:
    headers = {"Content-Type": "text/plain"}
    assert overridden(headers, {"versionId": "null"}, signed=False) == headers
    with pytest.raises(S3Error) as caught:
        overridden(headers, {"response-content-type": "text/html"}, signed=False)
    assert caught.value.code == "InvalidRequest"
    assert "anonymous" in caught.value.message


def test_headers_of_a_checksum() -> None:
    assert checksum_headers(None) == {}
    assert checksum_headers(Checksum("CRC64NVME", "AAAAAAAAAAA=")) == {
        "x-amz-checksum-crc64nvme": "AAAAAAAAAAA=",
        "x-amz-checksum-type": "FULL_OBJECT",
    }
