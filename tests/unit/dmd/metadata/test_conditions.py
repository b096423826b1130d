"""The requirements of a batch: how they are read, and when they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmd.metadata import conditions, record_keys, stored
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.projection import project
from shared.errors import ServiceError

KEY_BYTES_MAX = 1978


@pytest.fixture
def engine() -> MemoryEngine:
    """A store with one record, key "k" of sub-level "b1", at revision 7."""
    made = MemoryEngine()
    key = record_keys.physical(["b1"], "k", KEY_BYTES_MAX)
    with made.transaction() as transaction:
        transaction.put(key, stored.pack(key, stored.Stored(7, 0, b"", b"{}")))
    return made


def holds(engine: MemoryEngine, wire: dict[str, Any]) -> bool:
    with engine.snapshot() as reader:
        return conditions.parse(wire, KEY_BYTES_MAX).holds(reader)


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ({"subLevel": ["b1"], "key": "k", "revision": 7}, True),
        ({"subLevel": ["b1"], "key": "k", "revision": 6}, False),
        ({"subLevel": ["b1"], "key": "other", "revision": 7}, False),
        ({"subLevel": ["b2"], "key": "k", "revision": 7}, False),
        ({"subLevel": ["b1"], "key": "k", "present": True}, True),
        ({"subLevel": ["b1"], "key": "other", "present": True}, False),
        ({"subLevel": ["b1"], "key": "k", "absent": True}, False),
        ({"subLevel": ["b1"], "key": "other", "absent": True}, True),
        ({"subLevel": [], "key": "k", "absent": True}, True),
        ({"subLevel": ["b1"], "empty": {}}, False),
        ({"subLevel": ["b2"], "empty": {}}, True),
        ({"subLevel": ["b1"], "empty": {"gt": "k"}}, True),
        ({"subLevel": ["b1"], "empty": {"gte": "k"}}, False),
        ({"subLevel": ["b1"], "empty": {"lt": "k"}}, True),
        ({"subLevel": ["b1"], "empty": {"lte": "k"}}, False),
        ({"subLevel": ["b1"], "empty": {"gte": "a", "lt": "z"}}, False),
    ],
)
def test_a_requirement_holds(
    engine: MemoryEngine, requirement: dict[str, Any], expected: bool
) -> None:
    assert holds(engine, requirement) is expected


@pytest.mark.parametrize(
    "wire",
    [
        None,
        "present",
        [],
        {},
        {"key": "k", "present": True},
        {"subLevel": "b1", "key": "k", "present": True},
        {"subLevel": [1], "key": "k", "present": True},
        {"subLevel": ["b1"]},
        {"subLevel": ["b1"], "key": "k"},
        {"subLevel": ["b1"], "key": 5, "present": True},
        {"subLevel": ["b1"], "key": "k", "present": False},
        {"subLevel": ["b1"], "key": "k", "absent": "yes"},
        {"subLevel": ["b1"], "key": "k", "absent": 1},
        {"subLevel": ["b1"], "key": "k", "absent": []},
        {"subLevel": {"b1": 1}, "key": "k", "absent": True},
        {"subLevel": ["b1", None], "key": "k", "absent": True},
        {"subLevel": ["b1"], "key": "k", "isNull": True},
        {"subLevel": ["b1"], "key": 5, "isNull": False},
        {"subLevel": ["b1"], "key": "k", "nullVersion": True},
        {"subLevel": ["b1"], "key": 5, "nullVersion": False},
        {"subLevel": ["b1"], "key": "k", "revision": "7"},
        {"subLevel": ["b1"], "key": "k", "revision": 7.0},
        {"subLevel": ["b1"], "key": "k", "revision": True},
        {"subLevel": ["b1"], "key": "k", "revision": None},
        {"subLevel": ["b1"], "empty": True},
        {"subLevel": ["b1"], "empty": {"gt": 5}},
        {"subLevel": ["b!1"], "key": "k", "present": True},
        # Two at once: one of them would go unheeded.
        {"subLevel": ["b1"], "key": "k", "present": True, "revision": 7},
        {"subLevel": ["b1"], "key": "k", "present": True, "empty": {}},
    ],
)
def test_what_is_not_exactly_one_of_the_forms_is_refused(wire: object) -> None:
    with pytest.raises(ServiceError, match="InvalidArgument"):
        conditions.parse(wire, KEY_BYTES_MAX)


NULL_OR_OTHERS: list[tuple[Any, bool]] = [
    (None, True),
    ({"versionId": "1"}, True),
    ({"versionId": "1", "isNull": False}, True),
    ({"versionId": "1", "isNull": True}, False),
    ({"isNull": True}, False),
    ({}, False),
]


@pytest.mark.parametrize(
    ("form", "record", "expected"),
    [
        *(("isNull", *row) for row in NULL_OR_OTHERS),
        *(("nullVersion", *row) for row in NULL_OR_OTHERS),
        ("isNull", {"versionId": "2", "nullVersionId": "1"}, True),
        ("nullVersion", {"versionId": "2", "nullVersionId": "1"}, False),
        ("nullVersion", {"versionId": "2", "isPHD": True}, False),
        ("nullVersion", {"versionId": ""}, False),
        ("nullVersion", {"versionId": "2", "x-amz-meta-a": '"nullVersionId"'}, True),
        ("nullVersion", ["versionId"], False),
    ],
)
@pytest.mark.parametrize("projected", [True, False])
def test_a_null_version_is_told_from_others(
    form: str, record: Any, expected: bool, projected: bool
) -> None:
    engine = MemoryEngine()
    key = record_keys.physical(["bucket"], "k", KEY_BYTES_MAX)
    if record is not None:
        text = json.dumps(record).encode()
        shown = project(["bucket"], text) if projected else (stored.NO_PROJECTION, b"")
        with engine.transaction() as transaction:
            transaction.put(key, stored.pack(key, stored.Stored(7, *shown, text)))
    assert holds(engine, {"subLevel": ["bucket"], "key": "k", form: False}) is expected


def test_a_key_that_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ServiceError, match="KeyTooLongError"):
        conditions.parse({"subLevel": [], "key": "k" * 2000, "absent": True}, KEY_BYTES_MAX)


def test_a_damaged_record_has_no_revision_to_compare(engine: MemoryEngine) -> None:
    key = record_keys.physical(["b1"], "k", KEY_BYTES_MAX)
    with engine.transaction() as transaction:
        transaction.put(key, b"\0" * 20)
    with pytest.raises(stored.CorruptRecordError):
        holds(engine, {"subLevel": ["b1"], "key": "k", "revision": 0})


WIRES = st.dictionaries(
    st.sampled_from(
        ["subLevel", "key", "revision", "absent", "present", "isNull", "empty", "other"]
    ),
    st.one_of(
        st.sampled_from([["b1"], [], ["b!"], [1], "k", "k" * KEY_BYTES_MAX, "\ud800", {}]),
        st.none(),
        st.booleans(),
        st.integers(-(2**65), 2**65),
        st.floats(),
    ),
)
NAMED = st.fixed_dictionaries(
    {"subLevel": st.just(["b1"]), "key": st.text(), "revision": st.integers()},
    optional={"absent": st.just(True), "other": st.just(1)},
)


def parsed(parse: Any, wire: Any) -> Any:
    """What is parsed, or the error."""
    try:
        made = parse(wire, KEY_BYTES_MAX)
    except ServiceError as error:
        return error.code, error.message
    return type(made), made


@given(st.one_of(NAMED, WIRES, st.none(), st.lists(st.integers())))
@example({"subLevel": ["b1"], "key": "k", "revision": True})
@example({"subLevel": ["b1"], "key": "k", "revision": 1, "absent": True})
@example({"subLevel": ["b!"], "key": "k", "revision": 1})
@example({"subLevel": ["b1"], "key": "k" * KEY_BYTES_MAX, "revision": 1})
@example({"subLevel": ["b1"], "key": 1, "revision": 1})
def test_a_usual_requirement_is_read_as_any(wire: Any) -> None:
    assert parsed(conditions.parse, wire) == parsed(conditions.parse_any, wire)
