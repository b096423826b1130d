"""The default encryption of a bucket in its record, ours and the original's."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.objects.default_encryption import (
    ALGORITHMS,
    MEMBER,
    DefaultEncryption,
    default_encryption,
    default_members,
    original_keys,
    shown_key_id,
    without_default,
)
from shared.records.bucket import BucketRecord

SECRET = "5e" * 32
OURS = {"cryptoScheme": 1, "algorithm": "AES256", "mandatory": True, "masterKeyId": "k"}


def bucket(stored: Any) -> BucketRecord:
    return BucketRecord({"name": "bucket", "owner": "id", MEMBER: stored})


@pytest.mark.parametrize(
    "wanted",
    [
        DefaultEncryption("AES256"),
        DefaultEncryption("aws:kms"),
        DefaultEncryption("aws:kms", "a", True),
        DefaultEncryption("aws:kms:dsse", "a"),
        DefaultEncryption("AES256", blocked=["SSE-C"]),
    ],
)
@pytest.mark.parametrize("former", [{}, OURS, {**OURS, "mandatory": False, "masterKeyId": SECRET}])
@pytest.mark.parametrize("shared", [True, False])
def test_what_is_set_is_read(
    wanted: DefaultEncryption, former: dict[str, Any], *, shared: bool
) -> None:
    members = default_members(wanted, former, "current", shared=shared)
    found = default_encryption(bucket(members[MEMBER]))
    assert found is not None
    assert (found.algorithm, found.key_id, found.bucket_key) == (
        wanted.algorithm,
        wanted.key_id,
        wanted.bucket_key,
    )
    assert list(found.blocked) == list(wanted.blocked)
    stored = members[MEMBER]
    assert type(stored["cryptoScheme"]) is int
    names = {stored.get("masterKeyId"), stored.get("configuredMasterKeyId")} - {None}
    if shared:  # the original's model wants one of both
        assert names
    else:  # which it would take for a key
        assert names <= {former.get("masterKeyId")}


def test_a_key_that_the_original_made_stays() -> None:
    former = {**OURS, "masterKeyId": SECRET, "isAccountEncryptionEnabled": True}
    stored = default_members(DefaultEncryption("aws:kms", "a"), former, "current", shared=True)[
        MEMBER
    ]
    assert (stored["masterKeyId"], stored["configuredMasterKeyId"]) == (SECRET, "a")
    assert stored["isAccountEncryptionEnabled"] is True
    kept = without_default(bucket(stored)).document[MEMBER]
    assert kept == {**stored, "mandatory": False}


def test_a_named_key_needs_no_other() -> None:
    stored = default_members(DefaultEncryption("aws:kms", "a"), {}, None, shared=True)[MEMBER]
    assert "masterKeyId" not in stored


def test_nothing_is_left_that_the_original_cannot_read() -> None:
    for wanted in (DefaultEncryption("AES256"), DefaultEncryption("aws:kms", "a")):
        stored = default_members(wanted, {}, None, shared=False)[MEMBER]
        assert without_default(bucket(stored)).document[MEMBER] is None


@pytest.mark.parametrize("stored", [None, {}, {**OURS, "mandatory": False}])
def test_what_demands_nothing(stored: Any) -> None:
    assert default_encryption(bucket(stored)) is None


@pytest.mark.parametrize(
    ("key_id", "shown"),
    [
        ("a", "a"),
        ("2026-a1b2", "2026-a1b2"),
        ("arn:aws:kms:us-east-1:1:key/134f2428-cec1-4b25-a1ae-9048164dba47",) * 2,
        (SECRET, None),
        (SECRET.upper(), None),
        (f"arn:scality:kms:external:file_kms:1:key/{SECRET}", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_what_is_shown_of_a_key(key_id: object, shown: str | None) -> None:
    assert shown_key_id(key_id) == shown


def test_keys_of_the_original_are_never_dropped() -> None:
    """Its ``file`` KMS has them there and nowhere else, and parts may be encrypted by any."""
    first, second, third = "1a" * 32, "2b" * 32, "3c" * 32
    former = {"masterKeyId": first, "configuredMasterKeyId": second}
    for wanted in (DefaultEncryption("AES256"), DefaultEncryption("aws:kms", "a-key")):
        stored = default_members(wanted, former, None, shared=False)[MEMBER]
        assert stored["masterKeyId"] == first
        assert set(original_keys(stored)) == {first, second}
        # The original has named another one meanwhile, and somebody changes it here again.
        named = {**stored, "configuredMasterKeyId": third}
        again = default_members(wanted, named, None, shared=False)[MEMBER]
        assert set(original_keys(again)) == {first, second, third}
        removed = without_default(bucket(again)).document[MEMBER]
        assert set(original_keys(removed)) == {first, second, third}
    only_named = default_members(
        DefaultEncryption("AES256"), {"configuredMasterKeyId": second}, None, shared=False
    )
    assert only_named[MEMBER]["masterKeyId"] == second


@pytest.mark.parametrize("stored", ["AES256", "", [], 1, False, {"mandatory": True}])
def test_what_cannot_be_read_demands_encryption(stored: Any) -> None:
    """By nothing that is known, so that nothing is stored."""
    record = bucket(stored)
    assert record.demands_encryption
    found = default_encryption(record)
    assert found is not None
    assert found.algorithm not in ALGORITHMS
    assert not without_default(record).demands_encryption
