"""Physical keys and ranges, by the layout that the original fixed (dmd-wire, section 3)."""

from __future__ import annotations

from typing import Any

import pytest

from dmd.metadata import record_keys
from shared.errors import ServiceError

KEY_BYTES_MAX = 1978
LONE_SURROGATE = "a\ud800"
EMOJI = "\U0001f600"


def physical(sub_level: list[str], key: str) -> bytes:
    return record_keys.physical(sub_level, key, KEY_BYTES_MAX)


def includes(options: dict[str, Any], key: str, sub_level: list[str] | None = None) -> bool:
    """Whether the range of the options has the key."""
    path = ["b1"] if sub_level is None else sub_level
    lower, upper = record_keys.range_of(path, options)
    return lower <= physical(path, key) < upper


def included(options: dict[str, Any], among: str = "abcdef") -> str:
    """Those of some keys of one character that the range of the options has."""
    return "".join(key for key in among if includes(options, key))


@pytest.mark.parametrize(
    ("sub_level", "key", "expected"),
    [
        ([], "rootkey", b"!!rootkey"),
        (["b1"], "obj", b"!b1!obj"),
        (["x", "y"], "deep", b"!x#y!deep"),
        (["..recordLogs", "s3-recordlog"], "01", b"!..recordLogs#s3-recordlog!01"),
        (["__metastore"], "b1", b"!__metastore!b1"),
        (["b1"], "k\0v", b"!b1!k\0v"),
        (["b1"], "", b"!b1!"),
        (["b1"], EMOJI, b"!b1!\xf0\x9f\x98\x80"),
        (["é"], "é", b"!\xc3\xa9!\xc3\xa9"),
    ],
)
def test_a_key_lies_behind_its_sub_level(sub_level: list[str], key: str, expected: bytes) -> None:
    assert physical(sub_level, key) == expected


@pytest.mark.parametrize("sub_level", [["a!b"], ["a#b"], ["!"], ["ok", "#"], [""], ["a", ""]])
def test_a_sub_level_that_could_share_keys_with_another_is_refused(sub_level: list[str]) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        record_keys.prefix(sub_level)


def test_a_key_may_contain_the_marks_that_separate_sub_levels() -> None:
    assert physical(["b1"], "a!b#c") == b"!b1!a!b#c"


def test_the_longest_key_is_accepted() -> None:
    assert len(physical(["b1"], "k" * (KEY_BYTES_MAX - 4))) == KEY_BYTES_MAX


