"""Object tags: the header, the three calls, and AWS's limits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.support import code_of, error_of, md5_base64
from tests.raw_http import call
from tests.servers import Front


def tag_set(pairs: dict[str, str]) -> dict[str, Any]:
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs.items()]}


def tags_of(s3: Any, bucket: str) -> dict[str, str]:
    found = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


@pytest.fixture
def tagged(s3: Any, bucket: str) -> str:
    """A bucket with a tagged object."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", Tagging="a=1&b=two%20words&empty=")
    return bucket


def test_tags_of_the_header(s3: Any, tagged: str) -> None:
    assert tags_of(s3, tagged) == {"a": "1", "b": "two words", "empty": ""}
    assert s3.get_object(Bucket=tagged, Key="key")["TagCount"] == 3


def test_a_tag_of_the_header_may_have_no_value(front: Front, s3: Any, bucket: str) -> None:
    headers = {"x-amz-tagging": "foo=bar&bar"}
    assert call(front, "PUT", f"/{bucket}/key", b"body", headers).status == 200
    found = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert [tuple(tag.values()) for tag in found] == [("bar", ""), ("foo", "bar")]


def test_tags_are_replaced_as_a_whole(s3: Any, tagged: str) -> None:
    before = s3.head_object(Bucket=tagged, Key="key")
    s3.put_object_tagging(Bucket=tagged, Key="key", Tagging=tag_set({"ü": "Größe", "c:d/e": "=+@"}))
    assert tags_of(s3, tagged) == {"ü": "Größe", "c:d/e": "=+@"}
    after = s3.get_object(Bucket=tagged, Key="key")
    assert after["Body"].read() == b"body"
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])


def test_a_document_needs_no_digest(front: Front, s3: Any, tagged: str) -> None:
    """As with AWS; the SDK for JavaScript 2 sends none."""
    body = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    assert call(front, "PUT", f"/{tagged}/key?tagging", body).status == 200
    assert tags_of(s3, tagged) == {"k": "v"}
    wrong = {"Content-MD5": md5_base64(b"other")}
    assert call(front, "PUT", f"/{tagged}/key?tagging", body, wrong).error["Code"] == "BadDigest"


def test_tags_are_removed(s3: Any, tagged: str) -> None:
    s3.delete_object_tagging(Bucket=tagged, Key="key")
    assert tags_of(s3, tagged) == {}
    assert "TagCount" not in s3.head_object(Bucket=tagged, Key="key")


def test_an_overwrite_drops_the_tags(s3: Any, tagged: str) -> None:
    s3.put_object(Bucket=tagged, Key="key", Body=b"new")
    assert tags_of(s3, tagged) == {}


RARE = "\U00020000"
"""A letter of two UTF-16 code units, which are what AWS counts."""


@pytest.mark.parametrize(
    "pairs",
    [
        {},
        {str(n): "x" for n in range(10)},
        {"k" * 128: "v" * 256},
        {RARE * 64: RARE * 128},
        {"a b\u00a0c\u3000": "+ - = . _ : / @"},
        {"b:aws:": "aws:"},
    ],
    ids=ascii,
)
@pytest.mark.parametrize("how", ["document", "header"])
def test_as_many_and_as_long_as_allowed(
    s3: Any, tagged: str, how: str, pairs: dict[str, str]
) -> None:
    if how == "document":
        s3.put_object_tagging(Bucket=tagged, Key="key", Tagging=tag_set(pairs))
    else:
        s3.put_object(Bucket=tagged, Key="key", Body=b"", Tagging=urlencode(pairs))
    assert tags_of(s3, tagged) == pairs


BAD_KEY, BAD_VALUE = (f"The Tag{part} you have provided is invalid" for part in ("Key", "Value"))
RESERVED = "Your TagKey cannot be prefixed with aws:"
REFUSED: list[tuple[dict[str, str], str, str, dict[str, str]]] = [
    ({str(n): "x" for n in range(11)}, "BadRequest", "Object tags cannot be greater than 10", {}),
    *(
        ({key: "v"}, "InvalidTag", message, {"TagKey": key})
        for key, message in (
            ("k" * 129, BAD_KEY),
            (RARE * 64 + "k", BAD_KEY),
            ("k?", BAD_KEY),
            ("k\n", BAD_KEY),
            ("aws:k", RESERVED),
            ("AWS:k", RESERVED),
        )
    ),
    *(
        ({"k": value}, "InvalidTag", BAD_VALUE, {"TagKey": "k", "TagValue": value})
        for value in ("v" * 257, RARE * 128 + "v", "v*", "a\tb", "a\nb")
    ),
]


