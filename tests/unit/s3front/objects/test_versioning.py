"""Which version a request names, and what becomes of the records of its key."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import (
    LATEST,
    NULL,
    Lookup,
    Place,
    Plan,
    Requires,
    Version,
    plan_change,
    plan_removal,
    plan_write,
    stored_name,
    version_headers,
)
from s3front.s3_errors import S3Error
from shared import version_id
from shared.records.bucket import Versioning

OLDEST = version_id.infinite("RG001")
OLD, NEW = "98204666944465999999RG001  1", "98204666944465999998RG001  2"
ENABLED, SUSPENDED = Versioning.ENABLED, Versioning.SUSPENDED


def record(**members: Any) -> ObjectRecord:
    return ObjectRecord({"last-modified": "2024-05-01T00:00:00.000Z", **members})


def steps_of(plan: Plan) -> list[tuple[str, dict[str, Any], bool]]:
    """What each step stores, told by its member ``n``, its options, and whether data goes."""
    return [
        (
            "-" if step.record is None else step.record.document["n"],
            dict(step.options),
            step.release,
        )
        for step in plan.steps
    ]


# --- The selector -------------------------------------------------------------------------------


def test_what_requests_name() -> None:
    assert Version.parse(None) == LATEST
    assert Version.parse("null") == NULL
    for internal in (OLD, OLDEST, OLD[:20] + "x" * 43):
        text = version_id.encode(internal)
        assert Version.parse(text) == Version(internal)
        assert Version.parse(text).shown == text
    assert NULL.shown == "null"
    assert [version.is_specific for version in (LATEST, NULL, Version(OLD))] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Version id cannot be the empty string"),
        ("x", "Invalid version id specified"),
        ("NULL", "Invalid version id specified"),
        ("0" * 32, "Invalid version id specified"),
        ("z" * 32, "Invalid version id specified"),
        ("g" * 56, "Invalid version id specified"),
        ("f" * 56, "Invalid version id specified"),
        (b"an ID of no known form at all".hex(), "Invalid version id specified"),
        ((OLD[:20] + "7" * 44).encode().hex(), "Invalid version id specified"),
        ((OLD[:20] + "ü" * 7).encode().hex(), "Invalid version id specified"),
        ((OLD[:20] + "\0" * 7).encode().hex(), "Invalid version id specified"),
    ],
)
def test_what_no_version_can_be_called(text: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        Version.parse(text, "version-id-marker")
    assert (caught.value.code, caught.value.message) == ("InvalidArgument", message)
    assert caught.value.fields == {"ArgumentName": "version-id-marker", "ArgumentValue": text}


@pytest.mark.parametrize(
    ("members", "versioned", "shown"),
    [
        ({}, False, None),
        ({}, True, "null"),
        ({"versionId": OLD}, False, version_id.encode(OLD)),
        ({"versionId": OLD, "isNull": True}, False, None),
        ({"versionId": OLD, "isNull": True}, True, "null"),
    ],
)
def test_how_a_version_is_shown(
    members: dict[str, Any], versioned: bool, shown: str | None
) -> None:
    expected = {} if shown is None else {"x-amz-version-id": shown}
    assert version_headers(record(**members), versioned=versioned) == expected


# --- Finding a version --------------------------------------------------------------------------


def found(version: Version, stored: dict[str, ObjectRecord]) -> tuple[str | None, list[list[str]]]:
    """The stored key that is chosen, and the keys that were read for it, round by round."""
    lookup, rounds = Lookup("k", version), []
    while True:
        names = lookup.names
        rounds.append(names)
        done, index = lookup.choose([stored.get(name) for name in names])
        if done and index is not None:
            chosen = stored[names[index]]
            assert stored_name("k", lookup.place, chosen) == names[index]
            return names[index], rounds
        if done:
            return None, rounds


REGULAR = record(versionId=NEW)
NULL_RECORD = record(versionId=OLD, isNull=True)


@pytest.mark.parametrize(
    ("version", "stored", "expected"),
    [
        (LATEST, {}, None),
        (LATEST, {"k": NULL_RECORD}, "k"),
        (LATEST, {f"k\0{OLD}": NULL_RECORD}, None),
        (Version(NEW), {"k": REGULAR, f"k\0{NEW}": REGULAR}, "k"),
        (Version(NEW), {"k": NULL_RECORD, f"k\0{NEW}": REGULAR}, f"k\0{NEW}"),
        (Version(NEW), {"k": NULL_RECORD}, None),
        # What the null version is called inside names nothing.
        (Version(OLD), {"k": NULL_RECORD}, None),
        (Version(OLD), {"k": REGULAR, f"k\0{OLD}": NULL_RECORD}, None),
        (NULL, {}, None),
        (NULL, {"k": record()}, "k"),
        (NULL, {"k": NULL_RECORD, f"k\0{OLD}": NULL_RECORD}, "k"),
        (NULL, {"k": REGULAR}, None),
        (NULL, {"k": REGULAR, f"k\0{OLD}": NULL_RECORD}, None),
        (NULL, {"k": REGULAR, "k\0": NULL_RECORD}, "k\0"),
        (
            NULL,
            {"k": record(versionId=NEW, nullVersionId=OLD), f"k\0{OLD}": NULL_RECORD},
            f"k\0{OLD}",
        ),
        (NULL, {"k": record(versionId=NEW, nullVersionId=OLD)}, None),
    ],
)
def test_where_a_version_is_found(
    version: Version, stored: dict[str, ObjectRecord], expected: str | None
) -> None:
    assert found(version, stored)[0] == expected


def test_a_null_version_is_read_together_with_what_names_it() -> None:
    stored = {"k": record(versionId=NEW, nullVersionId=OLD), f"k\0{OLD}": NULL_RECORD}
    assert found(NULL, stored)[1] == [["k", "k\0"], ["k", "k\0", f"k\0{OLD}"]]


def test_a_null_version_that_moves_between_two_reads_is_found() -> None:
    lookup = Lookup("k", NULL)
    naming = record(versionId=NEW, nullVersionId=OLD)
    assert lookup.choose([naming, None]) == (False, None)
    # It has been replaced by another one, over which a newer version was put.
    other = record(versionId="2", nullVersionId="3")
    assert lookup.choose([other, None, None]) == (False, None)
    assert lookup.names == ["k", "k\0", "k\x003"]
    assert lookup.choose([other, None, record(versionId="3", isNull=True)]) == (True, 2)
    assert lookup.place is Place.OWN


def test_a_master_that_names_nothing_any_more_ends_the_search() -> None:
    lookup = Lookup("k", NULL)
    assert lookup.choose([record(versionId=NEW, nullVersionId=OLD), None]) == (False, None)
    assert lookup.choose([record(versionId="2"), None, None]) == (True, None)


# --- Writing ------------------------------------------------------------------------------------


def test_without_versions_the_master_is_replaced() -> None:
    plan = plan_write(None, record(n="old"), record(n="new"), OLDEST)
    assert steps_of(plan) == [("new", {}, True)]
    assert plan.requires is Requires.NOTHING


@pytest.mark.parametrize(
    ("master", "named"),
    [
        (None, None),
        (record(versionId=OLD), None),
        (record(versionId=NEW, nullVersionId=OLD), OLD),
    ],
)
def test_a_new_version_hands_on_which_one_is_null(
    master: ObjectRecord | None, named: str | None
) -> None:
    plan = plan_write(ENABLED, master, record(n="new"), OLDEST)
    assert steps_of(plan) == [("new", {"versioning": True}, False)]
    made = plan.steps[-1].record
    assert made is not None
    assert made.null_version_id == named
    assert plan.requires is Requires.NO_NULL_MASTER


@pytest.mark.parametrize(
    ("members", "null_id"),
    [({}, OLDEST), ({"versionId": OLD, "isNull": True}, OLD)],
)
def test_a_new_version_preserves_the_null_version(members: dict[str, Any], null_id: str) -> None:
    plan = plan_write(ENABLED, record(n="null", **members), record(n="new"), OLDEST)
    assert steps_of(plan) == [
        ("null", {"versionId": null_id}, False),
        ("new", {"versioning": True}, False),
    ]
    preserved, made = (step.record for step in plan.steps)
    assert preserved is not None
    assert made is not None
    assert (preserved.version_id, preserved.is_null_version) == (null_id, True)
    assert preserved.document["isNull"] is True
    assert made.null_version_id == null_id
    assert plan.requires is Requires.UNCHANGED


@pytest.mark.parametrize(
    ("master", "removed"),
    [
        (None, None),
        (record(), None),
        (record(versionId=OLD, isNull=True), OLD),
        (record(versionId=NEW), None),
        (record(versionId=NEW, nullVersionId=OLD), OLD),
        # What a null version says of an older one is of no meaning any more.
        (record(versionId=NEW, isNull=True, nullVersionId=OLD), NEW),
    ],
)
def test_a_null_version_replaces_the_one_before(
    master: ObjectRecord | None, removed: str | None
) -> None:
    plan = plan_write(SUSPENDED, master, record(n="new"), OLDEST)
    removals = [] if removed is None else [("-", {"versionId": removed}, True)]
    put = ("new", {"versionId": "", "deleteNullKey": True}, True)
    assert steps_of(plan) == [*removals, put]
    made = plan.steps[-1].record
    assert made is not None
    assert made.document["isNull"] is True
    assert plan.requires is Requires.NOTHING


# --- Removing and changing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versioning", "removed", "place", "options", "requires"),
    [
        (None, None, Place.MASTER, {}, Requires.NOTHING),
        (None, record(), Place.MASTER, {}, Requires.NOTHING),
        (None, REGULAR, Place.OWN, {"versionId": NEW}, Requires.NOTHING),
        (ENABLED, record(), Place.MASTER, {}, Requires.UNCHANGED),
        (ENABLED, REGULAR, Place.MASTER, {"versionId": NEW}, Requires.NOTHING),
        (SUSPENDED, REGULAR, Place.OWN, {"versionId": NEW}, Requires.NOTHING),
        (SUSPENDED, NULL_RECORD, Place.MASTER, {"versionId": OLD}, Requires.NOTHING),
        (SUSPENDED, NULL_RECORD, Place.NULL_KEY, {"versionId": "null"}, Requires.UNCHANGED),
    ],
)
def test_a_version_is_removed_from_where_it_is(
    versioning: Versioning | None,
    removed: ObjectRecord | None,
    place: Place,
    options: dict[str, Any],
    requires: Requires,
) -> None:
    plan = plan_removal(versioning, removed, place)
    assert steps_of(plan) == [("-", options, True)]
    assert plan.requires is requires


@pytest.mark.parametrize("place", [Place.MASTER, Place.OWN])
def test_a_removal_that_was_judged_wants_the_record_as_it_was(place: Place) -> None:
    plan = plan_removal(ENABLED, REGULAR, place, judged=True)
    assert steps_of(plan) == [("-", {"versionId": NEW}, True)]
    assert plan.requires is Requires.UNCHANGED


@pytest.mark.parametrize(
    ("versioning", "old", "place", "options"),
    [
        (None, record(), Place.MASTER, {}),
        (ENABLED, record(), Place.MASTER, {}),
        (ENABLED, NULL_RECORD, Place.MASTER, {"versionId": OLD}),
        (SUSPENDED, NULL_RECORD, Place.MASTER, {}),
        (ENABLED, REGULAR, Place.MASTER, {"versionId": NEW}),
        (SUSPENDED, REGULAR, Place.OWN, {"versionId": NEW}),
        (ENABLED, NULL_RECORD, Place.OWN, {"versionId": OLD}),
        (SUSPENDED, NULL_RECORD, Place.NULL_KEY, {"versionId": "null"}),
    ],
)
def test_a_version_is_changed_where_it_is(
    versioning: Versioning | None, old: ObjectRecord, place: Place, options: dict[str, Any]
) -> None:
    plan = plan_change(versioning, old, place, old.changed({"n": "new"}))
    assert steps_of(plan) == [("new", options, False)]
    assert plan.requires is Requires.UNCHANGED
