"""A thread for work that takes long: few may wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from s3front.query_api.errors import QueryError
from s3front.query_api.simulation_thread import WAITING_MAX, WAITING_OF_ACCOUNT_MAX, OneThread


@pytest.fixture
def stands() -> Iterator[threading.Event]:
    """What the thread waits for; it goes on at the end of the test at the latest."""
    event = threading.Event()
    yield event
    event.set()


async def test_what_comes_of_it() -> None:
    thread = OneThread("test")
    assert await thread.run("a", threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await thread.run("a", lambda: 1 // 0)


async def test_few_wait_and_fewer_of_one_account(stands: threading.Event) -> None:
    thread = OneThread("test")
    accounts = [str(number) for number in range(WAITING_MAX // WAITING_OF_ACCOUNT_MAX)]
    waiting = []
    for account in accounts:
        for _ in range(WAITING_OF_ACCOUNT_MAX):
            waiting.append(asyncio.create_task(thread.run(account, stands.wait)))
            await asyncio.sleep(0)
        if account != accounts[-1]:
            with pytest.raises(QueryError) as refused:
                await thread.run(account, stands.wait)
            assert (refused.value.code, refused.value.status) == ("Throttling", 400)
    with pytest.raises(QueryError):
        await thread.run("another", stands.wait)
    stands.set()
    assert all(await asyncio.gather(*waiting))
    assert await thread.run("another", stands.wait)


async def test_whoever_goes_away_leaves_no_room_before_the_thread_is_done(
    stands: threading.Event,
) -> None:
    thread = OneThread("test")
    waiting = [
        asyncio.create_task(thread.run("a", stands.wait)) for _ in range(WAITING_OF_ACCOUNT_MAX)
    ]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    with pytest.raises(QueryError):
        await thread.run("a", stands.wait)
    stands.set()
    while True:
        try:
            assert await thread.run("a", stands.wait)
        except QueryError:
            await asyncio.sleep(0.01)
        else:
            break
