"""The method ``list``: the listing algorithms, run next to the data (DESIGN, section 3).

``list(params)`` on a sub-level; ``params.type`` names the algorithm, the others are its own:

``Delimiter``
    ``prefix``, ``delimiter``, ``marker``, ``maxKeys``: names of any sub-level.
    ``Contents`` has ``[name, record]``.
``DelimiterMaster``
    The same parameters: the current objects of a bucket. ``Contents`` has ``[key, object]``, an
    object being the array of ``shared.records.projection.ListedObject``.
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

The others answer ``CommonPrefixes`` and ``IsTruncated``, and, truncated, where the next page goes
on: ``NextMarker``, or ``NextKeyMarker`` and perhaps ``NextVersionIdMarker`` or
``NextUploadIdMarker``.

How a page is read: ``dmd.metadata.page_reader``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from dmd.metadata import keys, stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.page_reader import Decode, Items, read_page
from dmd.metadata.projection import listed_values
from shared import limits
from shared.errors import ServiceError
from shared.listing.basic import Basic, BasicQuery
from shared.listing.delimiter import Delimiter, DelimiterMaster, Query
from shared.listing.page import Page
from shared.listing.uploads import Uploads, UploadsQuery
from shared.listing.versions import DelimiterVersions, VersionsQuery
from shared.records.upload import ListedUpload, listed_upload

_encode = msgspec.json.Encoder().encode


async def list_page(
    engine: Engine, sub_level: Sequence[str], params: Mapping[str, Any]
) -> orjson.Fragment:
    """The answer to ``list``, as JSON. Raises ServiceError InvalidArgument."""
    page, decode = _asked(params)
    await read_page(engine, sub_level, page, decode)
    return orjson.Fragment(_encode(page.result()))


def _asked(params: Mapping[str, Any]) -> tuple[Page, Decode]:
    """The page that is asked for, and what it is to know of stored values."""
    match params.get("type"):
        case "Delimiter":
            return Delimiter(_query(params)), _records
        case "DelimiterMaster":
            return DelimiterMaster(_query(params)), listed_values
        case "DelimiterVersions":
            return DelimiterVersions(_versions_query(params)), listed_values
        case "MPU":
            return Uploads(_uploads_query(params)), _uploads
        case "Basic":
            return Basic(_basic_query(params)), _records
    raise ServiceError("InvalidArgument", "list: type is none of the algorithms")


def _records(items: Items) -> list[str]:
    return [stored.unpack(key, value).record.decode() for key, value in items]


def _uploads(items: Items) -> list[ListedUpload]:
    return [listed_upload(stored.unpack(key, value).record) for key, value in items]


def _query(params: Mapping[str, Any]) -> Query:
    return Query(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "marker"),
        _count(params),
    )


def _versions_query(params: Mapping[str, Any]) -> VersionsQuery:
    return VersionsQuery(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "keyMarker"),
        _optional_text(params, "versionIdMarker"),
        _count(params),
    )


def _uploads_query(params: Mapping[str, Any]) -> UploadsQuery:
    return UploadsQuery(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "keyMarker"),
        _text(params, "uploadIdMarker"),
        _count(params),
    )


def _basic_query(params: Mapping[str, Any]) -> BasicQuery:
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


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ServiceError("InvalidArgument", f"list: {name} must be a string")
    keys.encode(value)
    return value


def _optional_text(params: Mapping[str, Any], name: str) -> str | None:
    return None if params.get(name) is None else _text(params, name)


def _count(params: Mapping[str, Any], most: int = limits.LIST_KEYS_MAX) -> int:
    value = params.get("maxKeys", most)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ServiceError("InvalidArgument", "list: maxKeys must be a number")
    return max(0, min(value, most))
