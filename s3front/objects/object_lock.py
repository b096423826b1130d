"""Object lock: what protects a version, what may change that, and its headers and documents. Pure.

Rules (Amazon S3 user guide, "Locking objects with Object Lock"):

1. A version with a legal hold, or with a retention that is not over, is neither deleted nor
   overwritten. Delete markers and newer versions are put beside it.
2. A retention in governance mode can be lifted, shortened or replaced by a caller who asks to
   bypass it; one in compliance mode by nobody. Both can be prolonged.
3. A bucket may have a default retention, for versions that are put without one of their own.

Records are the original's (reference/dmd-wire.md, section 5): ``retentionMode``,
``retentionDate`` and ``legalHold`` of an object, ``objectLockEnabled`` and
``objectLockConfiguration`` of a bucket.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec
from msgspec.structs import replace

from s3front.port.request import Headers
from s3front.port.xml import element, parse
from s3front.s3_errors import S3Error
from shared.records.members import UnreadableRecordError, whole_number
from shared.records.times import from_iso, to_iso

GOVERNANCE: Final = "GOVERNANCE"
COMPLIANCE: Final = "COMPLIANCE"
_MODES: Final = (GOVERNANCE, COMPLIANCE)

MODE_HEADER: Final = "x-amz-object-lock-mode"
UNTIL_HEADER: Final = "x-amz-object-lock-retain-until-date"
HOLD_HEADER: Final = "x-amz-object-lock-legal-hold"
LOCK_HEADERS: Final = frozenset((MODE_HEADER, UNTIL_HEADER, HOLD_HEADER))
BYPASS_HEADER: Final = "x-amz-bypass-governance-retention"

_MEMBERS: Final = frozenset(("retentionMode", "retentionDate", "legalHold"))
_DAYS_MAX: Final = 36_500
_YEARS_MAX: Final = 100
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}\Z")
_PROTECTED: Final = "Access Denied because object protected by object lock."


class Retention(msgspec.Struct, frozen=True):
    """Until when a version is retained, and how firmly. ``until`` is in UTC."""

    mode: str
    until: datetime

    def is_over(self, now: datetime) -> bool:
        """Whether it no longer protects anything."""
        return self.until <= now


class Lock(msgspec.Struct, frozen=True):
    """What protects one version. ``legal_hold`` is None where none was ever set."""

    retention: Retention | None = None
    legal_hold: bool | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Lock:
        """What a record, or an upload's overview, says. Raises UnreadableRecordError for what is no
        retention: a record that is not understood must not count as one without protection."""
        mode, until = document.get("retentionMode"), document.get("retentionDate")
        hold = document.get("legalHold")
        if mode is until is hold is None:
            return UNLOCKED
        retention = None
        if mode and until:
            try:
                retention = Retention(_MODES[_MODES.index(mode)], from_iso(until))
            except ValueError as error:
                raise UnreadableRecordError("the retention is not understood") from error
        return cls(retention, None if hold is None else bool(hold))

    def members(self) -> dict[str, Any]:
        """What a record says of it; nothing for what is not set."""
        members: dict[str, Any] = {}
        if self.retention is not None:
            members["retentionMode"] = self.retention.mode
            members["retentionDate"] = to_iso(self.retention.until)
        if self.legal_hold is not None:
            members["legalHold"] = self.legal_hold
        return members

    def put_into(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """A record with this lock in place of the one it has."""
        others = {name: value for name, value in document.items() if name not in _MEMBERS}
        return others | self.members()

    def headers(self) -> dict[str, str]:
        """How GetObject and HeadObject report it."""
        headers: dict[str, str] = {}
        if self.retention is not None:
            headers[MODE_HEADER] = self.retention.mode
            headers[UNTIL_HEADER] = to_iso(self.retention.until)
        if self.legal_hold is not None:
            headers[HOLD_HEADER] = "ON" if self.legal_hold else "OFF"
        return headers


UNLOCKED: Final = Lock()


class DefaultRetention(msgspec.Struct, frozen=True):
    """What a bucket gives to versions that are put without a retention: so many days or years."""

    mode: str
    count: int
    unit: str
    """``days`` or ``years``, as the bucket's record has it."""

    def from_now(self, now: datetime) -> Retention:
        """The retention of a version that is put at this moment. A year is 365 days, as the
        original has it."""
        days = self.count if self.unit == "days" else self.count * 365
        return Retention(self.mode, now + timedelta(days=days))


# --- What may happen to a version ----------------------------------------------------------------


