"""The data locations of records, in all the forms that there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3front.objects.object_parts import ObjectPart, parse_parts
from shared.records.data_location import DataLocation, data_locations, known_md5s, plain_md5s
from shared.records.members import SIZE_MAX, UnreadableRecordError

ENTRY = {
    "key": "k",
    "size": 4,
    "start": 0,
    "dataStoreName": "us-east-1",
    "dataStoreType": "file",
    "dataStoreETag": "1:etag",
}

MD5 = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


def bare(size: int = 9) -> list[DataLocation]:
    return [DataLocation("k", size, 0, "", "", "", {"key": "k"})]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (None, []),
        ([], []),
        ("k", bare()),
        (["k"], bare()),
        ({"key": "k"}, bare()),
        ([{"key": "k"}], bare()),
        ([ENTRY], [DataLocation("k", 4, 0, "us-east-1", "file", "1:etag", ENTRY)]),
        (ENTRY, [DataLocation("k", 4, 0, "us-east-1", "file", "1:etag", ENTRY)]),
    ],
)
def test_every_form_is_read(entries: Any, expected: list[DataLocation]) -> None:
    assert data_locations(entries, 9) == expected


sizes: st.SearchStrategy[Any] = st.sampled_from(
    [0, 4, SIZE_MAX, SIZE_MAX + 1, -1, "4", "", "x", None, True, 4.0, [], {}]
)
names: st.SearchStrategy[Any] = st.sampled_from(
    ["", "us-east-1", "1:etag", None, 5, False, [], {"a": 1}]
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["k", "", None, 5]),
        "size": sizes,
        "start": sizes,
        "dataStoreName": names,
        "dataStoreType": names,
        "dataStoreETag": names,
        "storedSize": sizes,
        "cryptoScheme": sizes,
    },
)
usual = st.fixed_dictionaries(
    {
        "key": st.just("k"),
        "size": st.integers(-1, SIZE_MAX + 1),
        "start": st.integers(-1, SIZE_MAX + 1),
        "dataStoreName": st.text(max_size=3),
        "dataStoreType": st.text(max_size=3),
        "dataStoreETag": st.text(max_size=3),
    },
    optional={"storedSize": sizes},
)


@given(documents | usual)
@example(ENTRY)
def test_the_only_location_of_a_list_is_read_as_one_without_a_list(document: Any) -> None:
    """The first has a way of its own where it is of the usual form, the other never has."""

    def read(entries: Any) -> Any:
        try:
            located = data_locations(entries, 9)
        except UnreadableRecordError as error:
            return str(error)
        return located, [(entry.stored_size, entry.is_encrypted) for entry in located]

    assert read([document]) == read(document)


def test_without_a_start_one_lies_behind_the_other() -> None:
    located = data_locations([{"key": "a", "size": "3"}, {"key": "b", "size": 4}], 7)
    assert [(entry.key, entry.start, entry.size) for entry in located] == [("a", 0, 3), ("b", 3, 4)]


@pytest.mark.parametrize(
    "entries",
    [
        5,
        True,
        [5],
        [None],
        [["k"]],
        {},
        [{"size": 4}],
        {"key": 5},
        [{"key": "k", "size": "many"}],
        [{"key": "k", "size": [4]}],
        ["a", "b"],
        [{"key": "a"}, {"key": "b", "size": 4}],
    ],
)
def test_what_is_not_known_is_not_guessed(entries: Any) -> None:
    with pytest.raises(ValueError, match=r"data location|invalid literal"):
        data_locations(entries, 9)


def test_where_sizes_do_not_matter() -> None:
    located = data_locations(["a", {"key": "b"}, {"key": "c", "size": 4}], None)
    assert [(entry.key, entry.size) for entry in located] == [("a", 0), ("b", 0), ("c", 4)]


def test_no_member_is_lost() -> None:
    entry = {**ENTRY, "dataStoreVersionId": "v", "cipheredDataKey": "secret", "later": [1]}
    (located,) = data_locations([entry], 9)
    assert located.document() == entry


@pytest.mark.parametrize(
    ("members", "encrypted"),
    [
        ({}, False),
        ({"cryptoScheme": None, "cipheredDataKey": None}, False),
        ({"cryptoScheme": 1}, True),
        ({"cipheredDataKey": "AAAA"}, True),
        ({"sseCryptoScheme": 1, "sseCipheredDataKey": "AAAA"}, True),
        ({"dataStoreVersionId": "v"}, False),
    ],
)
def test_encrypted_data_is_known(members: dict[str, Any], encrypted: bool) -> None:
    (located,) = data_locations([{**ENTRY, **members}], 9)
    assert located.is_encrypted is encrypted


@pytest.mark.parametrize(
    ("etags", "whole", "known"),
    [
        ([f"1:{MD5}", f"2:{OTHER}"], f"{MD5}-2", [MD5, OTHER]),
        ([f"1:{MD5}", f"1:{MD5}", f"2:{OTHER}"], f"{MD5}-2", [None, None, OTHER]),
        ([f"1:{MD5}"], OTHER, [MD5]),
        ([""], MD5, [MD5]),
        (["", ""], MD5, [None, None]),
        ([""], f"{MD5}-1", [None]),
        ([], MD5, []),
    ],
)
def test_the_digest_of_a_location(etags: list[str], whole: str, known: list[str | None]) -> None:
    located = data_locations([{**ENTRY, "dataStoreETag": etag} for etag in etags], 9)
    assert known_md5s(located, whole) == known


def test_the_digest_of_encrypted_data_is_of_something_else() -> None:
    located = data_locations([{**ENTRY, "dataStoreETag": f"1:{MD5}", "cryptoScheme": 1}], 9)
    assert known_md5s(located, MD5) == [None]
    assert plain_md5s(located, MD5) == [MD5]


def test_parts_of_locations_that_say_little() -> None:
    assert parse_parts({"content-md5": "ab-1", "content-length": 9, "location": "k"}) == [
        ObjectPart(9)
    ]
    assert parse_parts({"content-md5": "ab-2", "content-length": 9, "location": ["k", "l"]}) == [
        ObjectPart(0),
        ObjectPart(0),
    ]
