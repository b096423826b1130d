"""Calls that run in a thread one after the other: their order, their failures, their end."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3front.bodies.in_turn import InTurn

POOL = ThreadPoolExecutor(max_workers=3)


def run(scenario: object) -> None:
    asyncio.run(scenario, debug=True)  # type: ignore[arg-type]


def test_results_come_in_the_order_of_the_arguments() -> None:
    seen: list[int] = []

    def slow_at_first(number: int) -> int:
        time.sleep(0.002 if number < 3 else 0)  # time enough for those behind to pass
        seen.append(number)
        return -number

    async def scenario() -> None:
        calls = InTurn(slow_at_first, POOL)
        results = [await each for each in [calls.submit(number) for number in range(50)]]
        assert results == [-number for number in range(50)]
        assert seen == list(range(50))

    run(scenario())


def test_one_call_at_a_time_whatever_the_gaps() -> None:
    running = most = 0

    def once(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.0005)  # others could begin meanwhile
        running -= 1
        return number

    async def scenario() -> None:
        calls = InTurn(once, POOL)
        futures = []
        for number in range(200):
            futures.append(calls.submit(number))
            if number % 3:
                await futures[-1]
        assert await asyncio.gather(*futures) == list(range(200))

    run(scenario())
    assert most == 1


def test_nothing_is_called_after_a_failure_and_nobody_waits_for_ever() -> None:
    called: list[int] = []

    def fails(number: int) -> None:
        called.append(number)
        if number == 1:
            raise ValueError("one")

    async def scenario() -> None:
        with ThreadPoolExecutor(max_workers=1) as pool:
            calls = InTurn(fails, pool)
            futures = [calls.submit(number) for number in range(3)]
            await futures[0]
            with pytest.raises(ValueError, match="one"):
                await futures[1]
            for other in (futures[2], calls.submit(9)):
                with pytest.raises(ValueError, match="one"):
                    await other
            await calls.aclose()
        # The pool has ended, with all that was given to it.
        assert called == [0, 1]

    run(scenario())


def test_a_pool_that_takes_nothing_more_is_a_failure() -> None:
    async def scenario() -> None:
        pool = ThreadPoolExecutor(max_workers=1)
        go_on = threading.Event()
        calls: InTurn[int, bool] = InTurn(lambda _: go_on.wait(10), pool)
        futures = [calls.submit(number) for number in range(2)]
        pool.shutdown(wait=False)  # as one that no thread can be started for
        go_on.set()
        for future in futures:
            with pytest.raises(RuntimeError):
                await future

    run(scenario())


def test_closing_waits_for_the_call_under_way_and_drops_the_others() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def held_up(number: int) -> None:
        assert number == 0
        begun.set()
        assert go_on.wait(10)
        ended.set()

    async def scenario() -> None:
        calls = InTurn(held_up, POOL)
        for number in range(3):
            calls.submit(number)
        await asyncio.to_thread(begun.wait)
        closing = asyncio.create_task(calls.aclose())
        for _ in range(10):
            await asyncio.sleep(0)  # it has every chance to end
        assert not closing.done()
        go_on.set()
        await closing
        assert ended.is_set()

    run(scenario())


def test_closing_waits_however_often_it_is_given_up() -> None:
    """What the function works on is free afterwards: a descriptor may be another file's by then."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def held_up(_: int) -> None:
        begun.set()
        assert go_on.wait(10)
        ended.set()

    async def scenario() -> None:
        calls = InTurn(held_up, POOL)
        calls.submit(0)
        await asyncio.to_thread(begun.wait)
        closing = asyncio.create_task(calls.aclose())
        for _ in range(3):
            await asyncio.sleep(0)
            closing.cancel()
        await asyncio.sleep(0)
        assert not closing.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert ended.is_set()

    run(scenario())


def test_closing_what_never_ran() -> None:
    async def scenario() -> None:
        await InTurn(len, POOL).aclose()

    run(scenario())


def test_a_failure_that_nobody_waits_for_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: int) -> None:
        raise ValueError

    async def scenario() -> None:
        calls = InTurn(fails, POOL)
        calls.submit(1)
        await calls.aclose()
        await asyncio.sleep(0)

    run(scenario())
    assert not caplog.records


def test_a_result_that_nobody_waits_for() -> None:
    async def scenario() -> None:
        calls: InTurn[int, int] = InTurn(abs, POOL)
        calls.submit(-1).cancel()
        assert await calls.submit(-2) == 2

    run(scenario())


def test_nobody_keeps_a_thread_from_others() -> None:
    """Two with much to do and one thread: they take turns."""
    seen: list[str] = []
    go_on = threading.Event()

    async def scenario() -> None:
        with ThreadPoolExecutor(max_workers=1) as pool:
            first, second = InTurn(seen.append, pool), InTurn(seen.append, pool)
            pool.submit(go_on.wait, 10)
            calls = [first.submit("first") for _ in range(20)]
            calls += [second.submit("second") for _ in range(20)]
            go_on.set()
            await asyncio.gather(*calls)

    run(scenario())
    assert seen == ["first", "second"] * 20
