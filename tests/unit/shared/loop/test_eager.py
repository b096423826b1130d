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


async def test_a_followed_coroutine_that_waits_for_nothing_has_ended() -> None:
    ends: list[BaseException | None] = []

    async def work() -> None:
        pass

    assert eager.follow(work(), ends.append) is None
    await asyncio.sleep(0)
    assert ends == []


@pytest.mark.parametrize("waits", [1, 3])
async def test_one_that_waits_for_futures_is_in_no_task(waits: int) -> None:
    steps: list[object] = []
    ends: list[BaseException | None] = []
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(waits)]

    async def work() -> None:
        for future in futures:
            steps.append(await future)
        steps.append(asyncio.all_tasks() == before)

    before = asyncio.all_tasks()
    assert eager.follow(work(), ends.append) is not None
    for index, future in enumerate(futures):
        future.set_result(index)
        assert (steps, ends) == (list(range(index)), [])
        await asyncio.sleep(0)  # the turn in which it is woken
    assert (steps, ends) == ([*range(waits), True], [None])


async def test_one_that_asks_for_a_task_has_one() -> None:
    tasks = []
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await ready
        await eager.in_a_task()
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())

    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert eager.follow(work(), ended.set_result)
    ready.set_result(None)
    assert await ended is None
    assert tasks != [None]


@pytest.mark.parametrize("turns", range(3))
@pytest.mark.parametrize("error", [KeyError("key"), asyncio.CancelledError()])
async def test_the_end_of_a_followed_one_tells_its_error(error: BaseException, turns: int) -> None:
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await waited
        for _ in range(turns):
            await asyncio.sleep(0)
        raise error

    assert eager.follow(work(), ended.set_result)
    waited.set_result(None)
    assert type(await ended) is type(error)


async def test_an_error_that_is_followed_from_the_start_is_raised_at_once() -> None:
    async def work() -> None:
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        eager.follow(work(), lambda _: None)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_a_followed_one_waits_for_may_fail(cancelled: bool) -> None:
    seen: list[str] = []
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await waited
        except (KeyError, asyncio.CancelledError) as error:
            seen.append(type(error).__name__)

    assert eager.follow(work(), ended.set_result)
    if cancelled:
        waited.cancel()
    else:
        waited.set_exception(KeyError("thrown"))
    assert await ended is None
    assert seen == ["CancelledError" if cancelled else "KeyError"]


@pytest.mark.parametrize("woken", [False, True])
@pytest.mark.parametrize("waits", range(3))
async def test_a_followed_one_that_gets_a_task_can_be_cancelled(woken: bool, waits: int) -> None:
    """Wherever it is: also when what it waits for is there already."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(waits + 2)]
    ended: asyncio.Future[BaseException | None] = loop.create_future()
    seen: list[int] = []

    async def work() -> None:
        for future in futures:
            seen.append(await future)

    following = eager.follow(work(), ended.set_result)
    assert following is not None
    for future in futures[:waits]:
        future.set_result(0)
        await asyncio.sleep(0)
    if woken:
        futures[waits].set_result(0)
    before = asyncio.all_tasks()
    following.have_task()
    following.have_task()
    await asyncio.sleep(0)
    (task,) = asyncio.all_tasks() - before
    await asyncio.sleep(0)
    task.cancel()
    assert type(await ended) is asyncio.CancelledError
    assert len(seen) == waits + woken


async def test_a_followed_one_that_has_ended_gets_no_task() -> None:
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ends: list[BaseException | None] = []

    async def work() -> None:
        await ready

    following = eager.follow(work(), ends.append)
    assert following is not None
    ready.set_result(None)
    await asyncio.sleep(0)
    before = asyncio.all_tasks()
    following.have_task()
    assert (ends, asyncio.all_tasks()) == ([None], before)