@pytest.mark.parametrize("key", ["k" * (KEY_BYTES_MAX - 3), "é" * ((KEY_BYTES_MAX - 4) // 2 + 1)])
def test_a_longer_key_is_refused(key: str) -> None:
    with pytest.raises(ServiceError, match="KeyTooLongError"):
        physical(["b1"], key)


def test_a_lone_surrogate_is_refused_in_a_key() -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        physical(["b1"], LONE_SURROGATE)


def test_a_lone_surrogate_is_refused_in_a_sub_level() -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        record_keys.prefix([LONE_SURROGATE])


@pytest.mark.parametrize("bound", ["gt", "gte", "lt", "lte", "start", "end"])
def test_a_lone_surrogate_is_refused_in_a_bound(bound: str) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        record_keys.range_of(["b1"], {bound: LONE_SURROGATE})


@pytest.mark.parametrize("value", [1, True, ["a"], {}])
@pytest.mark.parametrize("bound", ["gt", "gte", "lt", "lte", "start", "end"])
def test_a_bound_that_is_no_string_is_refused(bound: str, value: object) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        record_keys.range_of(["b1"], {bound: value})


@pytest.mark.parametrize(
    "key", ["", "\0", "a", "k\0v", "\x7f", "\uffff", "\U00010000", EMOJI, "\U0010ffff" * 200]
)
def test_an_unbounded_range_has_every_key(key: str) -> None:
    assert includes({}, key)


@pytest.mark.parametrize("sub_level", [[], ["b"], ["b1x"], ["b1", "c"], ["b10"], ["b1 "], ["a"]])
def test_an_unbounded_range_has_no_key_of_another_sub_level(sub_level: list[str]) -> None:
    lower, upper = record_keys.range_of(["b1"], {})
    for key in ("", "\0", "k", "b1!k", EMOJI):
        assert not lower <= physical(sub_level, key) < upper


def test_the_root_range_has_no_key_of_a_sub_level() -> None:
    lower, upper = record_keys.range_of([], {})
    assert not lower <= physical(["b1"], "k") < upper


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "abcdef"),
        ({"gt": "b"}, "cdef"),
        ({"gte": "b"}, "bcdef"),
        ({"lt": "e"}, "abcd"),
        ({"lte": "e"}, "abcde"),
        ({"start": "b"}, "bcdef"),
        ({"end": "e"}, "abcde"),
        ({"start": "b", "end": "e"}, "bcde"),
        ({"gt": "b", "lt": "e"}, "cd"),
        ({"gte": "b", "lte": "e"}, "bcde"),
        ({"gt": "e", "lt": "b"}, ""),
        # One side with several bounds: the exclusive one, then the inclusive, then the legacy one.
        ({"gt": "b", "gte": "a"}, "cdef"),
        ({"gte": "c", "start": "a"}, "cdef"),
        ({"lt": "e", "lte": "f"}, "abcd"),
        ({"lte": "c", "end": "f"}, "abc"),
        # Nothing there is no bound.
        ({"gt": None, "lt": None, "start": None}, "abcdef"),
        # Descending, start is the greatest key and end the least.
        ({"reverse": True, "start": "e", "end": "b"}, "bcde"),
        ({"reverse": True, "start": "e"}, "abcde"),
        ({"reverse": True, "end": "b"}, "bcdef"),
        ({"reverse": True, "gt": "b", "lt": "e"}, "cd"),
        ({"reverse": False, "start": "b", "end": "e"}, "bcde"),
        # Options that are no bounds.
        ({"limit": 1, "keys": False, "fillCache": True, "lastModified": "x"}, "abcdef"),
    ],
)
def test_a_range_has_the_keys_between_its_bounds(options: dict[str, Any], expected: str) -> None:
    assert included(options) == expected


def test_greater_than_a_key_begins_with_the_next_byte_string() -> None:
    assert includes({"gt": "k"}, "k\0")
    assert not includes({"gt": "k"}, "k")


def test_an_empty_lower_bound_that_is_exclusive_leaves_the_empty_key_out() -> None:
    assert not includes({"gt": ""}, "")
    assert includes({"gt": ""}, "\0")


def test_an_astral_bound_sorts_behind_the_last_of_the_basic_plane() -> None:
    assert not includes({"lt": EMOJI}, EMOJI)
    assert includes({"lt": EMOJI}, "\uffff")


def test_a_raw_range_has_the_keys_of_all_sub_levels() -> None:
    lower, upper = record_keys.raw_range_of({})
    for sub_level in ([], ["b1"], ["x", "y"], ["~"], [EMOJI]):
        assert lower <= physical(sub_level, EMOJI) < upper


@pytest.mark.parametrize("options", [{}, {"gte": ""}, {"gt": "\0"}, {"start": "\0", "lt": "~"}])
def test_a_raw_range_never_has_the_bookkeeping(options: dict[str, Any]) -> None:
    lower, upper = record_keys.raw_range_of(options)
    for key in (record_keys.REVISION_KEY, record_keys.FORMAT_KEY):
        assert not lower <= key < upper


def test_the_bounds_of_a_raw_range_are_physical_keys() -> None:
    lower, upper = record_keys.raw_range_of({"gte": "!b1!", "lt": "!b2!"})
    assert lower <= physical(["b1"], "k") < upper
    assert not lower <= physical(["b2"], "k") < upper
