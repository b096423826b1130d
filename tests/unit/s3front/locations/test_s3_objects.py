"""Names and headers of objects at an S3 service."""

from __future__ import annotations

import pytest

from s3front.locations.base import ObjectInfo
from s3front.locations.remote_store import new_mark
from s3front.locations.s3_objects import (
    MARK_HEADER,
    PROBE_PREFIX,
    former_names,
    free_name,
    object_headers,
    tagging,
    unused_name,
)

MARK = new_mark()


def info(key: str = "cat.jpg", **user_metadata: str) -> ObjectInfo:
    return ObjectInfo("photos", key, "image/jpeg", user_metadata)


def test_a_name_that_the_service_may_not_take_is_not_used() -> None:
    for key in ("a//b", "./a", "a/..", "dir/", "/a"):
        assert free_name(info(key), bucket_match=True, is_amazon=True) == key
        assert free_name(info(key), bucket_match=True, is_amazon=False) is None
    assert free_name(info("x" * 300), bucket_match=True, is_amazon=False) is None
    assert free_name(info("x" * 1024), bucket_match=True, is_amazon=True) == "x" * 1024
    assert free_name(info("x" * 1024), bucket_match=False, is_amazon=True) is None


def test_own_names_have_no_part_that_means_something_else() -> None:
    name = unused_name(info("a//../b/."), MARK, bucket_match=False, is_amazon=False)
    assert name == f"photos/a/%2F/%2E%2E/b/%2E~{MARK}"
    long = unused_name(info("x" * 300 + "/y"), MARK, bucket_match=True, is_amazon=False)
    assert max(map(len, long.split("/"))) < 250
    natural = unused_name(info("a//b"), MARK, bucket_match=False, is_amazon=True)
    assert natural == f"photos/a//b~{MARK}"


def test_no_object_has_the_name_of_a_probe() -> None:
    for key in ("twofold-probe", f"{PROBE_PREFIX}1", PROBE_PREFIX + MARK):
        for is_amazon in (True, False):
            assert free_name(info(key), bucket_match=True, is_amazon=is_amazon) is None
            own = unused_name(info(key), MARK, bucket_match=True, is_amazon=is_amazon)
            assert own == f"%74{key[1:]}~{MARK}"
    below = free_name(info(PROBE_PREFIX), bucket_match=False, is_amazon=True)
    assert below == f"photos/{PROBE_PREFIX}"


@pytest.mark.parametrize("is_amazon", [True, False])
def test_what_no_listing_can_show_is_in_no_name(is_amazon: bool) -> None:
    for character in "\0\x01\t\n\r\x1f\x7f\x85\ufffe\uffff\ud800":
        key = f"a{character}b"
        assert free_name(info(key), bucket_match=True, is_amazon=is_amazon) is None
        name = unused_name(info(key), MARK, bucket_match=True, is_amazon=is_amazon)
        encoded = "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        assert name == f"a{encoded}b~{MARK}"
    for key in ("a b", "a\xa0b", "a\ufffdb", "a\U0001f600b", "a%01b"):
        assert free_name(info(key), bucket_match=True, is_amazon=is_amazon) == key


def test_names_that_blobs_had_before() -> None:
    assert former_names(info("a//b"), MARK, bucket_match=True, is_amazon=False) == []
    for is_amazon in (True, False):
        former = former_names(info("a\x01"), MARK, bucket_match=False, is_amazon=is_amazon)
        assert former == ["photos/a\x01", f"photos/a\x01~{MARK}"]
    odd = former_names(info("a//\x01"), MARK, bucket_match=True, is_amazon=False)
    assert odd == [f"a/%2F/\x01~{MARK}"]
    long = "\x01" + "x" * 1023
    (own,) = former_names(info(long), MARK, bucket_match=False, is_amazon=True)
    assert (own[:8], own[-41:], len(own)) == ("photos/\x01", f"~{MARK}", 1024)


def test_user_metadata_that_has_no_room_is_left_out() -> None:
    small = {"colour": "black"}
    headers, omitted = object_headers(info(**small), MARK)
    assert (headers["x-amz-meta-colour"], headers[MARK_HEADER], omitted) == ("black", MARK, 0)
    headers, omitted = object_headers(info(**small, large="x" * 1900, larger="y" * 2000), MARK)
    assert (set(headers), omitted) == (
        {"x-amz-meta-colour", "x-amz-meta-large", MARK_HEADER, "Content-Type"},
        1,
    )
    metadata = {name: text for name, text in headers.items() if name.startswith("x-amz-meta-")}
    assert sum(len(n) - len("x-amz-meta-") + len(text) for n, text in metadata.items()) <= 2048


def test_a_mark_of_the_user_is_not_ours() -> None:
    given = ObjectInfo("photos", "a", "text/plain", {"twofold-mark": "0" * 40})
    assert object_headers(given, MARK)[0][MARK_HEADER] == MARK


def test_a_choice_of_location_is_made_here() -> None:
    given = ObjectInfo("photos", "a", "text/plain", {"scal-location-constraint": "there"})
    assert "x-amz-meta-scal-location-constraint" not in object_headers(given, MARK)[0]


def test_headers_that_no_signature_carries_are_left_out() -> None:
    given = ObjectInfo(
        "photos", "a", "text/plain", {}, {"cache-control": "no-store", "expires": "\xfc"}
    )
    headers, omitted = object_headers(given, MARK)
    assert (headers["Cache-Control"], "Expires" in headers, omitted) == ("no-store", False, 1)


def test_tags_as_a_header() -> None:
    assert tagging({"a b": "c+d=", "@": ""}) == "a%20b=c%2Bd%3D&%40="
    assert tagging({"k": "x" * 3000}) is None
    assert tagging({"k": "ü"}) is None
