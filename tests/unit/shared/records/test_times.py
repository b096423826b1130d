"""Times as records and answers write them, beside what the standard library makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.records.times import from_iso, now, to_http, to_iso

moments = st.datetimes(timezones=st.just(UTC))


@given(moments)
def test_iso_times_are_those_of_the_standard_library(moment: datetime) -> None:
    plain = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    assert to_iso(moment) == f"{plain}Z"
    assert from_iso(to_iso(moment)) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(moments)
def test_http_times_are_those_of_the_standard_library(moment: datetime) -> None:
    assert to_http(moment) == format_datetime(moment, usegmt=True)


def test_now_is_in_whole_milliseconds_and_utc() -> None:
    before = datetime.now(UTC)
    moment = now()
    assert (before - moment).total_seconds() < 0.001
    assert moment <= datetime.now(UTC)
    assert moment.tzinfo is UTC
    assert moment.microsecond % 1000 == 0
