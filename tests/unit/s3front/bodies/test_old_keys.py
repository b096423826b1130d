"""Bytes whose key was given out long ago: they are not committed, as it may have been removed."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from s3front.bodies.checksums import Algorithm
from s3front.bodies.object_writer import store_body
from s3front.bodies.stored_body import Destination, StoredBody, check_age
from s3front.encryption.key_wrapping import WrappingKey
from s3front.encryption.sse import Protection
from s3front.keys.sealing import Keys, Sealing
from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.bodies.test_stored_files import upload
from tests.unit.s3front.places import BOUND, INFO, OneKey, PlaceOfFiles, context_of

COMMIT_SECONDS_MAX = 3600.0


async def stored(sealing: Sealing, size: int) -> StoredBody:
    place = PlaceOfFiles()
    body = upload(b"x" * size)
    return await store_body(
        context_of(place), body, Destination(place, "here", INFO, 1, sealing), Algorithm.CRC64NVME
    )


def check(body: StoredBody) -> None:
    services = SimpleNamespace(commit_seconds_max=COMMIT_SECONDS_MAX)
    check_age(cast(Any, SimpleNamespace(services=services, log=RecordingLog())), body.complete_at)


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_bytes_may_be_new_and_their_key_too_old(size: int) -> None:
    def sealing(seconds: float) -> Sealing:
        key = WrappingKey("file:only", OneKey.secret)
        return Sealing(key, BOUND, {}, boot_seconds() - seconds)

    check(await stored(sealing(COMMIT_SECONDS_MAX - 600), size))
    with pytest.raises(S3Error) as caught:
        check(await stored(sealing(COMMIT_SECONDS_MAX + 1), size))
    assert caught.value.code == "ServiceUnavailable"


async def test_the_moment_is_before_the_key_is_asked_for() -> None:
    class Slow(OneKey):
        asked_at = math.nan

        async def wrapping_key(self, key_id: str | None, context: Any) -> WrappingKey:
            self.asked_at = boot_seconds()
            return await super().wrapping_key(key_id, context)

    keeper, before = Slow(), boot_seconds()
    sealing = await Keys({"file": keeper}, keeper).sealing(Protection(), BOUND)
    assert before <= sealing.given_at <= keeper.asked_at


async def test_a_clients_own_key_does_not_grow_old() -> None:
    sealing = await Keys({}, None).sealing(Protection(customer_key=bytes(32)), BOUND)
    assert sealing.given_at == math.inf
