"""Wrapping keys anew: what becomes of records whose keys cannot be."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from s3front.encryption.key_wrapping import (
    BoundTo,
    WrappingKey,
    wrapped_members,
)
from s3front.encryption.segments import new_blob_key
from s3front.encryption.sse import AES256, ALGORITHM_MEMBER
from s3front.keys.base import KeeperError, KeyContext, KeyTrouble
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.sealing import Keys
from s3front.locations.registry import LocationRegistry
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import OF_ONE_JOB_MAX
from s3front.work.key_rotation import ROTATION, WAIT_SECONDS, KeyRotationWorker
from s3front.work.walked_records import PAGE_PARTS
from s3front.work.worker import Pace, Tools
from shared.records.names import DEAD_LETTERS, KEY_JOBS, METASTORE
from shared.records.upload import overview_key, part_key, uploads_level
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin
from tests.unit.s3front.places import OneKey

BUCKET = "photos"
OLD = "vault:old"
OTHER = "kmip:old"
BY_S3 = {ALGORITHM_MEMBER: AES256}


class Service(OneKey):
    """A service whose key was replaced. ``cannot_open`` and ``cannot_wrap`` are what it answers,
    ``asked`` is how often it was to open something."""

    def __init__(self, name: str = "vault") -> None:
        self.name = name
        self.asked = 0
        self.cannot_open: KeyTrouble | None = None
        self.cannot_wrap: KeyTrouble | None = None

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        if key_id is None and self.cannot_wrap is not None:
            raise KeeperError(self.cannot_wrap, "A message.", "a reason")
        return WrappingKey(f"{self.name}:{key_id or 'new'}", self.secret, "wrapped")

    async def opened(self, key_id: str, wrapped: str, context: KeyContext) -> bytes:
        self.asked += 1
        if self.cannot_open is not None:
            raise KeeperError(self.cannot_open, "A message.")
        return self.secret


class Rotation:
    """A bucket with objects under retired keys of services."""

    def __init__(self) -> None:
        self.metadata = MetadataTwin()
        self.metadata.records[METASTORE, BUCKET] = "{}", 1
        self.service = Service()
        self.now = 1000.0
        self.other = Service("kmip")
        keys = Keys({"vault": self.service, "kmip": self.other}, self.service)

        def clock() -> float:
            return self.now

        nowhere = cast(LocationRegistry, None)
        tools = Tools(self.metadata, nowhere, 0, RecordingLog(), clock, clock, keys=keys)
        self.worker = KeyRotationWorker(tools)

    def put(self, key: str, under: str = OLD) -> None:
        self.metadata.records[BUCKET, key] = json.dumps({**BY_S3, **_located(key, under)}), 2

    def put_parts(self, key: str, upload: str, count: int) -> None:
        level = uploads_level(BUCKET)
        self.metadata.records[level, overview_key(key, upload)] = json.dumps(BY_S3), 2
        for number in range(1, count + 1):
            document = {"partLocations": _located(key)["location"]}
            self.metadata.records[level, part_key(upload, number)] = json.dumps(document), 2

    def keys_of_parts(self) -> set[str]:
        return {
            json.loads(text)["partLocations"][0]["masterKeyId"]
            for (level, _), (text, _) in self.metadata.records.items()
            if level == uploads_level(BUCKET) and "partLocations" in text
        }

    def key_of(self, key: str) -> str:
        (location,) = json.loads(self.metadata.text(BUCKET, key) or "")["location"]
        return str(location["masterKeyId"])

    async def work(self, *retired: str) -> None:
        for key in retired or (OLD,):
            await RetiredKeys(self.metadata).add(key)
        for _ in range(50):
            if await self.worker.step() is not Pace.BUSY:
                return
        raise AssertionError(self.progress)

    @property
    def progress(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.metadata.text(KEY_JOBS, ROTATION) or "")
        return found

    @property
    def letters(self) -> int:
        return sum(level == DEAD_LETTERS for level, _ in self.metadata.records)


def _located(key: str, under: str = OLD) -> dict[str, Any]:
    by = WrappingKey(under, Service.secret, "wrapped")
    members = wrapped_members(new_blob_key(), by, BoundTo(BUCKET, key), 1)
    return {"location": [{"key": "blob", "size": 1, **members}]}


@pytest.fixture
def rotation() -> Rotation:
    return Rotation()


async def test_keys_are_wrapped_by_the_current_one(rotation: Rotation) -> None:
    rotation.put("a")
    await rotation.work()
    assert rotation.key_of("a") == "vault:new"
    assert rotation.letters == 0


async def test_so_are_all_parts_of_large_uploads(rotation: Rotation) -> None:
    for number, count in enumerate((2 * PAGE_PARTS + 7, 1, PAGE_PARTS)):
        rotation.put_parts(f"key-{number}", f"{number:032x}", count)
    await rotation.work()
    assert rotation.keys_of_parts() == {"vault:new"}
    assert rotation.progress["rewrapped"] == 3 * PAGE_PARTS + 8


async def test_so_many_failures_are_dead_letters_and_the_others_are_counted(
    rotation: Rotation,
) -> None:
    for number in range(OF_ONE_JOB_MAX + 250):
        rotation.put(f"{number:04}")
    rotation.service.cannot_open = KeyTrouble.DISABLED
    await rotation.work()
    assert rotation.progress["failed"] == OF_ONE_JOB_MAX + 250
    assert rotation.letters == OF_ONE_JOB_MAX


@pytest.mark.parametrize("trouble", [KeyTrouble.DENIED, KeyTrouble.NOT_FOUND, KeyTrouble.DISABLED])
async def test_without_a_key_to_wrap_by_it_waits(rotation: Rotation, trouble: KeyTrouble) -> None:
    rotation.put("a")
    rotation.service.cannot_wrap = trouble
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await rotation.work()
    assert rotation.letters == 0
    rotation.service.cannot_wrap = None
    await rotation.work()
    assert rotation.key_of("a") == "vault:new"


async def test_a_service_that_is_away_holds_up_no_other(rotation: Rotation) -> None:
    for number in range(300):
        rotation.put(f"{number:03}", OLD if number % 2 else OTHER)
    rotation.service.cannot_open = KeyTrouble.AWAY
    await rotation.work(OLD, OTHER)
    assert {rotation.key_of(f"{number:03}") for number in range(0, 300, 2)} == {"kmip:new"}
    assert rotation.key_of("001") == OLD
    assert rotation.service.asked == 1
    assert rotation.letters == 0

    rotation.service.cannot_open = None
    await rotation.work()
    assert rotation.key_of("001") == OLD  # it is not asked without a pause
    rotation.now += WAIT_SECONDS
    await rotation.work()
    assert {rotation.key_of(f"{number:03}") for number in range(1, 300, 2)} == {"vault:new"}


async def test_all_is_gone_over_more_and_more_seldom_for_one_that_stays_away(
    rotation: Rotation,
) -> None:
    rotation.put("a")
    rotation.service.cannot_open = KeyTrouble.AWAY
    for _ in range(1200):
        await rotation.work(OLD, OTHER)
        rotation.now += WAIT_SECONDS
    hours = 1200 * WAIT_SECONDS / 3600
    assert hours <= rotation.service.asked <= hours + 10


async def test_one_that_is_away_is_waited_for_where_there_is_nothing_else(
    rotation: Rotation,
) -> None:
    rotation.put("a")
    rotation.service.cannot_open = KeyTrouble.AWAY
    with pytest.raises(S3Error, match="ServiceUnavailable"):
        await rotation.work()
    rotation.service.cannot_open = None
    await rotation.work()
    assert rotation.key_of("a") == "vault:new"
