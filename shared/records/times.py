"""Times as records and S3 answers write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
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
    moment = moment.astimezone(UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {_TWO[moment.day]} {month} {_year(moment)} {_clock(moment)} GMT"


def _year(moment: datetime) -> str:
    return str(moment.year).zfill(4)


def _clock(moment: datetime) -> str:
    return f"{_TWO[moment.hour]}:{_TWO[moment.minute]}:{_TWO[moment.second]}"
