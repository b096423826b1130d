"""Object tags: the header, the three calls, and AWS's limits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.support import code_of
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


def test_tags_are_removed(s3: Any, tagged: str) -> None:
    s3.delete_object_tagging(Bucket=tagged, Key="key")
    assert tags_of(s3, tagged) == {}
    assert "TagCount" not in s3.head_object(Bucket=tagged, Key="key")


def test_an_overwrite_drops_the_tags(s3: Any, tagged: str) -> None:
    s3.put_object(Bucket=tagged, Key="key", Body=b"new")
    assert tags_of(s3, tagged) == {}


@pytest.mark.parametrize(
    "pairs",
    [
        {str(n): "x" for n in range(10)},
        {"k" * 128: "v" * 256},
    ],
)
def test_as_many_and_as_long_as_allowed(s3: Any, tagged: str, pairs: dict[str, str]) -> None:
    s3.put_object_tagging(Bucket=tagged, Key="key", Tagging=tag_set(pairs))
    assert tags_of(s3, tagged) == pairs


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ({str(n): "x" for n in range(11)}, "BadRequest"),
        ({"k" * 129: "v"}, "InvalidTag"),
        ({"k": "v" * 257}, "InvalidTag"),
        ({"k?": "v"}, "InvalidTag"),
        ({"k": "v*"}, "InvalidTag"),
    ],
)
def test_more_than_allowed(s3: Any, tagged: str, pairs: dict[str, str], code: str) -> None:
    refused = code_of(s3.put_object_tagging, Bucket=tagged, Key="key", Tagging=tag_set(pairs))
    assert refused == (400, code)
    assert len(tags_of(s3, tagged)) == 3


def test_the_same_key_twice(s3: Any, tagged: str) -> None:
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    refused = code_of(s3.put_object_tagging, Bucket=tagged, Key="key", Tagging=twice)
    assert refused == (400, "InvalidTag")


@pytest.mark.parametrize("header", ["a=1&a=2", "a=%FF", "a&b=c&&", "k" * 129 + "=1"])
def test_a_bad_header_stores_nothing(front: Front, tagged: str, header: str) -> None:
    response = call(front, "PUT", f"/{tagged}/new", b"body", {"x-amz-tagging": header})
    assert response.status == 400
    assert call(front, "HEAD", f"/{tagged}/new").status == 404


@pytest.mark.parametrize("name", ["get", "delete", "put"])
def test_an_object_that_is_not_there(s3: Any, tagged: str, name: str) -> None:
    arguments = {"Tagging": tag_set({})} if name == "put" else {}
    operation = getattr(s3, f"{name}_object_tagging")
    assert code_of(operation, Bucket=tagged, Key="gone", **arguments) == (404, "NoSuchKey")


def test_somebody_else(other_s3: Any, tagged: str) -> None:
    refused = code_of(other_s3.get_object_tagging, Bucket=tagged, Key="key")
    assert refused == (403, "AccessDenied")
