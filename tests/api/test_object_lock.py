"""Object lock: its configuration, retention and legal hold of versions, and what they prevent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.records.names import METASTORE
from shared.records.times import to_iso
from tests.api.locks import (
    LATER,
    SOON,
    configuration_of,
    configure,
    hold,
    lock_of,
    retain,
    retention_of,
    rule,
)
from tests.api.support import (
    NO_VERSION,
    body_of,
    code_of,
    error_of,
    md5_base64,
    put_version,
    set_versioning,
)
from tests.faults.stores import call_metadata, stored_records
from tests.raw_http import FOREIGNER, call
from tests.servers import Cluster, Front

pytestmark = pytest.mark.usefixtures("undisturbed")

DENIED = (403, "AccessDenied")
PROTECTED = "Access Denied because object protected by object lock."


# --- Buckets -------------------------------------------------------------------------------------


def test_a_bucket_with_object_lock(s3: Any, shared_cluster: Cluster, locked: str) -> None:
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert configuration_of(s3, locked) == {"ObjectLockEnabled": "Enabled"}
    record = stored_records(shared_cluster, [METASTORE])[METASTORE][locked]
    assert record["objectLockEnabled"] is True
    assert record["versioningConfiguration"] == {"Status": "Enabled"}


def test_a_bucket_without(s3: Any, bucket: str) -> None:
    error = error_of(s3.get_object_lock_configuration, Bucket=bucket)
    assert (error["status"], error["Code"]) == (404, "ObjectLockConfigurationNotFoundError")
    assert error["BucketName"] == bucket


def test_the_default_retention_is_set_and_removed(s3: Any, locked: str) -> None:
    for wanted in (
        rule(Days=1),
        rule(Days=36_500),
        rule(Years=1),
        rule("COMPLIANCE", Years=100),
        {"ObjectLockEnabled": "Enabled"},
    ):
        configure(s3, locked, wanted)
        assert configuration_of(s3, locked) == wanted


def test_it_is_enabled_later_while_versioning_is(s3: Any, bucket: str) -> None:
    for status in (None, "Suspended"):
        if status is not None:
            set_versioning(s3, bucket, status)
        error = error_of(
            s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=rule(Days=1)
        )
        assert (error["status"], error["Code"]) == (409, "InvalidBucketState")
        assert error["Message"] == (
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        )
    set_versioning(s3, bucket, "Enabled")
    configure(s3, bucket, rule(Days=1))
    assert configuration_of(s3, bucket) == rule(Days=1)


def test_versioning_stays_enabled(s3: Any, locked: str) -> None:
    error = error_of(
        s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration={"Status": "Suspended"}
    )
    assert (error["status"], error["Code"]) == (409, "InvalidBucketState")
    assert error["Message"] == (
        "An Object Lock configuration is present on this bucket, so the versioning state cannot "
        "be changed."
    )
    set_versioning(s3, locked, "Enabled")


def test_making_a_bucket_again_does_not_lock_it(s3: Any, bucket: str, locked: str) -> None:
    """In us-east-1, where that is no error otherwise."""
    refused = code_of(s3.create_bucket, Bucket=bucket, ObjectLockEnabledForBucket=True)
    assert refused == (409, "InvalidBucketState")
    s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        (rule(Days=0), "InvalidArgument"),
        (rule(Years=-1), "InvalidArgument"),
        (rule(Days=36_501), "InvalidArgument"),
        (rule(Years=0), "InvalidArgument"),
        (rule(Years=101), "InvalidArgument"),
        (rule(Days=1, Years=1), "MalformedXML"),
        (rule("governance", Days=1), "MalformedXML"),
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
    ],
    ids=str,
)
def test_what_is_no_configuration(
    s3: Any, locked: str, configuration: dict[str, Any], code: str
) -> None:
    refused = code_of(
        s3.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=configuration
    )
    assert refused == (400, code)
    assert configuration_of(s3, locked) == {"ObjectLockEnabled": "Enabled"}


# --- Retention and legal hold of versions --------------------------------------------------------


def test_nothing_is_set_at_first(s3: Any, locked: str) -> None:
    put_version(s3, locked, "key", b"body")
    nothing = (404, "NoSuchObjectLockConfiguration")
    assert code_of(s3.get_object_retention, Bucket=locked, Key="key") == nothing
    assert code_of(s3.get_object_legal_hold, Bucket=locked, Key="key") == nothing
    assert lock_of(s3, locked) == (None, None, None)


def test_each_version_has_its_own(s3: Any, locked: str) -> None:
    first, second = (put_version(s3, locked, "key", body) for body in (b"1", b"2"))
    retain(s3, locked, SOON)
    hold(s3, locked, VersionId=first)
    assert retention_of(s3, locked) == ("GOVERNANCE", SOON)
    assert lock_of(s3, locked, VersionId=second) == ("GOVERNANCE", SOON, None)
    assert lock_of(s3, locked, VersionId=first) == (None, None, "ON")
    hold(s3, locked, "OFF", VersionId=first)
    found = s3.get_object_legal_hold(Bucket=locked, Key="key", VersionId=first)
    assert found["LegalHold"] == {"Status": "OFF"}


def test_the_record_has_it_as_the_original(s3: Any, shared_cluster: Cluster, locked: str) -> None:
    put_version(s3, locked, "key", b"body")
    retain(s3, locked, SOON)
    hold(s3, locked)
    s3.put_object_tagging(Bucket=locked, Key="key", Tagging={"TagSet": [{"Key": "a", "Value": ""}]})
    for record in stored_records(shared_cluster, [locked])[locked].values():
        assert (record["retentionMode"], record["retentionDate"]) == ("GOVERNANCE", to_iso(SOON))
        assert (record["legalHold"], record["tags"]) == (True, {"a": ""})


def change_retention(s3: Any, bucket: str, retention: dict[str, Any], bypass: bool) -> bool:
    """Whether it is allowed."""
    more = {"BypassGovernanceRetention": True} if bypass else {}
    arguments = {"Bucket": bucket, "Key": "key", "Retention": retention, **more}
    before = lock_of(s3, bucket)
    try:
        s3.put_object_retention(**arguments)
    except s3.exceptions.ClientError:
        error = error_of(s3.put_object_retention, **arguments)
        assert (error["status"], error["Code"], error["Message"]) == (*DENIED, PROTECTED)
        assert lock_of(s3, bucket) == before
        return False
    assert lock_of(s3, bucket)[:2] == (retention.get("Mode"), retention.get("RetainUntilDate"))
    return True


@pytest.mark.parametrize(
    ("mode", "retention", "allowed", "with_bypass"),
    [
        ("GOVERNANCE", {"Mode": "GOVERNANCE", "RetainUntilDate": LATER}, True, True),
        ("GOVERNANCE", {"Mode": "COMPLIANCE", "RetainUntilDate": LATER}, False, True),
        ("GOVERNANCE", {}, False, True),
        ("COMPLIANCE", {"Mode": "COMPLIANCE", "RetainUntilDate": LATER}, True, True),
        ("COMPLIANCE", {"Mode": "GOVERNANCE", "RetainUntilDate": LATER}, False, False),
        ("COMPLIANCE", {}, False, False),
    ],
    ids=str,
)
def test_changes_of_a_retention(
    s3: Any, locked: str, mode: str, retention: dict[str, Any], allowed: bool, with_bypass: bool
) -> None:
    for bypass, expected in ((False, allowed), (True, with_bypass)):
        put_version(s3, locked, "key", b"body")
        retain(s3, locked, SOON, mode)
        assert change_retention(s3, locked, retention, bypass) is expected


def test_a_retention_is_shortened_with_a_bypass_alone(s3: Any, locked: str) -> None:
    put_version(s3, locked, "key", b"body")
    retain(s3, locked, LATER)
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": SOON}
    assert not change_retention(s3, locked, shorter, bypass=False)
    assert change_retention(s3, locked, shorter, bypass=True)


def every_call(s3: Any) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """The calls on versions, each with what it needs besides a key."""
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": SOON}
    return [
        (s3.get_object_retention, {}),
        (s3.put_object_retention, {"Retention": retention}),
        (s3.get_object_legal_hold, {}),
        (s3.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
    ]


def test_a_bucket_without_object_lock_has_none(s3: Any, bucket: str) -> None:
    put_version(s3, bucket, "key", b"body")
    for function, more in every_call(s3):
        error = error_of(function, Bucket=bucket, Key="key", **more)
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")
        assert error["Message"] == "Bucket is missing Object Lock Configuration"


def test_what_cannot_be_locked(s3: Any, locked: str) -> None:
    put_version(s3, locked, "key", b"body")
    marker = s3.delete_object(Bucket=locked, Key="key")["VersionId"]
    for function, more in every_call(s3):
        named = {"Bucket": locked, "Key": "key", **more}
        no_method = (405, "MethodNotAllowed")
        assert code_of(function, **named, VersionId=marker) == no_method
        reads = function in (s3.get_object_retention, s3.get_object_legal_hold)
        assert code_of(function, **named) == ((404, "NoSuchKey") if reads else no_method)
        assert code_of(function, **named, VersionId=NO_VERSION) == (404, "NoSuchVersion")
        assert code_of(function, **named | {"Key": "gone"}) == (404, "NoSuchKey")


def test_documents_need_a_digest_and_a_sender_who_may(front: Front, s3: Any, locked: str) -> None:
    put_version(s3, locked, "key", b"body")
    body = b"<LegalHold><Status>ON</Status></LegalHold>"
    for place in ("?object-lock", "/key?retention", "/key?legal-hold"):
        target = f"/{locked}{place}"
        assert call(front, "PUT", target, body).error["Code"] == "InvalidRequest"
        digest = {"Content-MD5": md5_base64(body)}
        assert call(front, "PUT", target).error["Code"] == "MissingRequestBodyError"
        assert call(front, "PUT", target, body, digest, key=FOREIGNER).status == 403
        assert call(front, "GET", target, key=FOREIGNER).status == 403
    assert lock_of(s3, locked) == (None, None, None)


# --- What a lock prevents ------------------------------------------------------------------------


def assert_protected(s3: Any, bucket: str, version: str, **more: Any) -> None:
    named = {"Bucket": bucket, "Key": "key", "VersionId": version, **more}
    error = error_of(s3.delete_object, **named)
    assert (error["status"], error["Code"], error["Message"]) == (*DENIED, PROTECTED)
    objects = [{"Key": "key", "VersionId": version}]
    (error,) = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects}, **more)["Errors"]
    expected = {"Key": "key", "VersionId": version, "Code": "AccessDenied", "Message": PROTECTED}
    assert error == expected
    assert body_of(s3, bucket, "key", VersionId=version) == b"body"


@pytest.mark.parametrize("place", ["latest", "former"])
@pytest.mark.parametrize(
    ("mode", "legal_hold", "with_bypass"),
    [
        ("GOVERNANCE", "OFF", True),
        ("GOVERNANCE", "ON", False),
        ("COMPLIANCE", "OFF", False),
        (None, "ON", False),
    ],
)
def test_a_locked_version_is_not_deleted(
    s3: Any, locked: str, place: str, mode: str | None, legal_hold: str, with_bypass: bool
) -> None:
    version = put_version(s3, locked, "key", b"body")
    if mode is not None:
        retain(s3, locked, SOON, mode)
    hold(s3, locked, legal_hold)
    if place == "former":
        put_version(s3, locked, "key", b"newer")
    assert_protected(s3, locked, version)
    if not with_bypass:
        assert_protected(s3, locked, version, BypassGovernanceRetention=True)
        return
    named = {"Bucket": locked, "Key": "key", "VersionId": version}
    s3.delete_object(**named, BypassGovernanceRetention=True)
    assert code_of(s3.head_object, **named) == (404, "404")


def test_delete_markers_and_newer_versions_are_always_allowed(s3: Any, locked: str) -> None:
    version = put_version(s3, locked, "key", b"body")
    hold(s3, locked)
    marker = s3.delete_object(Bucket=locked, Key="key")
    assert marker["DeleteMarker"] is True
    s3.delete_object(Bucket=locked, Key="key", VersionId=marker["VersionId"])
    put_version(s3, locked, "key", b"newer")
    s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "key"}]})
    assert_protected(s3, locked, version)
    assert code_of(s3.delete_bucket, Bucket=locked) == (409, "BucketNotEmpty")


def test_of_many_versions_only_the_locked_ones_stay(s3: Any, locked: str) -> None:
    versions = [put_version(s3, locked, "key", b"body") for _ in range(4)]
    hold(s3, locked, VersionId=versions[1])
    retain(s3, locked, SOON, VersionId=versions[2])
    objects = [{"Key": "key", "VersionId": version} for version in versions]
    done = s3.delete_objects(Bucket=locked, Delete={"Objects": objects})
    assert {entry["VersionId"] for entry in done["Deleted"]} == {versions[0], versions[3]}
    assert {entry["VersionId"] for entry in done["Errors"]} == {versions[1], versions[2]}
    done = s3.delete_objects(
        Bucket=locked, Delete={"Objects": objects[1:3]}, BypassGovernanceRetention=True
    )
    assert [entry["VersionId"] for entry in done["Deleted"]] == [versions[2]]
    assert_protected(s3, locked, versions[1])


def test_what_a_lifted_hold_protected_can_go(s3: Any, locked: str) -> None:
    version = put_version(s3, locked, "key", b"body")
    hold(s3, locked)
    hold(s3, locked, "OFF")
    s3.delete_object(Bucket=locked, Key="key", VersionId=version)
    s3.delete_bucket(Bucket=locked)


@pytest.mark.parametrize("before", [None, "Suspended"])
def test_the_null_version_of_a_bucket_that_was_locked_later(
    s3: Any, bucket: str, before: str | None
) -> None:
    if before is not None:
        set_versioning(s3, bucket, before)
    put_version(s3, bucket, "key", b"body")
    set_versioning(s3, bucket, "Enabled")
    configure(s3, bucket, {"ObjectLockEnabled": "Enabled"})
    hold(s3, bucket, VersionId="null")
    assert_protected(s3, bucket, "null")
    put_version(s3, bucket, "key", b"newer")
    assert lock_of(s3, bucket, VersionId="null") == (None, None, "ON")
    assert_protected(s3, bucket, "null")


def test_nothing_is_overwritten_where_another_writer_suspended_versioning(
    s3: Any, shared_cluster: Cluster, bucket: str
) -> None:
    put_version(s3, bucket, "key", b"body")
    set_versioning(s3, bucket, "Enabled")
    configure(s3, bucket, {"ObjectLockEnabled": "Enabled"})
    hold(s3, bucket)
    record = stored_records(shared_cluster, [METASTORE])[METASTORE][bucket]
    record["versioningConfiguration"] = {"Status": "Suspended"}
    call_metadata(shared_cluster, "put", [bucket, json.dumps(record), {}], [METASTORE])
    assert put_version(s3, bucket, "key", b"newer") != "null"
    assert s3.delete_object(Bucket=bucket, Key="key")["VersionId"] != "null"
    assert_protected(s3, bucket, "null")


# --- A bypass where nothing is locked -------------------------------------------------------------


@pytest.mark.parametrize("bypass", [True, False])
def test_a_bypass_of_a_bucket_without_object_lock(s3: Any, bucket: str, bypass: bool) -> None:
    """As AWS answered LocalStack's and versitygw's tests: whoever asks has the wrong bucket."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"0")
    asked: dict[str, Any] = {"Bucket": bucket, "BypassGovernanceRetention": bypass}
    with pytest.raises(s3.exceptions.ClientError) as caught:
        s3.delete_object(**asked, Key="key")
    error = caught.value.response["Error"]
    assert (error["Code"], error["ArgumentName"]) == (
        "InvalidArgument",
        "x-amz-bypass-governance-retention",
    )
    assert s3.head_object(Bucket=bucket, Key="key")["ContentLength"] == 1
    # Who empties buckets of any kind sends it with every request.
    done = s3.delete_objects(**asked, Delete={"Objects": [{"Key": "key"}]})
    assert [entry["Key"] for entry in done["Deleted"]] == ["key"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
