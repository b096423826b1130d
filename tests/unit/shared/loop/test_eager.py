"""Coroutines that begin at once: what runs where, and what becomes of results and errors."""

from __future__ import annotations

import asyncio

import pytest

from shared.loop import eager


async def test_a_coroutine_that_waits_for_nothing_needs_no_task() -> None:
    done = []

    async def work() -> None:
        done.append(asyncio.tasks.all_tasks() == before)

    before = asyncio.all_tasks()
    assert eager.start(work()) is None
    assert done == [True]


async def test_the_rest_of_one_that_waits_is_a_task() -> None:
    steps: list[object] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        steps.append("begun")
        steps.append(await future)
        await asyncio.sleep(0)
        steps.append(asyncio.current_task())

    task = eager.start(work())
    assert steps == ["begun"]
    assert task is not None
    future.set_result("result")
    await task
    assert steps == ["begun", "result", task]


async def test_an_error_before_the_first_wait_is_raised_at_once() -> None:
    async def work() -> None:
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        eager.start(work())


async def test_an_error_after_it_is_the_task_s() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    task = eager.start(work())
    assert task is not None
    with pytest.raises(ValueError, match="late"):
        await task


async def test_an_error_that_is_waited_for_can_be_handled() -> None:
    seen = []
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await future
        except KeyError as error:
            seen.append(error)
        await asyncio.sleep(0)
        seen.append(KeyError("after"))

    task = eager.start(work())
    assert task is not None
    future.set_exception(KeyError("thrown"))
    await task
    assert [error.args for error in seen] == [("thrown",), ("after",)]


async def test_a_cancellation_reaches_the_coroutine() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = eager.start(work())
    assert task is not None
    await asyncio.sleep(0)  # one turn, in which the task begins to wait
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_one_that_is_cancelled_before_its_task_ran_ends_too() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = eager.start(work())
    assert task is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_service_waits_for_may_be_shielded() -> None:
    inner: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    results = []

    async def work() -> None:
        results.append(await asyncio.shield(inner))

    task = eager.start(work())
    assert task is not None
    inner.set_result(5)
    await task
    assert results == [5]
