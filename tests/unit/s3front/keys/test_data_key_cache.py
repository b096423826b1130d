"""How long, and for how many objects, the keys of a key service are used without asking it."""

from __future__ import annotations

import asyncio

import pytest

from s3front.keys.base import KeeperError, KeyTrouble
from s3front.keys.data_key_cache import FRESH_SECONDS, CachedKeys, CacheLimits
from tests.unit.dmd.metadata.support import until
from tests.unit.s3front.keys.scripted_keys import (
    BUCKET,
    OBJECT,
    Clock,
    ScriptedKeys,
    Trouble,
    away,
    is_disabled,
    not_allowed,
)

LIMITS = CacheLimits(reuse_seconds=30.0, uses_max=3, open_seconds=300.0, keys_max=4)


class Stage:
    """A cache around a scripted keeper."""

    def __init__(self, limits: CacheLimits = LIMITS) -> None:
        self.service = ScriptedKeys()
        self.clock = Clock()
        self.cache = CachedKeys(self.service, limits, self.clock)


async def test_one_data_key_serves_the_next_objects_of_a_bucket() -> None:
    stage = Stage()

    keys = [await stage.cache.wrapping_key(None, BUCKET) for _ in range(3)]

    assert len({key.secret for key in keys}) == 1
    assert stage.service.asked == ["wrapping_key"]


async def test_a_data_key_serves_only_so_many_objects() -> None:
    stage = Stage()

    keys = [await stage.cache.wrapping_key(None, BUCKET) for _ in range(7)]

    assert [key.secret for key in keys] == [
        keys[0].secret, keys[0].secret, keys[0].secret,
        keys[3].secret, keys[3].secret, keys[3].secret,
        keys[6].secret,
    ]  # fmt: skip
    assert len(stage.service.asked) == 3


async def test_a_data_key_is_not_used_for_new_objects_for_longer_than_was_said() -> None:
    stage = Stage()
    first = await stage.cache.wrapping_key(None, BUCKET)
    stage.clock.now += 30.0

    assert (await stage.cache.wrapping_key(None, BUCKET)).secret != first.secret


async def test_other_keys_and_contexts_have_data_keys_of_their_own() -> None:
    stage = Stage()
    contexts = (BUCKET, {**BUCKET, "department": "finance"})

    keys = [
        await stage.cache.wrapping_key(key_id, context)
        for key_id in (None, "other")
        for context in contexts
    ]

    assert len({key.secret for key in keys}) == 4


async def test_a_data_key_of_one_object_is_never_used_for_another_one() -> None:
    stage = Stage()

    keys = [await stage.cache.wrapping_key(None, OBJECT) for _ in range(3)]

    assert len({key.secret for key in keys}) == 3


async def test_nothing_is_reused_when_that_is_turned_off() -> None:
    stage = Stage(CacheLimits(reuse_seconds=0, open_seconds=0))

    key = await stage.cache.wrapping_key(None, BUCKET)
    await stage.cache.wrapping_key(None, BUCKET)
    await stage.cache.opened("current", key.wrapped, BUCKET)

    assert stage.service.asked == ["wrapping_key", "wrapping_key", "opened"]


@pytest.mark.parametrize("context", [BUCKET, OBJECT], ids=["bucket", "object"])
async def test_what_was_written_here_is_read_without_asking(context: dict[str, str]) -> None:
    stage = Stage()
    key = await stage.cache.wrapping_key(None, context)

    assert await stage.cache.opened("current", key.wrapped, context) == key.secret
    assert stage.service.asked == ["wrapping_key"]


async def test_what_was_opened_opens_more_of_the_same_and_nothing_else() -> None:
    stage = Stage()
    for _ in range(3):
        await stage.cache.opened("current", "wrapped-7", BUCKET)
    assert stage.service.asked == ["opened"]

    await stage.cache.opened("current", "wrapped-8", BUCKET)
    await stage.cache.opened("other", "wrapped-7", BUCKET)
    await stage.cache.opened("current", "wrapped-7", OBJECT)

    assert len(stage.service.asked) == 4


async def test_the_keys_of_the_original_are_kept_too() -> None:
    stage = Stage()

    for _ in range(3):
        assert await stage.cache.open_original("master", b"key") == b"key".rjust(32, b"\0")

    assert stage.service.asked == ["open_original"]


async def test_requests_for_one_key_share_one_call() -> None:
    stage = Stage(CacheLimits(uses_max=100))
    stage.service.gate = asyncio.Event()

    writers = [asyncio.create_task(stage.cache.wrapping_key(None, BUCKET)) for _ in range(20)]
    readers = [
        asyncio.create_task(stage.cache.opened("current", "wrapped-7", BUCKET)) for _ in range(20)
    ]
    await until(lambda: len(stage.service.asked) == 2)
    stage.service.gate.set()

    assert len({key.secret for key in await asyncio.gather(*writers)}) == 1
    assert len(set(await asyncio.gather(*readers))) == 1
    assert sorted(stage.service.asked) == ["opened", "wrapping_key"]


async def test_more_requests_than_a_key_may_serve_get_more_keys() -> None:
    stage = Stage()
    stage.service.gate = asyncio.Event()
    writers = [asyncio.create_task(stage.cache.wrapping_key(None, BUCKET)) for _ in range(8)]
    await until(lambda: bool(stage.service.asked))
    stage.service.gate.set()

    keys = [key.secret for key in await asyncio.gather(*writers)]

    assert sorted(keys.count(key) for key in set(keys)) == [2, 3, 3]


