"""The Range header of a GET. Pure (RFC 9110, section 14; Amazon S3 API reference, GetObject)."""

from __future__ import annotations

import re

import msgspec

from s3front.s3_errors import S3Error

_RANGE = re.compile(r"bytes=\s*(\d{0,40})\s*-\s*(\d{0,40})\s*\Z")


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes ``start`` to ``end``, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start + 1


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The part of an object of ``size`` bytes that a header asks for; None for the whole.

    A header of another form, several ranges included, is ignored; one that no byte satisfies is
    InvalidRange. The last bytes of an object that has none are all of it, as for AWS and RFC 9110
    (section 14.1.2: a suffix longer than the representation is the whole of it).
    """
    if header is None:
        return None
    match = _RANGE.match(header)
    if match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        if size == 0 and int(last) > 0:
            return None
        length = min(int(last), size)
        start, end = size - length, size - 1
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        end = min(int(last), size - 1) if last else size - 1
    if start > end or start >= size:
        raise S3Error(
            "InvalidRange", fields={"RangeRequested": header, "ActualObjectSize": str(size)}
        )
    return ByteRange(start, end)
