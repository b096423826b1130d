"""What becomes of a key when something is put there, for every state of it and of its bucket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.objects.object_record import ObjectRecord
from s3front.objects.protection import MustEncryptError
from s3front.objects.put_plan import is_plain, plan_put, plan_unread
from s3front.objects.versioning import Plan, Requires
from s3front.port.request import Headers
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

OLDEST, OLD = "99999999999999999999RG001", "98204666944465999999RG001  1"
NOTHING, UNCHANGED = Requires.NOTHING, Requires.UNCHANGED
NO_NULL_MASTER = Requires.NO_NULL_MASTER

NEVER: dict[str, Any] = {}
ENABLED = {"versioningConfiguration": {"Status": "Enabled"}}
SUSPENDED = {"versioningConfiguration": {"Status": "Suspended"}}
LOCKED = {**ENABLED, "objectLockEnabled": True}
RETAINED = {
    **LOCKED,
    "objectLockConfiguration": {"rule": {"mode": "GOVERNANCE", "days": 2}},
}
ENCRYPTED = {"serverSideEncryption": {"mandatory": True, "algorithm": "AES256"}}

CUSTOMER = "customer-algorithm"

NO_CONDITIONS: Mapping[str, str] = {}
ABSENT = None
PLAIN = {"content-md5": "etag"}
VERSION = {**PLAIN, "versionId": OLD}
NULL_VERSION = {**VERSION, "isNull": True}
MARKER = {"isDeleteMarker": True, "versionId": OLD}


def bucket(members: dict[str, Any]) -> BucketRecord:
    return BucketRecord({"name": "bucket", "owner": "id", **members})


def stored(members: dict[str, Any] | None) -> ObjectRecord | None:
    return (
        None
        if members is None
        else ObjectRecord({"last-modified": "2024-05-01T00:00:00.000Z", **members})
    )


def headers(values: Mapping[str, str]) -> Headers:
    return CIMultiDictProxy(CIMultiDict(values))


def put(
    settings: dict[str, Any],
    master: dict[str, Any] | None,
    new: dict[str, Any] | None = None,
    conditions: Mapping[str, str] = NO_CONDITIONS,
) -> Plan:
    """What a put of ``new``, over ``master``, becomes."""
    record = ObjectRecord({"last-modified": "2024-06-01T00:00:00.000Z", **(new or {})})
    return plan_put(bucket(settings), stored(master), record, headers(conditions), OLDEST)


def told(plan: Plan) -> list[tuple[str, bool]]:
    """Each step: where it writes or removes, and whether data is given up."""
    return [
        (("put " if step.record else "del ") + repr(step.options.get("versionId")), step.release)
        for step in plan.steps
    ]


MASTER = ("put None", True)
AS_NEW = ("put None", False)
AS_NULL = ("put ''", True)


@pytest.mark.parametrize(
    ("settings", "master", "steps", "requires"),
    [
        (NEVER, ABSENT, [MASTER], NOTHING),
        (NEVER, PLAIN, [MASTER], NOTHING),
        (ENABLED, ABSENT, [AS_NEW], NO_NULL_MASTER),
        (ENABLED, VERSION, [AS_NEW], NO_NULL_MASTER),
        (ENABLED, MARKER, [AS_NEW], NO_NULL_MASTER),
        (ENABLED, PLAIN, [(f"put '{OLDEST}'", False), AS_NEW], UNCHANGED),
        (ENABLED, NULL_VERSION, [(f"put '{OLD}'", False), AS_NEW], UNCHANGED),
        (SUSPENDED, ABSENT, [AS_NULL], NOTHING),
        (SUSPENDED, PLAIN, [AS_NULL], NOTHING),
        (SUSPENDED, VERSION, [AS_NULL], NOTHING),
        (SUSPENDED, NULL_VERSION, [(f"del '{OLD}'", True), AS_NULL], NOTHING),
        (LOCKED, VERSION, [AS_NEW], NO_NULL_MASTER),
    ],
)
def test_what_is_written_and_given_up(
    settings: dict[str, Any],
    master: dict[str, Any] | None,
    steps: list[tuple[str, bool]],
    requires: Requires,
) -> None:
    """And no more is required than it was decided on; with a condition, all of it is."""
    plan = put(settings, master)
    assert (told(plan), plan.requires) == (steps, requires)
    if master is None or master is MARKER:
        conditional = put(settings, master, conditions={"If-None-Match": "*"})
    else:
        conditional = put(settings, master, conditions={"If-Match": '"etag"'})
    assert (told(conditional), conditional.requires) == (steps, UNCHANGED)


@pytest.mark.parametrize(
    ("settings", "conditions", "expected"),
    [
        (NEVER, NO_CONDITIONS, True),
        (ENABLED, NO_CONDITIONS, True),
        (NEVER, {"If-Match": "etag"}, False),
        (NEVER, {"If-None-Match": "*"}, False),
        (SUSPENDED, NO_CONDITIONS, False),
        ({"versioningConfiguration": {"Status": "Paused"}}, NO_CONDITIONS, False),
        (LOCKED, NO_CONDITIONS, False),
        (ENCRYPTED, NO_CONDITIONS, True),
    ],
)
def test_what_is_decided_by_the_bucket_alone(
    settings: dict[str, Any], conditions: Mapping[str, str], *, expected: bool
) -> None:
    assert is_plain(headers(conditions), bucket(settings)) is expected


@pytest.mark.parametrize("master", [ABSENT, PLAIN, VERSION, MARKER])
@pytest.mark.parametrize("settings", [NEVER, ENABLED])
def test_a_plan_without_a_read_is_that_of_whoever_reads(
    settings: dict[str, Any], master: dict[str, Any] | None
) -> None:
    """Where there is no null version, which its commit requires."""
    record = ObjectRecord({"last-modified": "2024-06-01T00:00:00.000Z"})
    unread = plan_unread(bucket(settings), record)
    read = put(settings, None if settings and master is PLAIN else master)
    assert unread.steps == read.steps
    assert unread.requires is (Requires.NO_NULL_VERSION if settings else NOTHING)


@pytest.mark.parametrize("settings", [NEVER, ENABLED, SUSPENDED])
@pytest.mark.parametrize(
    ("master", "conditions", "code"),
    [
        (PLAIN, {"If-None-Match": "*"}, "PreconditionFailed"),
        (VERSION, {"If-None-Match": "*"}, "PreconditionFailed"),
        (PLAIN, {"If-Match": "other"}, "PreconditionFailed"),
        (ABSENT, {"If-Match": "etag"}, "NoSuchKey"),
        (MARKER, {"If-Match": "etag"}, "NoSuchKey"),
        (PLAIN, {"If-None-Match": "other"}, "NotImplemented"),
        (PLAIN, {"If-Match": "*"}, "NotImplemented"),
    ],
)
def test_conditions_that_refuse(
    settings: dict[str, Any], master: dict[str, Any] | None, conditions: dict[str, str], code: str
) -> None:
    with pytest.raises(S3Error) as caught:
        put(settings, master, conditions=conditions)
    assert caught.value.code == code


@pytest.mark.parametrize("settings", [NEVER, ENABLED, SUSPENDED, LOCKED])
def test_no_plain_text_where_all_is_to_be_encrypted(settings: dict[str, Any]) -> None:
    with pytest.raises(MustEncryptError):
        put({**settings, **ENCRYPTED}, ABSENT)
    for name in ("x-amz-server-side-encryption", f"x-amz-server-side-encryption-{CUSTOMER}"):
        put({**settings, **ENCRYPTED}, ABSENT, {name: "AES256"})
    with pytest.raises(MustEncryptError):
        plan_unread(bucket({**settings, **ENCRYPTED}), ObjectRecord({}))


HOLD = {"legalHold": True}
UNTIL = {"retentionMode": "COMPLIANCE", "retentionDate": "2030-01-01T00:00:00.000Z"}
DEFAULT = {"retentionMode": "GOVERNANCE", "retentionDate": "2024-06-03T00:00:00.000Z"}


@pytest.mark.parametrize(
    ("settings", "new", "lock"),
    [
        (NEVER, {}, {}),
        (LOCKED, {}, {}),
        (LOCKED, UNTIL, UNTIL),
        (RETAINED, {}, DEFAULT),
        (RETAINED, HOLD, {**DEFAULT, **HOLD}),
        (RETAINED, UNTIL, UNTIL),
    ],
)
def test_the_lock_of_what_is_put(
    settings: dict[str, Any], new: dict[str, Any], lock: dict[str, Any]
) -> None:
    """Its own, and the default retention, counted from when it was made, if it names none."""
    record = put(settings, ABSENT, new).steps[-1].record
    assert record is not None
    found = {name: record.document[name] for name in (*UNTIL, *HOLD) if name in record.document}
    assert {name: value for name, value in found.items() if value} == lock


@pytest.mark.parametrize("settings", [NEVER, ENABLED])
@pytest.mark.parametrize("new", [HOLD, UNTIL])
def test_no_lock_where_there_is_no_object_lock(
    settings: dict[str, Any], new: dict[str, Any]
) -> None:
    with pytest.raises(S3Error) as caught:
        put(settings, ABSENT, new)
    assert caught.value.code == "InvalidRequest"


def test_a_record_is_not_changed_by_its_plan() -> None:
    made = datetime(2024, 5, 1, tzinfo=UTC)
    record = BucketRecord.create("bucket", "id", "name", made, "here").changed(ENABLED)
    master = ObjectRecord({"last-modified": "2024-05-01T00:00:00.000Z"})
    new = ObjectRecord({"last-modified": "2024-06-01T00:00:00.000Z"})
    before = dict(record.document), dict(master.document), dict(new.document)
    plan_put(record, master, new, headers(NO_CONDITIONS), OLDEST)
    assert (record.document, master.document, new.document) == before