def check_removal(lock: Lock, now: datetime, *, bypass: bool) -> None:
    """Let a version be deleted or overwritten; raises AccessDenied while it is protected."""
    retention = lock.retention
    if lock.legal_hold:
        raise S3Error("AccessDenied", _PROTECTED)
    if retention is None or retention.is_over(now):
        return
    if retention.mode == GOVERNANCE and bypass:
        return
    raise S3Error("AccessDenied", _PROTECTED)


def check_change(
    current: Retention | None, wanted: Retention | None, now: datetime, *, bypass: bool
) -> None:
    """Let the retention of a version be changed, to none as well; raises AccessDenied."""
    if current is None or current.is_over(now):
        return
    prolonged = wanted is not None and wanted.mode == current.mode and wanted.until >= current.until
    if prolonged or (current.mode == GOVERNANCE and bypass):
        return
    raise S3Error("AccessDenied", _PROTECTED)


def lock_of_new(wanted: Lock, bucket: Mapping[str, Any], now: datetime) -> Lock:
    """The lock of a version that is put at this moment: what its uploader wants, with the default
    retention of the bucket's record if that names none.

    Raises InvalidRequest when anything is wanted of a bucket that has no object lock.
    """
    if not is_enabled(bucket):
        if wanted != UNLOCKED:
            raise missing_configuration()
        return wanted
    default = default_of(bucket)
    if wanted.retention is not None or default is None:
        return wanted
    return replace(wanted, retention=default.from_now(now))


# --- Headers of uploads --------------------------------------------------------------------------


def wanted_lock(headers: Headers, bucket: Mapping[str, Any], now: datetime) -> Lock:
    """What a request that begins now says of the lock of a new version.

    Raises InvalidArgument for what is wrong with the headers, and InvalidRequest for any of them
    when the bucket has no object lock.
    """
    if not has_lock_headers(headers):
        return UNLOCKED
    mode, until = headers.get(MODE_HEADER), headers.get(UNTIL_HEADER)
    hold = headers.get(HOLD_HEADER)
    if not is_enabled(bucket):
        raise missing_configuration()
    if (mode is None) != (until is None):
        raise _invalid(
            f"{UNTIL_HEADER} and {MODE_HEADER} must both be supplied",
            UNTIL_HEADER if until is None else MODE_HEADER,
        )
    retention = None
    if mode is not None and until is not None:
        if mode not in _MODES:
            raise _invalid("Unknown wormMode directive.", MODE_HEADER, mode)
        retention = Retention(mode, _future_of_header(until, now))
    if hold not in (None, "ON", "OFF"):
        raise _invalid("Legal Hold must be either of 'ON' or 'OFF'", HOLD_HEADER, hold)
    return Lock(retention, None if hold is None else hold == "ON")


def has_lock_headers(headers: Headers) -> bool:
    """Whether a request sets a lock: its body must then be protected by a digest."""
    return MODE_HEADER in headers or UNTIL_HEADER in headers or HOLD_HEADER in headers


def wants_bypass(headers: Headers) -> bool:
    """Whether the caller asks to bypass governance mode."""
    return headers.get(BYPASS_HEADER, "").lower() == "true"


def wants_bypass_of(bucket: Mapping[str, Any], headers: Headers) -> bool:
    """The same of the deletion of one object. Raises InvalidArgument where the bucket's record has
    no object lock, also for ``false``, as AWS does (LocalStack's and versitygw's recorded tests).

    Programs that empty any bucket send it with DeleteObjects, without a look at the bucket first
    (ceph/s3-tests, which runs on AWS, too): there it only means nothing.
    """
    if BYPASS_HEADER in headers and not is_enabled(bucket):
        raise _invalid(
            f"{BYPASS_HEADER} is only applicable to Object Lock enabled buckets.", BYPASS_HEADER
        )
    return wants_bypass(headers)


def _future_of_header(text: str, now: datetime) -> datetime:
    until = _date(text)
    if until is None:
        raise _invalid(
            "The retain until date must be provided in ISO 8601 format", UNTIL_HEADER, text
        )
    if until <= now:
        raise _invalid("The retain until date must be in the future!", UNTIL_HEADER, text)
    return until


# --- Configuration of a bucket -------------------------------------------------------------------


def is_enabled(bucket: Mapping[str, Any]) -> bool:
    """Whether versions in a bucket can be locked, by its record."""
    return bool(bucket.get("objectLockEnabled"))


def default_of(bucket: Mapping[str, Any]) -> DefaultRetention | None:
    """The default retention of a bucket, by its record. Raises UnreadableRecordError: what is put
    there must not stay without the protection that somebody wanted."""
    if not is_enabled(bucket):
        return None
    configuration = bucket.get("objectLockConfiguration") or {}
    rule = configuration.get("rule") if isinstance(configuration, dict) else configuration
    if not rule:
        return None
    if isinstance(rule, dict) and rule.get("mode") in _MODES:
        for unit, most in (("days", _DAYS_MAX), ("years", _YEARS_MAX)):
            count = whole_number(rule.get(unit))
            if count and count <= most:
                return DefaultRetention(rule["mode"], count, unit)
    raise UnreadableRecordError("the default retention is not understood")


