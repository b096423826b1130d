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
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import orjson

from dmd.metadata import keys, stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.projection import listed_value
from shared import limits
from shared.errors import ServiceError
from shared.listing.delimiter import Delimiter, DelimiterMaster, Query, Verdict
from shared.listing.versions import DelimiterVersions, VersionsQuery

_SLICE_KEYS = 1000
"""Keys that are looked at in one snapshot: a few milliseconds."""

_SKIPPED_BY_READING = 8
"""A seek costs about as much as so many keys."""

_encode = msgspec.json.Encoder().encode


class Algorithm(Protocol):
    """What the algorithms of ``shared.listing`` have in common."""

    @property
    def first_key(self) -> str: ...

    @property
    def end_key(self) -> str | None: ...

    @property
    def skip_to(self) -> str | None: ...

    def offer(self, key: str, value: Any) -> Verdict: ...

    def finish(self) -> None: ...


async def list_page(
    engine: Engine, sub_level: Sequence[str], params: Mapping[str, Any]
) -> orjson.Fragment:
    """The answer to ``list``, as JSON. Raises ServiceError InvalidArgument."""
    match params.get("type"):
        case "Delimiter":
            names = Delimiter(_query(params))
            await _run(engine, sub_level, names, with_records=True)
            return orjson.Fragment(_encode(_names_page(names)))
        case "DelimiterMaster":
            objects = DelimiterMaster(_query(params))
            await _run(engine, sub_level, objects)
            return orjson.Fragment(_encode(_names_page(objects)))
        case "DelimiterVersions":
            versions = DelimiterVersions(_versions_query(params))
            await _run(engine, sub_level, versions)
            return orjson.Fragment(_encode(_versions_page(versions)))
    raise ServiceError("InvalidArgument", "list: type is none of the algorithms")


async def _run(
    engine: Engine, sub_level: Sequence[str], page: Algorithm, *, with_records: bool = False
) -> None:
    """Feed a page its range."""
    start = len(keys.prefix(sub_level))
    options = {"gte": page.first_key}
    if page.end_key is not None:
        options["lt"] = page.end_key
    lower, upper = keys.range_of(sub_level, options)
    while True:
        following = _slice(engine, lower, upper, start, page, with_records=with_records)
        if following is None:
            return
        lower = following
        await asyncio.sleep(0)  # whoever waits has a turn


def _slice(
    engine: Engine, lower: bytes, upper: bytes, start: int, page: Algorithm, *, with_records: bool
) -> bytes | None:
    """Feed a page some keys from one snapshot; where to go on, None when the page is complete."""
    left = _SLICE_KEYS
    offer, finished = page.offer, Verdict.FINISHED
    with engine.snapshot() as reader:
        while lower < upper:
            skip_to: bytes | None = None
            skipped = 0
            for key, value in reader.range(lower, upper):
                left -= 1
                if left < 0:
                    return key
                if skip_to is not None and key < skip_to:
                    skipped += 1
                    if skipped > _SKIPPED_BY_READING:
                        break
                    continue
                item = (
                    stored.unpack(key, value).record.decode()
                    if with_records
                    else listed_value(key, value)
                )
                if offer(key[start:].decode(), item) is finished:
                    return None
                name = page.skip_to
                skip_to = None if name is None else lower[:start] + name.encode()
                skipped = 0
            else:
                break
            assert skip_to is not None
            lower = skip_to
    page.finish()
    return None


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
