"""How many come in, in which order, and what those leave behind who go away."""

from __future__ import annotations

import asyncio

import pytest

from s3front.locations.turnstile import LIMIT_MIN, WAITING_PER_SLOT, CrowdedError, Turnstile
from tests.unit.dmd.metadata.support import until

LONG_SECONDS = 30.0


async def test_who_waits_longest_is_next() -> None:
    turnstile = Turnstile(1)
    first = await turnstile.enter(LONG_SECONDS)
    order: list[int] = []

    async def come(number: int) -> None:
        slot = await turnstile.enter(LONG_SECONDS)
        order.append(number)
        slot.leave()

    tasks = []
    for number in range(WAITING_PER_SLOT):
        tasks.append(asyncio.ensure_future(come(number)))
        await until(lambda number=number: turnstile.waiting == number + 1)  # type: ignore[misc]
    first.leave()
    await asyncio.gather(*tasks)
    assert order == list(range(WAITING_PER_SLOT))
    assert (turnstile.taken, turnstile.waiting) == (0, 0)


async def test_the_queue_has_an_end() -> None:
    turnstile = Turnstile(1)
    await turnstile.enter(LONG_SECONDS)
    waiting = [
        asyncio.ensure_future(turnstile.enter(LONG_SECONDS)) for _ in range(WAITING_PER_SLOT)
    ]
    await until(lambda: turnstile.waiting == WAITING_PER_SLOT)
    with pytest.raises(CrowdedError):
        await turnstile.enter(LONG_SECONDS)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert turnstile.waiting == 0


async def test_nobody_waits_longer_than_said() -> None:
    turnstile = Turnstile(1)
    slot = await turnstile.enter(LONG_SECONDS)
    for seconds in (0.0, 0.01):
        with pytest.raises(CrowdedError):
            await turnstile.enter(seconds)
    assert turnstile.waiting == 0
    slot.leave()
    assert turnstile.taken == 0


async def test_a_slot_is_given_back_once() -> None:
    turnstile = Turnstile(2)
    slot = await turnstile.enter(LONG_SECONDS)
    await turnstile.enter(LONG_SECONDS)
    slot.leave()
    slot.leave()
    assert turnstile.taken == 1


async def test_who_goes_away_just_when_it_is_let_in_leaves_the_slot_to_the_next() -> None:
    turnstile = Turnstile(1)
    slot = await turnstile.enter(LONG_SECONDS)
    leaving = asyncio.ensure_future(turnstile.enter(LONG_SECONDS))
    staying = asyncio.ensure_future(turnstile.enter(LONG_SECONDS))
    await until(lambda: turnstile.waiting == 2)
    slot.leave()  # its turn has come, and it does not know yet
    leaving.cancel()
    (await staying).leave()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (turnstile.taken, turnstile.waiting) == (0, 0)


async def test_all_that_wait_can_be_turned_away() -> None:
    turnstile = Turnstile(1)
    await turnstile.enter(LONG_SECONDS)
    waiting = [asyncio.ensure_future(turnstile.enter(LONG_SECONDS)) for _ in range(3)]
    await until(lambda: turnstile.waiting == 3)
    turnstile.turn_away()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, CrowdedError) for outcome in outcomes)
    assert (turnstile.taken, turnstile.waiting) == (1, 0)


async def test_a_place_that_asks_for_less_gets_half_and_little_by_little_more() -> None:
    turnstile = Turnstile(8)
    slots = [await turnstile.enter(LONG_SECONDS) for _ in range(8)]
    # All eight are told so at the same time: that is one time.
    assert [turnstile.slow_down(slot) for slot in slots] == [True] + [False] * 7
    assert turnstile.limit == 4
    for slot in slots:
        slot.leave()
    for limit in (4, 5, 6, 7):
        assert (turnstile.limit, turnstile.is_slowed) == (limit, True)
        for _ in range(limit):
            turnstile.succeeded()
    assert (turnstile.limit, turnstile.is_slowed) == (8, False)


async def test_it_is_never_closed_altogether() -> None:
    turnstile = Turnstile(8)
    for _ in range(10):
        slot = await turnstile.enter(LONG_SECONDS)
        turnstile.slow_down(slot)
        slot.leave()
    assert turnstile.limit == LIMIT_MIN


async def test_a_lower_limit_holds_for_those_that_come_later() -> None:
    turnstile = Turnstile(4)
    slots = [await turnstile.enter(LONG_SECONDS) for _ in range(4)]
    turnstile.slow_down(slots[0])
    waiting = asyncio.ensure_future(turnstile.enter(LONG_SECONDS))
    await until(lambda: turnstile.waiting == 1)
    for slot in slots[:2]:
        slot.leave()
    await asyncio.sleep(0)
    assert not waiting.done()
    slots[2].leave()
    (await waiting).leave()
