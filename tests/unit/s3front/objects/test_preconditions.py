"""Conditional headers of reads and writes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import (
    IF_MATCH_SIZE,
    IF_MATCH_TIME,
    DeleteConditions,
    check_write,
    entry_conditions,
    header_conditions,
    is_conditional_write,
    is_modified,
)
from s3front.port.request import Headers
from s3front.s3_errors import S3Error

ETAG = "5d41402abc4b2a76b9719d911017c592"
MODIFIED = datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOW = datetime(2024, 5, 2, tzinfo=UTC)
SAME = "Wed, 01 May 2024 12:00:00 GMT"
BEFORE = "Wed, 01 May 2024 11:59:59 GMT"
AFTER = "Wed, 01 May 2024 12:00:01 GMT"


NO_DATES = (
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 99999999999999999999 Jan 2024 00:00:00 GMT",
    "Mon, 01 Jan 2024 99999999999999999999:00:00 GMT",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 2024 00:00:00 +9999",
    "Mon, 01 Jan -5 00:00:00 GMT",
    "\udcff",
    "\u0661\u0662 Jan 2024 00:00:00 GMT",
    ",",
    "0" * 8000,
)


def headers_of(**headers: str) -> Headers:
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    return CIMultiDictProxy(CIMultiDict(pairs))


def read_status(**headers: str) -> int:
    """200, 304 or, for PreconditionFailed, 412."""
    try:
        return 200 if is_modified(headers_of(**headers), ETAG, MODIFIED, lambda: NOW) else 304
    except S3Error as error:
        return error.status


def write_error(current_etag: str | None, **headers: str) -> str | None:
    try:
        check_write(headers_of(**headers), current_etag)
    except S3Error as error:
        return error.code
    return None


def test_no_condition() -> None:
    assert read_status() == 200


@pytest.mark.parametrize(
    ("value", "matches"),
    [
        (f'"{ETAG}"', True),
        (ETAG, True),
        ("*", True),
        (" * ", True),
        (f'W/"{ETAG}"', True),
        (f'"other", "{ETAG}"', True),
        (f'"other","{ETAG}","third"', True),
        ('"other"', False),
        ("", False),
        ('""', False),
        (f'"{ETAG.upper()}"', False),
        (f'"{ETAG}', False),
        ('"*"', False),
    ],
)
def test_matching_etags(value: str, matches: bool) -> None:
    assert read_status(If_Match=value) == (200 if matches else 412)
    assert read_status(If_None_Match=value) == (304 if matches else 200)


@pytest.mark.parametrize(
    ("since", "modified", "unmodified"),
    [
        (BEFORE, 200, 412),
        (SAME, 304, 200),
        (AFTER, 304, 200),
        ("no date", 200, 200),
        ("", 200, 200),
        ("Wed, 01 May 2024 12:00:00", 304, 200),
        ("Wed, 01 May 2024 14:00:00 +0200", 304, 200),
        ("Wed, 99 May 2024 12:00:00 GMT", 200, 200),
        ("Wed, 01 May 99999 12:00:00 GMT", 200, 200),
        ("Wednesday, 01-May-24 12:00:00 GMT", 304, 200),
        # Later than the clock: no valid If-Modified-Since, and nothing has been modified since.
        ("Thu, 02 May 2024 00:00:00 GMT", 304, 200),
        ("Thu, 02 May 2024 00:00:01 GMT", 200, 200),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 200, 200),
        *((date, 200, 200) for date in NO_DATES),
    ],
)
def test_dates(since: str, modified: int, unmodified: int) -> None:
    assert read_status(If_Modified_Since=since) == modified
    assert read_status(If_Unmodified_Since=since) == unmodified


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # The API reference's two pairs (GetObject, "Consideration" of conditional headers).
        ({"If_Match": ETAG, "If_Unmodified_Since": BEFORE}, 200),
        ({"If_None_Match": ETAG, "If_Modified_Since": BEFORE}, 304),
        ({"If_Match": "other", "If_Unmodified_Since": AFTER}, 412),
        ({"If_None_Match": "other", "If_Modified_Since": AFTER}, 200),
        ({"If_Match": "other", "If_None_Match": ETAG}, 412),
        ({"If_Match": ETAG, "If_None_Match": ETAG}, 304),
        ({"If_Match": ETAG, "If_Modified_Since": AFTER}, 304),
        ({"If_Unmodified_Since": BEFORE, "If_None_Match": ETAG}, 412),
        ({"If_Unmodified_Since": BEFORE, "If_Modified_Since": AFTER}, 412),
    ],
)
def test_precedence(headers: dict[str, str], status: int) -> None:
    assert read_status(**headers) == status


@pytest.mark.parametrize(
    ("current_etag", "headers", "code"),
    [
        (None, {}, None),
        (ETAG, {}, None),
        (None, {"If_None_Match": "*"}, None),
        (ETAG, {"If_None_Match": "*"}, "PreconditionFailed"),
        (None, {"If_None_Match": ETAG}, "NotImplemented"),
        (ETAG, {"If_None_Match": ""}, "NotImplemented"),
        (None, {"If_None_Match": '"*"'}, "NotImplemented"),
        (None, {"If_None_Match": f"{ETAG}, *"}, "NotImplemented"),
        (ETAG, {"If_Match": f'"{ETAG}"'}, None),
        (ETAG, {"If_Match": "*"}, "NotImplemented"),
        (ETAG, {"If_Match": "other"}, "PreconditionFailed"),
        (None, {"If_Match": ETAG}, "NoSuchKey"),
        (ETAG, {"If_Match": ""}, "PreconditionFailed"),
        (ETAG, {"If_Match": f'"other", "{ETAG}"'}, None),
        (None, {"If_Match": " * "}, "NotImplemented"),
        (None, {"If_Match": ETAG, "If_None_Match": "*"}, "NotImplemented"),
        (ETAG, {"If_Match": ETAG, "If_None_Match": "*"}, "NotImplemented"),
        (ETAG, {"If_Match": "other", "If_None_Match": ETAG}, "NotImplemented"),
    ],
)
def test_writes(current_etag: str | None, headers: dict[str, str], code: str | None) -> None:
    assert write_error(current_etag, **headers) == code


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        (
            {"If_Match": "*"},
            {
                "Header": "If-Match",
                "additionalMessage": "We don't accept the provided value of If-Match header for "
                "this API",
            },
        ),
        (
            {"If_Match": ETAG, "If_None_Match": "*"},
            {
                "Header": "If-Match,If-None-Match",
                "additionalMessage": "Multiple conditional request headers present in the request",
            },
        ),
    ],
)
def test_a_condition_that_writes_do_not_have_is_named(
    headers: dict[str, str], fields: dict[str, str]
) -> None:
    with pytest.raises(S3Error) as caught:
        check_write(headers_of(**headers), ETAG)
    assert (caught.value.status, caught.value.fields) == (501, fields)


def test_only_the_two_headers_make_a_write_conditional() -> None:
    assert is_conditional_write(headers_of(if_match="*"))
    assert is_conditional_write(headers_of(If_None_Match="*"))
    assert not is_conditional_write(headers_of(If_Modified_Since=SAME))


RECORD = ObjectRecord(
    {"content-md5": ETAG, "content-length": 7, "last-modified": "2024-05-01T12:00:00.250Z"}
)
MARKER = ObjectRecord({**RECORD.document, "isDeleteMarker": True})


@pytest.mark.parametrize(
    ("current", "headers", "code", "condition"),
    [
        (RECORD, {}, None, None),
        (None, {}, None, None),
        (RECORD, {"If-Match": f'"{ETAG}"'}, None, None),
        (RECORD, {"If-Match": "*"}, None, None),
        (RECORD, {"If-Match": "other"}, "PreconditionFailed", "If-Match"),
        (None, {"If-Match": "*"}, "NoSuchKey", None),
        (MARKER, {"If-Match": ETAG}, "NoSuchKey", None),
        (RECORD, {IF_MATCH_TIME: SAME}, None, None),
        (RECORD, {IF_MATCH_TIME: "Wed, 01 May 2024 14:00:00 +0200"}, None, None),
        (RECORD, {IF_MATCH_TIME: BEFORE}, "PreconditionFailed", IF_MATCH_TIME),
        (RECORD, {IF_MATCH_TIME: AFTER}, "PreconditionFailed", IF_MATCH_TIME),
        (None, {IF_MATCH_TIME: BEFORE}, None, None),
        (RECORD, {IF_MATCH_SIZE: "7"}, None, None),
        (RECORD, {IF_MATCH_SIZE: "0"}, "PreconditionFailed", IF_MATCH_SIZE),
        (MARKER, {IF_MATCH_SIZE: "0"}, None, None),
        (RECORD, {"If-Match": ETAG, IF_MATCH_TIME: SAME, IF_MATCH_SIZE: "7"}, None, None),
        (RECORD, {"If-Match": ETAG, IF_MATCH_SIZE: "8"}, "PreconditionFailed", IF_MATCH_SIZE),
        (None, {"If-Match": ETAG, IF_MATCH_SIZE: "7"}, "NoSuchKey", None),
    ],
)
def test_deletions(
    current: ObjectRecord | None, headers: dict[str, str], code: str | None, condition: str | None
) -> None:
    conditions = header_conditions(CIMultiDictProxy(CIMultiDict(headers)))
    assert conditions.any == bool(headers)
    if code is None:
        conditions.check(current)
        return
    with pytest.raises(S3Error) as caught:
        conditions.check(current)
    assert (caught.value.code, caught.value.fields.get("Condition")) == (code, condition)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("LastModifiedTime", ""),
        ("LastModifiedTime", "yesterday"),
        *(("LastModifiedTime", date) for date in NO_DATES),
        ("Size", ""),
        ("Size", "-1"),
        ("Size", "1.5"),
        ("Size", "9" * 19),
    ],
)
def test_a_condition_of_a_deletion_that_is_none(member: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        entry_conditions({member: value}.get)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields == {"ArgumentName": member, "ArgumentValue": value}


@pytest.mark.parametrize(
    ("headers", "any_state"),
    [
        ({}, False),
        ({"If-Match": " * "}, True),
        ({"If-Match": ETAG}, False),
        ({IF_MATCH_SIZE: "7"}, False),
        ({"If-Match": "*", IF_MATCH_SIZE: "7"}, False),
        ({"If-Match": "*", IF_MATCH_TIME: SAME}, False),
    ],
)
def test_a_deletion_of_any_object(headers: dict[str, str], any_state: bool) -> None:
    assert header_conditions(CIMultiDictProxy(CIMultiDict(headers))).any_state is any_state


def test_an_object_to_delete_has_its_conditions_as_members() -> None:
    members = {"ETag": f'"{ETAG}"', "LastModifiedTime": SAME, "Size": "7"}
    time = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
    assert entry_conditions(members.get) == DeleteConditions(f'"{ETAG}"', time, 7)


def test_the_failed_condition_is_named() -> None:
    with pytest.raises(S3Error) as caught:
        is_modified(headers_of(If_Match="other"), ETAG, MODIFIED, lambda: NOW)
    assert caught.value.fields == {"Condition": "If-Match"}