async def test_a_request_that_goes_away_takes_nothing_from_the_others() -> None:
    stage = Stage()
    stage.service.gate = asyncio.Event()
    first = asyncio.create_task(stage.cache.opened("current", "wrapped-7", BUCKET))
    second = asyncio.create_task(stage.cache.opened("current", "wrapped-7", BUCKET))
    await until(lambda: bool(stage.service.asked))

    first.cancel()
    stage.service.gate.set()

    assert await second == (7).to_bytes(32, "big")


async def test_each_request_gets_an_error_of_its_own() -> None:
    stage = Stage()
    stage.service.trouble = away
    asking = [stage.cache.opened("current", "wrapped-7", BUCKET) for _ in range(2)]

    first, second = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(first, KeeperError)
    assert isinstance(second, KeeperError)
    assert first is not second
    assert (first.code, str(first.__cause__)) == ("ServiceUnavailable", "no connection")


async def test_a_failure_is_not_remembered() -> None:
    stage = Stage()
    stage.service.troubles = [away]
    with pytest.raises(KeeperError):
        await stage.cache.wrapping_key(None, BUCKET)

    assert await stage.cache.wrapping_key(None, BUCKET)


async def test_reads_go_on_while_the_service_is_away_until_the_key_is_too_old() -> None:
    stage = Stage()
    await stage.cache.opened("current", "wrapped-7", BUCKET)
    stage.service.trouble = away

    for _ in range(4):
        stage.clock.now += FRESH_SECONDS + 1
        assert await stage.cache.opened("current", "wrapped-7", BUCKET)
        await until(lambda: not stage.cache._asking)
    stage.clock.now += FRESH_SECONDS + 1
    with pytest.raises(KeeperError) as caught:
        await stage.cache.opened("current", "wrapped-7", BUCKET)

    assert caught.value.trouble is KeyTrouble.AWAY


async def test_a_key_in_use_is_opened_anew_beside_the_requests() -> None:
    stage = Stage()
    await stage.cache.opened("current", "wrapped-7", BUCKET)

    for _ in range(20):
        stage.clock.now += FRESH_SECONDS + 1
        assert await stage.cache.opened("current", "wrapped-7", BUCKET)
        await until(lambda: not stage.cache._asking)

    assert len(stage.service.asked) == 21


@pytest.mark.parametrize("trouble", [not_allowed, is_disabled])
async def test_a_key_that_was_taken_from_this_server_is_not_used_any_longer(
    trouble: Trouble,
) -> None:
    stage = Stage()
    await stage.cache.opened("current", "wrapped-7", BUCKET)
    stage.service.trouble = trouble
    stage.clock.now += FRESH_SECONDS + 1

    assert await stage.cache.opened("current", "wrapped-7", BUCKET)
    await until(lambda: not stage.cache._asking)
    with pytest.raises(KeeperError) as caught:
        await stage.cache.opened("current", "wrapped-7", BUCKET)

    assert caught.value.trouble in (KeyTrouble.DENIED, KeyTrouble.DISABLED)


async def test_no_more_keys_are_held_than_was_said() -> None:
    stage = Stage()
    for number in range(1, 6):
        await stage.cache.opened("current", f"wrapped-{number}", BUCKET)
    asked = len(stage.service.asked)

    for number in range(2, 6):
        await stage.cache.opened("current", f"wrapped-{number}", BUCKET)
    assert len(stage.service.asked) == asked
    await stage.cache.opened("current", "wrapped-1", BUCKET)

    assert len(stage.service.asked) == asked + 1


async def test_secrets_are_let_go_of_when_they_may_not_be_used_any_more() -> None:
    stage = Stage()
    await stage.cache.wrapping_key(None, BUCKET)
    await stage.cache.opened("current", "wrapped-7", BUCKET)

    stage.clock.now += 299.0
    await stage.cache.opened("current", "wrapped-8", BUCKET)
    stage.clock.now += 2.0
    for kept in (stage.cache._made, stage.cache._opened):
        kept.drop_old()

    assert not stage.cache._made._held
    assert [wanted[2] for wanted in stage.cache._opened._held] == ["wrapped-8"]  # type: ignore[index]


async def test_a_timer_lets_go_of_them() -> None:
    cache = CachedKeys(ScriptedKeys(), CacheLimits(reuse_seconds=0.05, open_seconds=0.1))
    await cache.wrapping_key(None, BUCKET)

    await until(lambda: not cache._made._held and not cache._opened._held)


async def test_closing_lets_go_of_everything() -> None:
    stage = Stage()
    await stage.cache.wrapping_key(None, BUCKET)
    stage.service.hangs = True
    waiting = asyncio.create_task(stage.cache.opened("current", "wrapped-9", BUCKET))
    await until(lambda: "opened" in stage.service.asked)

    await stage.cache.close()

    assert stage.service.closed
    assert not stage.cache._opened._held
    assert not stage.cache._asking
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_new_master_key_is_used_at_once_by_who_has_made_it() -> None:
    stage = Stage()
    await stage.cache.wrapping_key(None, BUCKET)

    await stage.cache.create("another")
    await stage.cache.wrapping_key(None, BUCKET)
    assert stage.service.asked == ["wrapping_key", "create"]
    await stage.cache.rotate("rotated")
    await stage.cache.wrapping_key(None, BUCKET)

    assert stage.service.asked == ["wrapping_key", "create", "rotate", "wrapping_key"]