@pytest.mark.parametrize(
    ("pairs", "code", "message", "fields"), REFUSED, ids=lambda value: ascii(value)[:30]
)
@pytest.mark.parametrize("how", ["document", "header"])
def test_more_than_allowed(
    s3: Any,
    tagged: str,
    how: str,
    pairs: dict[str, str],
    code: str,
    message: str,
    fields: dict[str, str],
) -> None:
    if how == "document":
        tags = tag_set(pairs)
        error = error_of(s3.put_object_tagging, Bucket=tagged, Key="key", Tagging=tags)
    else:
        error = error_of(s3.put_object, Bucket=tagged, Key="key", Tagging=urlencode(pairs))
    said = {name: error[name] for name in ("status", "Code", "Message", *fields)}
    assert said == {"status": 400, "Code": code, "Message": message, **fields}
    assert len(tags_of(s3, tagged)) == 3


def test_the_same_key_twice(s3: Any, tagged: str) -> None:
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    error = error_of(s3.put_object_tagging, Bucket=tagged, Key="key", Tagging=twice)
    assert (error["status"], error["Code"], error["TagKey"]) == (400, "InvalidTag", "a")
    assert error["Message"] == "Cannot provide multiple Tags with the same key"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<TagSet/><TagSet/>",
        "<TagSet/><Other/>",
        "<TagSet><Other/></TagSet>",
        "<TagSet><Tag><Key>a</Key></Tag></TagSet>",
        "<TagSet><Tag><Value>a</Value></Tag></TagSet>",
        "<TagSet><Tag><Key>a</Key><Value>b</Value><Value>c</Value></Tag></TagSet>",
        "<TagSet><Tag><Key>a</Key><Value>b</Value><Other/></Tag></TagSet>",
    ],
)
def test_a_document_that_is_none(front: Front, s3: Any, tagged: str, content: str) -> None:
    body = f"<Tagging>{content}</Tagging>".encode()
    headers = {"Content-MD5": md5_base64(body)}
    error = call(front, "PUT", f"/{tagged}/key?tagging", body, headers).error
    assert (error["status"], error["Code"]) == ("400", "MalformedXML")
    assert len(tags_of(s3, tagged)) == 3


@pytest.mark.parametrize(
    "header", ["a=1&a=2", "a&a", "a=%FF", "=a", "a==b", "a=1%", "%zz=1", "&&a=1&a=2"]
)
def test_a_bad_header_stores_nothing(front: Front, tagged: str, header: str) -> None:
    error = call(front, "PUT", f"/{tagged}/new", b"body", {"x-amz-tagging": header}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["Message"] == (
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters "
        "without tag name duplicates."
    )
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("x-amz-tagging", header)
    assert call(front, "HEAD", f"/{tagged}/new").status == 404


@pytest.mark.parametrize(
    ("header", "tags"), [("&&&a=1", {"a": "1"}), ("a&b=c&&", {"a": "", "b": "c"}), ("&", {})]
)
def test_nothing_between_separators_is_no_tag(
    front: Front, s3: Any, tagged: str, header: str, tags: dict[str, str]
) -> None:
    assert call(front, "PUT", f"/{tagged}/key", b"body", {"x-amz-tagging": header}).status == 200
    assert tags_of(s3, tagged) == tags


@pytest.mark.parametrize("header", ["a=\udcff", "\udcff=a"])
def test_a_header_with_a_bad_tag_stores_nothing(front: Front, tagged: str, header: str) -> None:
    error = call(front, "PUT", f"/{tagged}/new", b"body", {"x-amz-tagging": header}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidTag")
    assert call(front, "HEAD", f"/{tagged}/new").status == 404


@pytest.mark.parametrize("name", ["get", "delete", "put"])
def test_an_object_that_is_not_there(s3: Any, tagged: str, name: str) -> None:
    arguments = {"Tagging": tag_set({})} if name == "put" else {}
    operation = getattr(s3, f"{name}_object_tagging")
    assert code_of(operation, Bucket=tagged, Key="gone", **arguments) == (404, "NoSuchKey")


def test_somebody_else(other_s3: Any, tagged: str) -> None:
    refused = code_of(other_s3.get_object_tagging, Bucket=tagged, Key="key")
    assert refused == (403, "AccessDenied")
