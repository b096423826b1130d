"""What many may hold all together."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from shared.budget import Budget

DEADLINE_SECONDS = 20.0


async def turns() -> None:
    """Let whatever can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_is_there_is_taken_at_once_and_what_is_not_is_refused() -> None:
    budget = Budget(1000)
    assert budget.take(100)
    assert [budget.take(100) for _ in range(10)] == [True] * 9 + [False]
    budget.give(100)
    assert budget.take(100)
    assert budget.taken == 1000


async def test_who_waits_gets_what_others_give_back_the_first_ones_first() -> None:
    budget = Budget(1000)
    while budget.take(100):
        pass
    order: list[int] = []

    async def wait(number: int) -> None:
        await budget.wait(100, DEADLINE_SECONDS)
        order.append(number)

    tasks = [asyncio.ensure_future(wait(number)) for number in range(3)]
    await turns()
    assert order == []
    budget.give(200)
    await turns()
    assert order == [0, 1]
    budget.give(100)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert budget.taken == 1000


async def test_a_wait_ends_with_its_time_and_leaves_nothing() -> None:
    budget = Budget(1000)
    while budget.take(100):
        pass
    with pytest.raises(TimeoutError):
        await budget.wait(100, 0.01)
    for _ in range(10):
        budget.give(100)
    assert budget.taken == 0


async def test_one_that_is_cancelled_when_it_was_let_in_gives_back() -> None:
    budget = Budget(1000)
    assert budget.take(500)
    waiting = asyncio.ensure_future(budget.wait(500, DEADLINE_SECONDS))
    await turns()
    budget.give(500)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert budget.taken == 0


def test_large_holders_leave_half_to_small_ones() -> None:
    budget = Budget(800)
    assert [budget.take(200) for _ in range(4)] == [True, True, False, False]
    assert [budget.take(100) for _ in range(5)] == [True] * 4 + [False]


async def test_a_small_one_does_not_wait_behind_a_large_one() -> None:
    budget = Budget(800)
    assert budget.take(200)
    assert budget.take(200)
    large = asyncio.ensure_future(budget.wait(200, DEADLINE_SECONDS))
    await turns()
    assert budget.take(100)
    budget.give(200)
    await turns()
    assert not large.done()  # half of all would not be left
    budget.give(100)
    await large


def test_the_largest_share_fits_beside_small_ones_once() -> None:
    budget = Budget(100)
    assert budget.take(budget.share_bytes_max)
    assert not budget.take(budget.share_bytes_max)
    assert budget.take(10)
    budget.give(budget.share_bytes_max)
    assert budget.taken == 10
