"""Times as records and S3 answers write them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

_TWO: Final = tuple(f"{number:02d}" for number in range(60))
"""Numbers in two digits: months, days, hours, minutes and seconds."""

_THREE: Final = tuple(f"{number:03d}" for number in range(1000))
"""Milliseconds. To format a number costs as much as all the rest of a time."""

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def now() -> datetime:
    """The current time, in whole milliseconds: what a record can hold."""
    # Of whole milliseconds, a float is exact enough that no microsecond comes out wrong.
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def to_iso(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    # As ``isoformat`` does it, in a tenth of the time.
    date = f"{_year(moment)}-{_TWO[moment.month]}-{_TWO[moment.day]}"
    return f"{date}T{_clock(moment)}.{_THREE[moment.microsecond // 1000]}Z"


def from_iso(text: Any) -> datetime:
    """The time that ``to_iso`` or the original wrote, in UTC; raises ValueError for all else."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, OverflowError) as error:
        raise ValueError("no time") from error


def to_http(moment: datetime) -> str:
    """``Sat, 31 Jan 2026 12:00:00 GMT`` (RFC 9110, section 5.6.7)."""
    # email.utils has this too; here it is in every reply, at a quarter of the cost.
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{_http_day(moment.toordinal())} {_clock(moment)} GMT"


@lru_cache(maxsize=512)
def _http_day(ordinal: int) -> str:
    """The day of such a time. Objects that are read share few of them."""
    day = date.fromordinal(ordinal)
    return f"{_DAYS[day.weekday()]}, {_TWO[day.day]} {_MONTHS[day.month - 1]} {_year(day)}"


def _year(moment: date) -> str:
    return str(moment.year).zfill(4)


def _clock(moment: datetime) -> str:
    return f"{_TWO[moment.hour]}:{_TWO[moment.minute]}:{_TWO[moment.second]}"
