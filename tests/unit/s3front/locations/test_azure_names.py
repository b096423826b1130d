"""What blobs and their metadata are called in Azure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3front.locations.azure_names import (
    METADATA_BYTES_MAX,
    NAME_BYTES_MAX,
    blob_metadata,
    blob_names,
    metadata_name,
    metadata_value,
    retagged,
    safe_name,
)
from s3front.locations.base import ObjectInfo

MARK = "0123456789abcdef0123456789abcdef01234567"


def info(key: str = "key", **others: Any) -> ObjectInfo:
    fields: dict[str, Any] = {"content_type": "", "user_metadata": {}, **others}
    return ObjectInfo("bucket", key, **fields)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("2026/cat.jpg", "2026/cat.jpg"),
        ("a b+c%20d?e#f", "a b+c%20d?e#f"),
        ("ünï/日本語/🐈", "ünï/日本語/🐈"),
        (".hidden", ".hidden"),
        ("a/", "a%2F"),
        ("/a", "%2Fa"),
        ("a//b", "a/%2Fb"),
        ("//", "%2F%2F"),
        ("..", "%2E%2E"),
        ("a/../b", "a/%2E%2E/b"),
        ("a./b..", "a%2E/b%2E%2E"),
        ("a\\b", "a%5Cb"),
        ("a\x00\n\x7f\x85", "a%00%0A%7F%C2%85"),
        ("\ue000\uffff\ufeff\u2028", "%EE%80%80%EF%BF%BF%EF%BB%BF%E2%80%A8"),
        ("/".join("a" * 300), "%2F".join("a" * 300)),
    ],
)
def test_what_could_be_changed_on_its_way_is_escaped(key: str, name: str) -> None:
    assert safe_name(key) == name


@given(st.text(max_size=400))
def test_every_key_has_safe_names(key: str) -> None:
    for bucket_match in (True, False):
        names = blob_names(info(key), MARK, bucket_match=bucket_match)
        assert names[-1].endswith(f"~{MARK}")
        for name in names:
            assert 0 < len(name.encode()) <= NAME_BYTES_MAX or name == ""
            segments = name.split("/")
            assert "" not in segments[:-1]
            assert not any(segment.endswith(".") for segment in segments)
            assert name.isprintable() or any(not c.isprintable() for c in key)
            assert "\\" not in name


def test_the_natural_name_comes_first() -> None:
    assert blob_names(info("a/b"), MARK, bucket_match=True) == ["a/b", f"a/b~{MARK}"]
    assert blob_names(info("a/b"), MARK, bucket_match=False) == [
        "bucket/a/b",
        f"bucket/a/b~{MARK}",
    ]


def test_a_name_that_is_too_long_is_cut_and_has_the_mark() -> None:
    (name,) = blob_names(info("é" * 512 + "x"), MARK, bucket_match=True)
    assert len(name.encode()) in (NAME_BYTES_MAX, NAME_BYTES_MAX - 1)
    assert name.startswith("é" * 490)
    assert len(blob_names(info("x" * 1024), MARK, bucket_match=True)) == 2
    assert len(blob_names(info("x" * 1024), MARK, bucket_match=False)) == 1


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("author", "author"),
        ("taken-by", "taken_by"),
        ("a.b", "a_2e_b"),
        ("1st", "_1st"),
        ("", "_"),
        ("~", "_7e_"),
    ],
)
def test_names_of_metadata_are_identifiers(key: str, name: str) -> None:
    assert metadata_name(key) == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain text, 100% of it", "plain text, 100% of it"),
        ("grün", "gr%C3%BCn"),
        ("100 % grün", "100 %25 gr%C3%BCn"),
        (" a", "%20a"),
        ("a ", "a%20"),
        ("a   b", "a %20%20b"),
        ("a\tb", "a%09b"),
    ],
)
def test_values_of_metadata_are_what_a_header_can_carry(text: str, value: str) -> None:
    assert metadata_value(text) == value


def test_names_that_would_be_the_same() -> None:
    found = blob_metadata(
        info(user_metadata={"a-b": "1", "a_b": "2", "A-B": "3", "tags": "4", "twofold-mark": "5"}),
        MARK,
    )
    assert found == {
        "twofold_mark": MARK,
        "a_b": "1",
        "a_b_2": "2",
        "A_B_3": "3",
        "tags_2": "4",
        "twofold_mark_2": "5",
    }


def test_tags_are_kept_as_cloudserver_does() -> None:
    found = blob_metadata(info(tags={"colour": "grey", "ü": "a  b"}), MARK)
    assert found["tags"] == '{"colour":"grey","\\u00fc":"a\\u0020\\u0020b"}'
    assert json.loads(found["tags"]) == {"colour": "grey", "ü": "a  b"}


def test_what_does_not_fit_is_left_out_and_counted() -> None:
    large = {f"m{number}": "ü" * 200 for number in range(10)}
    found = blob_metadata(info(user_metadata=large, tags={"a": "b"}), MARK)
    assert sum(len(name) + len(value) for name, value in found.items()) <= METADATA_BYTES_MAX
    left = int(found["twofold_omitted"])
    assert 0 < left < 10
    assert found["tags"] == '{"a":"b"}'
    assert len(found) == 3 + 10 - left


def test_other_tags_leave_the_rest_as_it_is() -> None:
    before = blob_metadata(info(user_metadata={"by": "Ann"}, tags={"a": "b"}), MARK)
    after = retagged(before, {"c": "d"}, '"0x8D"')
    assert after == {
        "twofold_mark": MARK,
        "by": "Ann",
        "twofold_etag": '"0x8D"',
        "tags": '{"c":"d"}',
    }
    assert retagged(after, {}, '"0x8D"') == {
        "twofold_mark": MARK,
        "by": "Ann",
        "twofold_etag": '"0x8D"',
    }
    assert retagged({"Tags": "x"}, {}, None) == {}
