"""The method ``list``: the listing algorithms, run next to the data (DESIGN, section 3).

``list(params)`` on a sub-level; ``params.type`` names the algorithm, the others are its own:

``Delimiter``
    ``prefix``, ``delimiter``, ``marker``, ``maxKeys``: names of any sub-level.
    ``Contents`` has ``[name, record]``.
``DelimiterMaster``
    The same parameters, and ``within``: the current objects of a bucket. ``Contents`` has
    ``[key, object]``, an object being the array of
    ``shared.records.projection_fields.ListedObject``. A page that passes very many delete markers
    ends before it is full; ``within`` and ``Within`` are about where it may
    (``shared.listing.delimiter.Query``). With ``packedRows`` true, ``Contents``, unless it is
    empty, is bytes that are attached to the answer, or their base64
    (``shared.records.listed_rows``).
``DelimiterVersions``
    ``prefix``, ``delimiter``, ``keyMarker``, ``versionIdMarker``, ``maxKeys``: all versions.
    ``Versions`` has ``[key, version ID or null, is latest, object]``.

``MPU``
    ``prefix``, ``delimiter``, ``keyMarker``, ``uploadIdMarker``, ``maxKeys``, all in terms of
    objects' keys: the multipart uploads of a bucket, in its sub-level of uploads. ``Uploads`` has
    ``[key, upload ID, upload]``, an upload being the array of
    ``shared.records.upload.ListedUpload``.
``Basic``
    ``gt``, ``gte``, ``lt``, ``lte``, ``start``, ``end``, ``maxKeys``, ``keys``, ``values``,
    ``filterKey``, ``filterKeyStartsWith``: a range of any sub-level. The answer is an array of
    ``{key, value}``, or of one of both when ``values`` or ``keys`` is false.
``DelimiterCurrent``, ``DelimiterNonCurrent``, ``DelimiterOrphanDeleteMarker``
    What lifecycle rules may act on (``shared.listing.delimiter_lifecycle``): ``prefix``,
    ``maxKeys``, ``beforeDate``, ``maxScannedLifecycleListingEntries``; the first two
    ``excludedDataStoreName``; ``keyMarker`` and ``versionIdMarker`` the second, ``marker`` the
    others. ``Contents`` has ``[key, object]``, or ``[key, version ID or null, stale date,
    object]``, an object being the array of ``shared.records.lifecycle.LifecycleObject``.

All but ``Basic`` answer ``IsTruncated``, those before it ``CommonPrefixes``, and, truncated, where
the next page goes on: ``NextMarker``, or ``NextKeyMarker`` and perhaps ``NextVersionIdMarker`` or
``NextUploadIdMarker``.

How a page is read: ``dmd.metadata.page_reader``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from dmd.metadata import record_keys, stored
from dmd.metadata.basic_listing import Basic, BasicQuery
from dmd.metadata.engines.base import Engine
from dmd.metadata.page_reader import Decode, Items, read_page
from dmd.metadata.projection import listed_values, page_rows, shown_values
from shared import limits
from shared.errors import ServiceError
from shared.listing.delimiter import Delimiter, DelimiterMaster, Query
from shared.listing.delimiter_lifecycle import (
    Criteria,
    DelimiterCurrent,
    DelimiterNonCurrent,
    DelimiterOrphanDeleteMarker,
)
from shared.listing.delimiter_uploads import Uploads, UploadsQuery
from shared.listing.delimiter_versions import DelimiterVersions, VersionsQuery
from shared.listing.page import Page
from shared.records.lifecycle import LifecycleObject, lifecycle_object
from shared.records.upload import ListedUpload, listed_upload
from shared.rpc.attachments import Attachments

Params = Mapping[str, Any]

_encode = msgspec.json.Encoder().encode
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


async def list_page(
    engine: Engine, sub_level: Sequence[str], params: Params, attachments: Attachments | None = None
) -> orjson.Fragment:
    """The answer to ``list``, as JSON. Raises ServiceError InvalidArgument.

    ``attachments`` are those of the answer, None when it can have none.
    """
    page, decode = _asked(params)
    if params.get("packedRows") is True and isinstance(page, DelimiterMaster):
        await read_page(engine, sub_level, page, shown_values)
        return orjson.Fragment(_encode(_packed(page, attachments)))
    await read_page(engine, sub_level, page, decode)
    return orjson.Fragment(_encode(page.result()))


def _packed(page: DelimiterMaster, attachments: Attachments | None) -> dict[str, Any]:
    """The answer with a page whose rows are packed: attached, or as base64 where there is no room
    for that."""
    if not page.contents:
        return page.result()
    rows = page_rows(page.contents)
    placeholder = attachments and attachments.attach(rows)
    # The encoder writes bytes as base64.
    return page.result() | {"Contents": placeholder or rows}


def _asked(params: Params) -> tuple[Page, Decode]:
    """The page that is asked for, and what it is to know of stored values."""
    algorithm = _ALGORITHMS.get(_text(params, "type"))
    if algorithm is None:
        raise ServiceError("InvalidArgument", "list: type is none of the algorithms")
    return algorithm.begin(*(read(params) for read in algorithm.readers)), algorithm.decode


def _records(items: Items) -> list[str]:
    return [stored.unpack(key, value).record.decode() for key, value in items]


def _uploads(items: Items) -> list[ListedUpload]:
    return [listed_upload(stored.unpack(key, value).record) for key, value in items]


def _lifecycle_objects(items: Items) -> list[LifecycleObject]:
    return [lifecycle_object(stored.unpack(key, value).record) for key, value in items]


def _query(params: Params) -> Query:
    within = params.get("within")
    if not isinstance(within, bool | None):
        raise ServiceError("InvalidArgument", "list: within must be true or false")
    return Query(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "marker"),
        _count(params),
        within,
    )


def _versions_query(params: Params) -> VersionsQuery:
    return VersionsQuery(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "keyMarker"),
        _optional_text(params, "versionIdMarker"),
        _count(params),
    )


def _uploads_query(params: Params) -> UploadsQuery:
    return UploadsQuery(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "keyMarker"),
        _text(params, "uploadIdMarker"),
        _count(params),
    )


def _criteria(params: Params) -> Criteria:
    before = _optional_text(params, "beforeDate")
    if before is not None and _DATE.fullmatch(before) is None:
        # As text, everything is less than a word: all objects would be listed as expired.
        raise ServiceError("InvalidArgument", "list: beforeDate must be like 2026-01-02T03:04:05Z")
    name = "maxScannedLifecycleListingEntries"
    scanned_max = params.get(name)
    if scanned_max is None:
        scanned_max = limits.LIFECYCLE_SCANNED_MAX
    if not isinstance(scanned_max, int) or isinstance(scanned_max, bool) or scanned_max < 1:
        raise ServiceError("InvalidArgument", f"list: {name} must be a positive number")
    return Criteria(before, _optional_text(params, "excludedDataStoreName"), scanned_max)


def _basic_query(params: Params) -> BasicQuery:
    bounds = {
        name: _text(params, name)
        for name in ("gt", "gte", "start", "lt", "lte", "end")
        if params.get(name) is not None
    }
    first = bounds.get("gte", bounds.get("start", ""))
    last = bounds.get("lte", bounds.get("end"))
    end = None if last is None else last + "\0"
    return BasicQuery(
        bounds["gt"] + "\0" if "gt" in bounds else first,
        bounds.get("lt", end),
        _count(params, limits.BASIC_LIST_KEYS_MAX),
        _optional_text(params, "filterKey"),
        _optional_text(params, "filterKeyStartsWith"),
        params.get("keys") is not False,
        params.get("values") is not False,
    )


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ServiceError("InvalidArgument", f"list: {name} must be a string")
    record_keys.encode(value)
    return value


def _optional_text(params: Params, name: str) -> str | None:
    return None if params.get(name) is None else _text(params, name)


def _count(params: Params, most: int = limits.LIST_KEYS_MAX) -> int:
    value = params.get("maxKeys", most)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ServiceError("InvalidArgument", "list: maxKeys must be a number")
    return max(0, min(value, most))


class _Algorithm(msgspec.Struct, frozen=True):
    """How a page begins: with what is read in the parameters; and what it is to know of values."""

    begin: Callable[..., Page]
    readers: Sequence[Callable[[Params], Any]]
    decode: Decode


_ALGORITHMS: Final = {
    "Delimiter": _Algorithm(Delimiter, [_query], _records),
    "DelimiterMaster": _Algorithm(DelimiterMaster, [_query], listed_values),
    "DelimiterVersions": _Algorithm(DelimiterVersions, [_versions_query], listed_values),
    "MPU": _Algorithm(Uploads, [_uploads_query], _uploads),
    "Basic": _Algorithm(Basic, [_basic_query], _records),
    "DelimiterCurrent": _Algorithm(DelimiterCurrent, [_query, _criteria], _lifecycle_objects),
    "DelimiterNonCurrent": _Algorithm(
        DelimiterNonCurrent, [_versions_query, _criteria], _lifecycle_objects
    ),
    "DelimiterOrphanDeleteMarker": _Algorithm(
        DelimiterOrphanDeleteMarker, [_query, _criteria], _lifecycle_objects
    ),
}

TYPES: Final = tuple(_ALGORITHMS)
"""The names of the algorithms, as the manifest has them."""
