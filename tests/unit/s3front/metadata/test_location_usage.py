"""What is counted of records of every form: each version once, wherever it is repeated."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import astuple
from typing import Any, cast

import pytest

from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.location_usage import LocationUsage, count_usage
from shared.records.names import DELETIONS, METASTORE, UPLOADS_PREFIX

Level = dict[str, Any]


class Records:
    """Sub-levels of records, streamed two at a time."""

    def __init__(self, **levels: Level) -> None:
        self._levels = levels

    async def pages(
        self, sub_level: str, _options: Mapping[str, Any], _request_id: str
    ) -> AsyncGenerator[list[tuple[str, str]], None]:
        records = sorted(self._levels.get(sub_level, {}).items())
        texts = [
            (key, text if isinstance(text, str) else json.dumps(text)) for key, text in records
        ]
        for start in range(0, len(texts), 2):
            yield texts[start : start + 2]


def stored(name: str, size: int, **more: Any) -> dict[str, Any]:
    location = {"key": "k", "size": size, "start": 0, "dataStoreName": name}
    return {"content-length": size, "dataStoreName": name, "location": [location], **more}


async def counted(objects: Level, **levels: Level) -> LocationUsage:
    records = Records(**{METASTORE: {"bucket": {}}, "bucket": objects, **levels})
    return await count_usage(cast(MetadataGateway, records), lambda _count: None)


def figures(usage: LocationUsage) -> dict[str, tuple[int, ...]]:
    return {name: astuple(row) for name, row in usage.by_location.items()}


NONE = (0, 0, 0)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({"a": stored("x", 5)}, {"x": (1, 5, *NONE)}),
        # The record of the key repeats the latest version.
        (
            {
                "a": stored("x", 5, versionId="2"),
                "a\0002": stored("x", 5, versionId="2"),
                "a\0003": stored("y", 7, versionId="3"),
            },
            {"x": (1, 5, *NONE), "y": (1, 7, *NONE)},
        ),
        # A null version that is the latest has the key's record alone.
        (
            {
                "a": stored("x", 5, versionId="9", isNull=True),
                "a\0003": stored("x", 7, versionId="3"),
            },
            {"x": (2, 12, *NONE)},
        ),
        # A key whose latest version was removed, which is to be found again.
        (
            {"a": {"isPHD": True, "versionId": "3"}, "a\0003": stored("x", 7, versionId="3")},
            {"x": (1, 7, *NONE)},
        ),
        (
            {
                "a": {"isDeleteMarker": True, "versionId": "1"},
                "a\0001": {"isDeleteMarker": True, "versionId": "1"},
            },
            {},
        ),
        (
            {"a": {"content-length": 0, "dataStoreName": "x", "location": None}},
            {"x": (1, 0, *NONE)},
        ),
        # Old forms have no location's name.
        ({"a": {"content-length": 5, "location": "key"}}, {"": (1, 5, *NONE)}),
    ],
)
async def test_each_version_counts_once(
    objects: Level, expected: dict[str, tuple[int, ...]]
) -> None:
    usage = await counted(objects)
    assert figures(usage) == expected
    assert usage.unreadable == 0


async def test_an_object_in_several_locations_counts_in_each() -> None:
    pieces = [
        {"key": str(number), "size": 10, "start": number * 10, "dataStoreName": name}
        for number, name in enumerate(("x", "y", "x"))
    ]
    usage = await counted({"a": {"content-length": 30, "location": pieces}})
    assert figures(usage) == {"x": (1, 20, *NONE), "y": (1, 10, *NONE)}


async def test_parts_and_what_is_to_be_removed() -> None:
    part = {"partLocations": stored("x", 8)["location"]}
    uploads = {"overview..|..key..|..id": {}, "id..|..00001": part, "id..|..00002": part}
    deletions = {"entry": {"location": stored("y", 9)["location"]}}
    usage = await counted({}, **{UPLOADS_PREFIX + "bucket": uploads, DELETIONS: deletions})
    assert figures(usage) == {"x": (0, 0, 2, 16, 0), "y": (0, 0, 0, 0, 9)}


@pytest.mark.parametrize(
    "record", ["no JSON", "[]", {"content-length": 1, "location": [{"size": 1}]}]
)
async def test_what_cannot_be_read_is_counted(record: Any) -> None:
    usage = await counted({"a": record, "b": stored("x", 1)})
    assert usage.unreadable == 1
    assert figures(usage)["x"] == (1, 1, *NONE)
