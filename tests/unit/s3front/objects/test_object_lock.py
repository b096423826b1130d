"""The rules of object lock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.objects.object_lock import (
    COMPLIANCE,
    GOVERNANCE,
    DefaultRetention,
    Lock,
    Retention,
    check_change,
    check_removal,
    configuration_member,
    configuration_xml,
    default_of,
    legal_hold_xml,
    lock_of_new,
    parse_configuration,
    parse_legal_hold,
    parse_retention,
    retention_xml,
    wanted_lock,
    wants_bypass,
)
from s3front.s3_errors import S3Error
from shared.records.members import UnreadableRecordError

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
PAST, SOON, LATER = (NOW + timedelta(days=days) for days in (-1, 1, 2))
LOCKED: dict[str, Any] = {"objectLockEnabled": True}


def headers(**values: str) -> CIMultiDictProxy[str]:
    names = {
        "mode": "x-amz-object-lock-mode",
        "until": "x-amz-object-lock-retain-until-date",
        "hold": "x-amz-object-lock-legal-hold",
        "bypass": "x-amz-bypass-governance-retention",
    }
    return CIMultiDictProxy(CIMultiDict({names[key]: text for key, text in values.items()}))


def refused(code: str) -> Any:
    return pytest.raises(S3Error, check=lambda error: error.code == code)


# --- Removal -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "removable", "with_bypass"),
    [
        (Lock(), True, True),
        (Lock(legal_hold=False), True, True),
        (Lock(legal_hold=True), False, False),
        (Lock(Retention(GOVERNANCE, SOON)), False, True),
        (Lock(Retention(COMPLIANCE, SOON)), False, False),
        (Lock(Retention(GOVERNANCE, SOON), legal_hold=True), False, False),
        (Lock(Retention(GOVERNANCE, SOON), legal_hold=False), False, True),
        (Lock(Retention(GOVERNANCE, PAST)), True, True),
        (Lock(Retention(COMPLIANCE, PAST)), True, True),
        (Lock(Retention(COMPLIANCE, NOW)), True, True),
        (Lock(Retention(COMPLIANCE, PAST), legal_hold=True), False, False),
    ],
)
def test_removal(lock: Lock, removable: bool, with_bypass: bool) -> None:
    for bypass, allowed in ((False, removable), (True, with_bypass)):
        if allowed:
            check_removal(lock, NOW, bypass=bypass)
        else:
            with refused("AccessDenied"):
                check_removal(lock, NOW, bypass=bypass)


# --- Changes -------------------------------------------------------------------------------------

GOVERNED, COMPLIED = Retention(GOVERNANCE, SOON), Retention(COMPLIANCE, SOON)


@pytest.mark.parametrize(
    ("current", "wanted", "allowed", "with_bypass"),
    [
        (None, GOVERNED, True, True),
        (None, None, True, True),
        (Retention(COMPLIANCE, PAST), None, True, True),
        (Retention(COMPLIANCE, PAST), GOVERNED, True, True),
        (GOVERNED, GOVERNED, True, True),
        (GOVERNED, Retention(GOVERNANCE, LATER), True, True),
        (Retention(GOVERNANCE, LATER), GOVERNED, False, True),
        (GOVERNED, COMPLIED, False, True),
        (GOVERNED, None, False, True),
        (COMPLIED, COMPLIED, True, True),
        (COMPLIED, Retention(COMPLIANCE, LATER), True, True),
        (Retention(COMPLIANCE, LATER), COMPLIED, False, False),
        (COMPLIED, Retention(GOVERNANCE, LATER), False, False),
        (COMPLIED, None, False, False),
    ],
)
def test_change(
    current: Retention | None, wanted: Retention | None, allowed: bool, with_bypass: bool
) -> None:
    for bypass, possible in ((False, allowed), (True, with_bypass)):
        if possible:
            check_change(current, wanted, NOW, bypass=bypass)
        else:
            with refused("AccessDenied"):
                check_change(current, wanted, NOW, bypass=bypass)


# --- Headers -------------------------------------------------------------------------------------


def test_a_request_without_a_lock() -> None:
    assert wanted_lock(headers(), {}, NOW) == Lock()
    assert wanted_lock(headers(), LOCKED, NOW) == Lock()


def test_what_headers_say() -> None:
    given = headers(mode=GOVERNANCE, until="2026-06-02T14:00:00.123456+02:00", hold="ON")
    lock = wanted_lock(given, LOCKED, NOW)
    until = datetime(2026, 6, 2, 12, 0, 0, 123_000, tzinfo=UTC)
    assert lock == Lock(Retention(GOVERNANCE, until), legal_hold=True)
    assert Lock.of(lock.members()) == lock
    assert lock.headers() == {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2026-06-02T12:00:00.123Z",
        "x-amz-object-lock-legal-hold": "ON",
    }


def test_a_legal_hold_alone() -> None:
    lock = wanted_lock(headers(hold="OFF"), LOCKED, NOW)
    assert lock == Lock(legal_hold=False)
    assert lock.members() == {"legalHold": False}
    assert lock.headers() == {"x-amz-object-lock-legal-hold": "OFF"}


@pytest.mark.parametrize(
    ("rule", "days"), [({"days": 3}, 3), ({"years": 1}, 365), ({"years": 100}, 36_500)]
)
def test_the_default_of_the_bucket(rule: dict[str, int], days: int) -> None:
    bucket = LOCKED | {"objectLockConfiguration": {"rule": {"mode": COMPLIANCE, **rule}}}
    default = Retention(COMPLIANCE, NOW + timedelta(days=days))
    assert wanted_lock(headers(), bucket, PAST) == Lock()
    assert lock_of_new(Lock(), bucket, NOW) == Lock(default)
    assert lock_of_new(Lock(legal_hold=True), bucket, NOW) == Lock(default, legal_hold=True)
    assert lock_of_new(Lock(GOVERNED), bucket, NOW) == Lock(GOVERNED)


def test_what_a_version_gets_without_a_default() -> None:
    for wanted in (Lock(), Lock(GOVERNED), Lock(legal_hold=False)):
        assert lock_of_new(wanted, LOCKED, NOW) == wanted


def test_what_a_version_gets_in_a_bucket_without_object_lock() -> None:
    default = {"objectLockConfiguration": {"rule": {"mode": COMPLIANCE, "days": 1}}}
    assert lock_of_new(Lock(), default, NOW) == Lock()
    for wanted in (Lock(GOVERNED), Lock(legal_hold=False)):
        with refused("InvalidRequest"):
            lock_of_new(wanted, {}, NOW)


def test_a_record_with_another_lock() -> None:
    record = {"key": "a", **Lock(GOVERNED, legal_hold=True).members()}
    assert Lock().put_into(record) == {"key": "a"}
    assert Lock.of(Lock(COMPLIED).put_into(record)) == Lock(COMPLIED)


def test_a_date_with_an_offset_of_another_writer() -> None:
    record = {"retentionMode": GOVERNANCE, "retentionDate": "2026-06-02T14:00:00+02:00"}
    assert Lock.of(record).members()["retentionDate"] == "2026-06-02T12:00:00.000Z"


@pytest.mark.parametrize(
    "given",
    [
        {"mode": GOVERNANCE},
        {"until": "2026-06-02T12:00:00Z"},
        {"mode": "governance", "until": "2026-06-02T12:00:00Z"},
        {"mode": GOVERNANCE, "until": "tomorrow"},
        {"mode": GOVERNANCE, "until": "99999-01-01"},
        {"mode": GOVERNANCE, "until": "2026-06-01T12:00:00Z"},
        {"mode": GOVERNANCE, "until": "2026-05-31T12:00:00Z"},
        {"hold": "on"},
        {"hold": ""},
    ],
)
def test_headers_that_are_wrong(given: dict[str, str]) -> None:
    with refused("InvalidArgument"):
        wanted_lock(headers(**given), LOCKED, NOW)


@pytest.mark.parametrize("bucket", [{}, {"objectLockEnabled": False}])
@pytest.mark.parametrize(
    "given", [{"hold": "OFF"}, {"mode": GOVERNANCE, "until": "2026-06-02T12:00:00Z"}]
)
def test_headers_in_a_bucket_without_object_lock(
    bucket: dict[str, Any], given: dict[str, str]
) -> None:
    with refused("InvalidRequest"):
        wanted_lock(headers(**given), bucket, NOW)


def test_a_bypass() -> None:
    assert wants_bypass(headers(bypass="true"))
    assert wants_bypass(headers(bypass="True"))
    assert not wants_bypass(headers(bypass="false"))
    assert not wants_bypass(headers())


def test_a_record_that_cannot_be_understood_is_not_without_protection() -> None:
    with pytest.raises(UnreadableRecordError):
        Lock.of({"retentionMode": GOVERNANCE, "retentionDate": "soon"})


# --- Documents -----------------------------------------------------------------------------------


def configuration(rule: str, enabled: str = "Enabled") -> bytes:
    return (
        '<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<ObjectLockEnabled>{enabled}</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    ).encode()


def rule(inner: str) -> str:
    return f"<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>"


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("", None),
        (
            rule("<Mode>GOVERNANCE</Mode><Days>1</Days>"),
            DefaultRetention(GOVERNANCE, 1, "days"),
        ),
        (
            rule("<Mode>COMPLIANCE</Mode><Years>100</Years>"),
            DefaultRetention(COMPLIANCE, 100, "years"),
        ),
    ],
)
def test_a_configuration(text: str, default: DefaultRetention | None) -> None:
    assert parse_configuration(configuration(text)) == default
    assert configuration_xml(default) == f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{text}"
    bucket = LOCKED | {"objectLockConfiguration": configuration_member(default)}
    assert default_of(bucket) == default


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"<ObjectLockConfiguration/>", "MalformedXML"),
        (configuration("", "Disabled"), "MalformedXML"),
        (configuration("<Rule/>"), "MalformedXML"),
        (configuration("<Other/>"), "MalformedXML"),
        (configuration(rule("")), "MalformedXML"),
        (configuration(rule("<Mode>GOVERNANCE</Mode>")), "MalformedXML"),
        (configuration(rule("<Days>1</Days>")), "MalformedXML"),
        (configuration(rule("<Mode>governance</Mode><Days>1</Days>")), "MalformedXML"),
        (configuration(rule("<Mode>GOVERNANCE</Mode><Days>x</Days>")), "MalformedXML"),
        (
            configuration(rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>")),
            "MalformedXML",
        ),
        (configuration(rule("<Mode>GOVERNANCE</Mode><Days>0</Days>")), "InvalidArgument"),
        (configuration(rule("<Mode>GOVERNANCE</Mode><Years>-1</Years>")), "InvalidArgument"),
        (configuration(rule("<Mode>GOVERNANCE</Mode><Days>36501</Days>")), "InvalidArgument"),
        (configuration(rule("<Mode>GOVERNANCE</Mode><Years>101</Years>")), "InvalidArgument"),
    ],
)
def test_a_configuration_that_is_wrong(body: bytes, code: str) -> None:
    with refused(code):
        parse_configuration(body)


def test_a_retention() -> None:
    text = "<Mode>COMPLIANCE</Mode><RetainUntilDate>2026-06-02T12:00:00.000Z</RetainUntilDate>"
    assert parse_retention(f"<Retention>{text}</Retention>".encode(), NOW) == COMPLIED
    assert retention_xml(COMPLIED) == text
    assert parse_retention(b"<Retention/>", NOW) is None


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("<Mode>COMPLIANCE</Mode>", "MalformedXML"),
        ("<RetainUntilDate>2026-06-02T12:00:00Z</RetainUntilDate>", "MalformedXML"),
        (
            "<Mode>X</Mode><RetainUntilDate>2026-06-02T12:00:00Z</RetainUntilDate>",
            "MalformedXML",
        ),
        ("<Mode>COMPLIANCE</Mode><RetainUntilDate>x</RetainUntilDate>", "MalformedXML"),
        (
            "<Mode>COMPLIANCE</Mode><RetainUntilDate>2026-06-01T12:00:00Z</RetainUntilDate>",
            "InvalidArgument",
        ),
        ("<Mode>COMPLIANCE</Mode><Mode>COMPLIANCE</Mode>", "MalformedXML"),
    ],
)
def test_a_retention_that_is_wrong(inner: str, code: str) -> None:
    with refused(code):
        parse_retention(f"<Retention>{inner}</Retention>".encode(), NOW)


def test_a_legal_hold() -> None:
    for status, hold in (("ON", True), ("OFF", False)):
        assert parse_legal_hold(f"<LegalHold>{legal_hold_xml(hold)}</LegalHold>".encode()) is hold
        assert legal_hold_xml(hold) == f"<Status>{status}</Status>"
    for wrong in (b"<LegalHold/>", b"<LegalHold><Status>abc</Status></LegalHold>", b"x"):
        with refused("MalformedXML"):
            parse_legal_hold(wrong)
