"""The parts that a multipart upload made an object of.

Our records list them in the member ``parts``, in order, an array ``[size, checksum]`` each: the
locations do not tell, for an empty part has none. Records of the original are without it; there the
location entries say which part they belong to (``dataStoreETag`` is ``<part number>:<md5>``).

Parts of an object are numbered from 1 in their order, whatever their numbers in the upload were:
clients read parts 1 to the number of parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from shared.records.data_location import DataLocation, data_locations
from shared.records.members import size

_CHECKSUM = re.compile("[A-Za-z0-9+/=]{1,128}(-[0-9]{1,5})?")
_PARTS_OF_ETAG = re.compile(r"-([0-9]{1,5})\Z")


class ObjectPart(msgspec.Struct, frozen=True):
    """``size`` in bytes; ``checksum`` is of the object's algorithm, base64, None for none."""

    size: int
    checksum: str | None = None


def parts_member(parts: Sequence[ObjectPart]) -> list[list[Any]]:
    """The record's member."""
    return [[part.size, part.checksum] for part in parts]


def parse_parts(document: Mapping[str, Any]) -> list[ObjectPart] | None:
    """The parts of an object document; None for an object that was not uploaded by parts."""
    listed = document.get("parts")
    if isinstance(listed, list) and all(map(_is_part, listed)):
        return [ObjectPart(size, checksum) for size, checksum in listed]
    match = _PARTS_OF_ETAG.search(str(document.get("content-md5") or ""))
    if match is None:
        return None
    try:
        located = data_locations(document.get("location"), size(document, "content-length"))
    except ValueError:
        located = []
    by_number = groupby(located, _part_number)
    parts = [ObjectPart(sum(location.size for location in group)) for _, group in by_number]
    # An empty last part has no location.
    return parts + [ObjectPart(0)] * (int(match[1]) - len(parts))


def _is_part(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) != len(ObjectPart.__struct_fields__):
        return False
    of_bytes, checksum = entry
    known = checksum is None or (isinstance(checksum, str) and is_checksum(checksum))
    return type(of_bytes) is int and of_bytes >= 0 and known


def is_checksum(found: str) -> bool:
    """Whether a text may be a checksum: Base64, a composite one with the number of parts."""
    return _CHECKSUM.fullmatch(found) is not None


def _part_number(location: DataLocation) -> str:
    return location.store_etag.partition(":")[0]
