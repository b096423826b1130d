"""Which paths blobs of a folder have."""

from __future__ import annotations

import pytest

from s3front.locations.base import ObjectInfo
from s3front.locations.folder_names import (
    COMPONENT_BYTES_MAX,
    HIDDEN,
    PATH_BYTES_MAX,
    Names,
    decoded,
    encoded,
    is_path,
    names_of,
)

MARK = "0123456789" * 4
DRAFT = f".{MARK}.draft".encode()


def names(key: str, *, bucket_match: bool = True) -> Names:
    return names_of(ObjectInfo("photos", key, "", {}), MARK, bucket_match=bucket_match)


def test_a_key_is_a_path() -> None:
    found = names("2026/cat.jpg")
    assert found == Names(b"2026", b"cat.jpg", f"cat.jpg~{MARK}".encode(), DRAFT)
    assert found.path(b"cat.jpg") == b"2026/cat.jpg"


def test_a_key_without_a_directory() -> None:
    found = names("cat.jpg")
    assert (found.directory, found.path(b"cat.jpg")) == (b"", b"cat.jpg")


def test_each_bucket_has_a_directory() -> None:
    found = names("cat.jpg", bucket_match=False)
    assert (found.directory, found.natural) == (b"photos", b"cat.jpg")


@pytest.mark.parametrize(
    "key",
    [
        "a//b",
        "a/",
        "/a",
        ".",
        "..",
        "../a",
        "a/../../b",
        "a/./b",
        "a\0b",
        "x" * 256,
        "ä" * 128,
        "x" * 200 + "/" + "ab/" * 1100 + "c",
        ".twofold/x",
        f"a/.{MARK}.draft",
    ],
)
def test_what_cannot_be_a_path_is_hidden(key: str) -> None:
    assert names(key) == Names(HIDDEN, None, MARK.encode(), DRAFT)


@pytest.mark.parametrize("key", ["a", "ä/b c", "...", ".x", "a\nb", "x" * 255, "%2e%2e/x", "a\\b"])
def test_what_can(key: str) -> None:
    assert is_path(encoded(key))
    assert decoded(encoded(key)) == key


def test_an_own_name_fits() -> None:
    found = names("ä" * 127)
    assert len(found.own) <= COMPONENT_BYTES_MAX
    assert found.own.endswith(f"ä~{MARK}".encode())


def test_the_longest_path() -> None:
    path = b"/".join([b"x" * 255] * 12)
    assert len(path) <= PATH_BYTES_MAX
    assert is_path(path)
