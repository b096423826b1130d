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

All answer ``CommonPrefixes`` and ``IsTruncated``, and, truncated, where the next page goes on:
``NextMarker``, or ``NextKeyMarker`` and perhaps ``NextVersionIdMarker``.

A page is read in slices, each from a short snapshot of its own, and other calls run between them:
a page that has to pass a million hidden keys delays nobody. What a page skips (a common prefix, the
versions of a key), it seeks past.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from dmd.metadata import keys, stored
from dmd.metadata.engines.base import Engine, Reader
from dmd.metadata.projection import listed_values
from shared import limits
from shared.errors import ServiceError
from shared.listing.delimiter import Delimiter, DelimiterMaster, Query
from shared.listing.page import Page, Verdict
from shared.listing.versions import DelimiterVersions, VersionsQuery

_SLICE_KEYS = 1000
"""Keys that are looked at in one snapshot: a few milliseconds."""

_READ_FIRST = 32
_READ_MAX = 256
_SEEK_KEYS = 16
"""A seek, and what is done once for what was read, cost about as much as passing so many keys."""

_SEEKS = 32
"""Keys that are read alone, when passing others costs more, before a look at what follows them."""

_encode = msgspec.json.Encoder().encode


Items = Sequence[tuple[bytes, bytes]]
Decode = Callable[[Items], Sequence[Any]]
"""What a listing is to know of stored values, which are given with their keys."""


async def list_page(
    engine: Engine, sub_level: Sequence[str], params: Mapping[str, Any]
) -> orjson.Fragment:
    """The answer to ``list``, as JSON. Raises ServiceError InvalidArgument."""
    match params.get("type"):
        case "Delimiter":
            names = Delimiter(_query(params))
            await _run(engine, sub_level, names, _records)
            return orjson.Fragment(_encode(_names_page(names)))
        case "DelimiterMaster":
            objects = DelimiterMaster(_query(params))
            await _run(engine, sub_level, objects, listed_values)
            return orjson.Fragment(_encode(_names_page(objects)))
        case "DelimiterVersions":
            versions = DelimiterVersions(_versions_query(params))
            await _run(engine, sub_level, versions, listed_values)
            return orjson.Fragment(_encode(_versions_page(versions)))
    raise ServiceError("InvalidArgument", "list: type is none of the algorithms")


class _Stride:
    """How many keys to read at a time: many while most of them matter, one and then a seek where
    a key is followed by many that are passed, its versions or the rest of a common prefix."""

    def __init__(self) -> None:
        self.keys = _READ_FIRST
        self._seeks_left = 0

    @property
    def alone(self) -> bool:
        return self.keys == 1

    def learn(self, read: int, used: int) -> None:
        """``used`` of the keys that were read mattered."""
        if self._seeks_left:
            self._seeks_left -= 1
            self.keys = 1 if self._seeks_left else _SEEK_KEYS
        elif read >= used * _SEEK_KEYS:
            self.keys, self._seeks_left = 1, _SEEKS
        else:
            self.keys = min(self.keys * 4, _READ_MAX)


async def _run(engine: Engine, sub_level: Sequence[str], page: Page, decode: Decode) -> None:
    """Feed a page its range."""
    base = keys.prefix(sub_level)
    options = {"gte": page.first_key}
    if page.end_key is not None:
        options["lt"] = page.end_key
    lower, upper = keys.range_of(sub_level, options)
    stride = _Stride()
    while lower < upper:
        with engine.snapshot() as reader:
            following = _slice(reader, base, (lower, upper), page, decode, stride)
        if following is None:
            return
        lower = following
        await asyncio.sleep(0)  # whoever waits has a turn
    page.finish()


def _slice(
    reader: Reader, base: bytes, bounds: keys.Range, page: Page, decode: Decode, stride: _Stride
) -> bytes | None:
    """Feed a page some keys; where to go on, None when the page is complete."""
    lower, upper = bounds
    left = _SLICE_KEYS
    while left > 0 and lower < upper:
        # There is one more to read than the page takes: it tells whether the page is the last.
        count = stride.keys if stride.alone else min(stride.keys, max(page.room + 1, _SEEK_KEYS))
        items = reader.first(lower, upper, count)
        used = 0

        def values(indexes: Sequence[int], items: Items = items) -> Sequence[Any]:
            nonlocal used
            used += len(indexes)
            return decode([items[index] for index in indexes])

        names = [key[len(base) :].decode() for key, _ in items]
        if stride.alone and items:
            verdict = page.offer(names[0], decode(items)[0])
            used = 1
        else:
            verdict = page.offer_many(names, values)
        if verdict is Verdict.FINISHED:
            return None
        if len(items) < count:
            return upper
        stride.learn(count, used)
        left -= count
        lower = base + page.resume_key.encode()
    return lower


def _records(items: Items) -> list[str]:
    return [stored.unpack(key, value).record.decode() for key, value in items]


def _query(params: Mapping[str, Any]) -> Query:
    return Query(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "marker"),
        _count(params),
    )


def _versions_query(params: Mapping[str, Any]) -> VersionsQuery:
    version = params.get("versionIdMarker")
    if version is not None:
        version = _text(params, "versionIdMarker")
    return VersionsQuery(
        _text(params, "prefix"),
        _text(params, "delimiter"),
        _text(params, "keyMarker"),
        version,
        _count(params),
    )


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ServiceError("InvalidArgument", f"list: {name} must be a string")
    keys.encode(value)
    return value


def _count(params: Mapping[str, Any]) -> int:
    value = params.get("maxKeys", limits.LIST_KEYS_MAX)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ServiceError("InvalidArgument", "list: maxKeys must be a number")
    return max(0, min(value, limits.LIST_KEYS_MAX))


def _names_page(page: Delimiter) -> dict[str, Any]:
    result: dict[str, Any] = {
        "Contents": page.contents,
        "CommonPrefixes": page.common_prefixes,
        "IsTruncated": page.is_truncated,
    }
    if page.is_truncated:
        result["NextMarker"] = page.last_entry
    return result


def _versions_page(page: DelimiterVersions) -> dict[str, Any]:
    result: dict[str, Any] = {
        "Versions": [
            (version.name, version.version_id, version.is_latest, version.value)
            for version in page.versions
        ],
        "CommonPrefixes": page.common_prefixes,
        "IsTruncated": page.is_truncated,
    }
    if page.is_truncated:
        result["NextKeyMarker"] = page.next_key_marker
        if page.next_version_id_marker is not None:
            result["NextVersionIdMarker"] = page.next_version_id_marker
    return result
