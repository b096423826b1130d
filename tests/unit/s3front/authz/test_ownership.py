"""Whose objects are, by the setting of their bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.authz.ownership import (
    ENFORCED,
    OWNERSHIP_MEMBER,
    PREFERRED,
    WRITER,
    Owner,
    acls_count,
    owner_id_of,
    owner_of_new,
    ownership_of,
)
from shared.records.bucket import BucketRecord

OURS, THEIRS = Owner("b" * 64, "Bucket"), Owner("c" * 64, "Writer")
GIVEN = "bucket-owner-full-control"


def bucket_with(setting: Any) -> BucketRecord:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    record = BucketRecord.create("bucket", OURS.id, OURS.name, created, "here")
    return record.changed({OWNERSHIP_MEMBER: setting})


def principal(owner: Owner) -> Principal:
    return Principal(owner.id, owner.name, "222222222222", "arn:aws:iam::222222222222:root")


@pytest.mark.parametrize(
    ("setting", "canned", "owner"),
    [
        (ENFORCED, None, OURS),
        (ENFORCED, GIVEN, OURS),
        (PREFERRED, None, THEIRS),
        (PREFERRED, "bucket-owner-read", THEIRS),
        (PREFERRED, GIVEN, OURS),
        (WRITER, None, THEIRS),
        (WRITER, GIVEN, THEIRS),
        (None, None, THEIRS),
        ("SomethingNew", None, OURS),
    ],
)
def test_whose_a_new_object_is(setting: Any, canned: str | None, owner: Owner) -> None:
    bucket = bucket_with(setting)
    assert owner_of_new(bucket, principal(THEIRS), canned) == owner
    assert owner_of_new(bucket, principal(OURS), canned) == OURS
    assert owner_of_new(bucket, ANONYMOUS, canned) == OURS


@pytest.mark.parametrize(
    ("setting", "counts"),
    [(ENFORCED, False), (PREFERRED, True), (WRITER, True), (None, True), (7, False), ([], True)],
)
def test_where_lists_count(setting: Any, counts: bool) -> None:
    assert acls_count(bucket_with(setting)) == counts


def test_a_setting_counts_for_what_is_there_already() -> None:
    assert owner_id_of(bucket_with(WRITER), THEIRS.id) == THEIRS.id
    assert owner_id_of(bucket_with(ENFORCED), THEIRS.id) == OURS.id
    assert owner_id_of(bucket_with(WRITER), "") == OURS.id


def test_a_bucket_of_the_original_has_none() -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    assert ownership_of(BucketRecord.create("b", "me", "Me", created, "here")) == WRITER