def configuration_member(default: DefaultRetention | None) -> dict[str, Any]:
    """``objectLockConfiguration`` of a bucket's record."""
    if default is None:
        return {}
    return {"rule": {"mode": default.mode, default.unit: default.count}}


def parse_configuration(body: bytes) -> DefaultRetention | None:
    """An ``ObjectLockConfiguration`` document; raises MalformedXML and InvalidArgument."""
    tree = parse(body, "ObjectLockConfiguration")
    _expect(tree, "ObjectLockEnabled", "Rule")
    if tree.findtext("ObjectLockEnabled") != "Enabled":
        raise S3Error("MalformedXML")
    rule = tree.find("Rule")
    if rule is None:
        return None
    _expect(rule, "DefaultRetention")
    retention = rule.find("DefaultRetention")
    if retention is None:
        raise S3Error("MalformedXML")
    _expect(retention, "Mode", "Days", "Years")
    mode, days, years = (retention.findtext(name) for name in ("Mode", "Days", "Years"))
    if mode not in _MODES or (days is None) == (years is None):
        raise S3Error("MalformedXML")
    if days is not None:
        return DefaultRetention(mode, _count(days, "Days", _DAYS_MAX), "days")
    return DefaultRetention(mode, _count(years or "", "Years", _YEARS_MAX), "years")


def configuration_xml(default: DefaultRetention | None) -> str:
    """The content of an ``ObjectLockConfiguration``."""
    rule = ""
    if default is not None:
        count = element(default.unit.title(), default.count)
        rule = (
            f"<Rule><DefaultRetention>{element('Mode', default.mode)}{count}"
            "</DefaultRetention></Rule>"
        )
    return element("ObjectLockEnabled", "Enabled") + rule


def missing_configuration() -> S3Error:
    """The answer to what needs object lock, in a bucket that has none."""
    return S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")


# --- Documents of versions -----------------------------------------------------------------------


def parse_retention(body: bytes, now: datetime) -> Retention | None:
    """A ``Retention`` document, None for an empty one, which lifts a retention.

    Raises MalformedXML, and InvalidArgument for a date that is past.
    """
    tree = parse(body, "Retention")
    _expect(tree, "Mode", "RetainUntilDate")
    mode, text = tree.findtext("Mode"), tree.findtext("RetainUntilDate")
    if mode is None and text is None:
        return None
    until = _date(text or "")
    if mode not in _MODES or until is None:
        raise S3Error("MalformedXML")
    if until <= now:
        raise _invalid("The retain until date must be in the future!", "RetainUntilDate", text)
    return Retention(mode, until)


def retention_xml(retention: Retention) -> str:
    """The content of a ``Retention``."""
    return element("Mode", retention.mode) + element("RetainUntilDate", to_iso(retention.until))


def parse_legal_hold(body: bytes) -> bool:
    """Whether a ``LegalHold`` document sets one; raises MalformedXML."""
    tree = parse(body, "LegalHold")
    _expect(tree, "Status")
    status = tree.findtext("Status")
    if status not in ("ON", "OFF"):
        raise S3Error("MalformedXML")
    return status == "ON"


def legal_hold_xml(legal_hold: bool) -> str:
    """The content of a ``LegalHold``."""
    return element("Status", "ON" if legal_hold else "OFF")


def _date(text: str) -> datetime | None:
    """A moment of ISO 8601 in UTC, in whole milliseconds; None for what is none."""
    try:
        moment = from_iso(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _count(text: str, name: str, most: int) -> int:
    text = text.strip()
    if not _WHOLE.match(text):
        raise S3Error("MalformedXML")
    count = int(text)
    if count <= 0:
        raise _invalid("Default retention period must be a positive integer value.", name, text)
    if count > most:
        raise _invalid(f"Default retention period too large, the maximum is {most}.", name, text)
    return count


def _expect(node: Element, *names: str) -> None:
    """Let nothing but these elements be in a node, each at most once."""
    found = [child.tag for child in node]
    if len(set(found)) < len(found) or not set(found) <= set(names):
        raise S3Error("MalformedXML")


def _invalid(message: str, name: str, value: str | None = None) -> S3Error:
    fields = {"ArgumentName": name} | ({} if value is None else {"ArgumentValue": value})
    return S3Error("InvalidArgument", message, fields)
