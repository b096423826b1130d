"""Conditional headers of reads and writes. Pure.

Reads follow RFC 9110, section 13.2.2, as S3 documents it for GetObject: If-Match decides before
If-Unmodified-Since, If-None-Match before If-Modified-Since. Writes know If-None-Match and If-Match,
deletions If-Match, a time and a size (Amazon S3 user guide, "Add preconditions to S3 operations").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from s3front.objects.object_record import ObjectRecord
from s3front.port.request import Headers
from s3front.s3_errors import S3Error

IF_MATCH_TIME = "x-amz-if-match-last-modified-time"
IF_MATCH_SIZE = "x-amz-if-match-size"
_SIZE = re.compile(r"[0-9]{1,18}\Z")


def is_modified(
    headers: Headers, etag: str, last_modified: datetime, clock: Callable[[], datetime]
) -> bool:
    """Whether a reader needs the object; False is answered with 304. Raises PreconditionFailed.

    ``etag`` is without quotes. HTTP dates have whole seconds, so fractions do not count. One that
    is later than the ``clock`` is no valid If-Modified-Since (RFC 9110, section 13.1.3).
    """
    # Names in lower case are found in half the time.
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    unmodified, modified = headers.get("if-unmodified-since"), headers.get("if-modified-since")
    if if_match is not None:
        if not _matches(if_match, etag):
            raise _failed("If-Match")
    elif unmodified is not None:
        since = _date(unmodified)
        if since is not None and last_modified.replace(microsecond=0) > since:
            raise _failed("If-Unmodified-Since")
    if if_none_match is not None:
        return not _matches(if_none_match, etag)
    if modified is None:
        return True
    since = _date(modified)
    return since is None or last_modified.replace(microsecond=0) > since or since > clock()


def range_applies(headers: Headers, etag: str, last_modified: datetime) -> bool:
    """Whether the Range of a read counts: If-Range may want it for one state of the object only.

    RFC 9110, section 13.1.5: both validators must be strong, so a weak ETag never matches, nor
    does a date that is merely later.
    """
    if_range = headers.get("If-Range")
    if if_range is None:
        return True
    if_range = if_range.strip()
    if if_range.startswith(('"', "W/")):
        return if_range == f'"{etag}"'
    # S3 gives ETags without quotes in documents, and takes them so in headers.
    return if_range == etag or _date(if_range) == last_modified.replace(microsecond=0)


def check_write(headers: Headers, current_etag: str | None) -> None:
    """Let a write pass, given the ETag of the current object or None when there is none.

    As with AWS it may want that there is no object, or a certain one, and nothing else: all else is
    NotImplemented.
    """
    if_none_match, if_match = headers.get("if-none-match"), headers.get("if-match")
    if if_none_match is not None:
        if if_match is not None:
            raise _unimplemented(
                "If-Match,If-None-Match",
                "Multiple conditional request headers present in the request",
            )
        if if_none_match.strip() != "*":
            raise _unaccepted("If-None-Match")
        if current_etag is not None:
            raise _failed("If-None-Match")
    elif if_match is not None:
        if if_match.strip() == "*":
            raise _unaccepted("If-Match")
        if current_etag is None:
            raise S3Error("NoSuchKey")
        if not _matches(if_match, current_etag):
            raise _failed("If-Match")


def _unaccepted(header: str) -> S3Error:
    text = f"We don't accept the provided value of {header} header for this API"
    return _unimplemented(header, text)


def _unimplemented(header: str, text: str) -> S3Error:
    return S3Error(
        "NotImplemented",
        "A header you provided implies functionality that is not implemented",
        {"Header": header, "additionalMessage": text},
    )


def is_conditional_write(headers: Headers) -> bool:
    """Whether the decision of a write depends on the current object."""
    return "if-match" in headers or "if-none-match" in headers


class DeleteConditions(msgspec.Struct, frozen=True):
    """What must hold of the current object when it is deleted; ``None`` asks for nothing.

    An object that is absent fails the ETag, as S3 has it, and no other condition: there is nothing
    that somebody could have changed.
    """

    etag: str | None = None
    modified: datetime | None = None
    size: int | None = None

    @property
    def any(self) -> bool:
        """Whether the decision depends on the current object."""
        return self != UNCONDITIONAL

    @property
    def any_state(self) -> bool:
        """Whether they want that there is an object, and not a certain one."""
        return (
            self.etag is not None
            and self.etag.strip() == "*"
            and self.modified is None
            and self.size is None
        )

    def check(self, current: ObjectRecord | None) -> None:
        """Let a deletion pass; raises NoSuchKey and PreconditionFailed."""
        if current is None or current.is_delete_marker:
            if self.etag is not None:
                raise S3Error("NoSuchKey")
            return
        if self.etag is not None and not _matches(self.etag, current.etag):
            raise _failed("If-Match")
        if self.modified is not None and self.modified != current.modified.replace(microsecond=0):
            raise _failed(IF_MATCH_TIME)
        if self.size is not None and self.size != current.size:
            raise _failed(IF_MATCH_SIZE)


UNCONDITIONAL = DeleteConditions()


def header_conditions(headers: Headers) -> DeleteConditions:
    """The conditions of a DeleteObject; raises InvalidArgument for a time or size that is none."""
    return _delete_conditions(headers.get, ("If-Match", IF_MATCH_TIME, IF_MATCH_SIZE))


def entry_conditions(member: Callable[[str], str | None]) -> DeleteConditions:
    """The conditions of an object in DeleteObjects, by the texts of its members."""
    return _delete_conditions(member, ("ETag", "LastModifiedTime", "Size"))


def _delete_conditions(
    value: Callable[[str], str | None], names: tuple[str, str, str]
) -> DeleteConditions:
    etag, time, size = (value(name) for name in names)
    modified = _date(time)
    if time is not None and modified is None:
        raise _not_understood(names[1], time)
    if size is not None and _SIZE.match(size.strip()) is None:
        raise _not_understood(names[2], size)
    return DeleteConditions(etag, modified, None if size is None else int(size))


def _not_understood(name: str, value: str) -> S3Error:
    # Unlike those of a read it is not ignored: that would delete what was to be kept.
    return S3Error(
        "InvalidArgument",
        f"The value of {name} is not valid",
        {"ArgumentName": name, "ArgumentValue": value},
    )


def _matches(header: str, etag: str) -> bool:
    if header.strip() == "*":
        return True
    return any(_bare(entry) == etag for entry in header.split(","))


def _bare(entry: str) -> str:
    entry = entry.strip().removeprefix("W/")
    return entry[1:-1] if len(entry) >= 2 and entry[0] == entry[-1] == '"' else entry


def _date(header: str | None) -> datetime | None:
    """The date of a header; one that cannot be read is ignored (RFC 9110, section 13.1.3)."""
    if header is None or not header.isascii():
        return None
    try:
        parsed = parsedate_to_datetime(header)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _failed(condition: str) -> S3Error:
    return S3Error("PreconditionFailed", fields={"Condition": condition})
