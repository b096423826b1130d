"""Times as records and S3 answers write them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime


def now() -> datetime:
    """The current time, in whole milliseconds: what a record can hold."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_iso(moment: datetime) -> str:
    """``2026-01-31T12:00:00.000Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def from_iso(text: str) -> datetime:
    """The time that ``to_iso`` or the original wrote; raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def to_http(moment: datetime) -> str:
    """``Sat, 31 Jan 2026 12:00:00 GMT`` (RFC 9110, section 5.6.7)."""
    return format_datetime(moment, usegmt=True)
