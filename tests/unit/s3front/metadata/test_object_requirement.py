"""What a commit requires of the object that it was decided on."""

from __future__ import annotations

from datetime import UTC, datetime

from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import StoredObject, object_requirement
from s3front.objects.object_record import ObjectRecord
from shared.records.bucket import BucketRecord

RECORD = BucketRecord.create("bucket", "id", "name", datetime(2024, 5, 1, tzinfo=UTC), "us-east-1")
PLAIN = StoredBucket(RECORD, 1, "bucket")
SUSPENDED = {"versioningConfiguration": {"Status": "Suspended"}}
VERSIONED = StoredBucket(BucketRecord({**RECORD.document, **SUSPENDED}), 1, "bucket")
CURRENT = StoredObject(ObjectRecord({"last-modified": "2024-05-01T00:00:00.000Z"}), 7)
PLACE = {"subLevel": ["bucket"], "key": "key"}


def test_an_object_that_is_absent_stays_so() -> None:
    for bucket in (PLAIN, VERSIONED):
        assert object_requirement(bucket, "key", None) == {**PLACE, "absent": True}


def test_a_certain_state_stays_so() -> None:
    assert object_requirement(PLAIN, "key", CURRENT) == {**PLACE, "revision": 7}


def test_any_state_may_change_into_another() -> None:
    found = object_requirement(PLAIN, "key", CURRENT, any_state=True)
    assert found == {**PLACE, "present": True}


def test_where_there_may_be_delete_markers_any_state_is_this_one() -> None:
    found = object_requirement(VERSIONED, "key", CURRENT, any_state=True)
    assert found == {**PLACE, "revision": 7}
