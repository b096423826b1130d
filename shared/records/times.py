"""Times as records and S3 answers write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)


def now() -> datetime:
    """The current time, in whole milliseconds: what a record can hold."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_iso(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


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
    clock = f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}"
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {clock} GMT"
