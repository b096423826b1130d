"""A thread for a library that blocks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import partial

import pytest

from s3front.keys.one_thread import OneThread
from tests.servers import REPOSITORY


async def test_one_thing_is_done_after_the_other_in_one_thread() -> None:
    thread = OneThread("test")
    done: list[int] = []

    def do(number: int) -> str:
        done.append(number)
        return threading.current_thread().name

    assert set(
        await asyncio.gather(*(thread.run(partial(do, number)) for number in range(20)))
    ) == {"test"}
    assert done == list(range(20))
    thread.end()


async def test_what_is_raised_there_is_raised_here() -> None:
    thread = OneThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 1) == 1
    thread.end()


async def test_what_nobody_waits_for_any_more_is_done_and_forgotten() -> None:
    thread, goes_on = OneThread("test"), threading.Event()
    first = thread.run(goes_on.wait)
    first.cancel()
    goes_on.set()

    assert await thread.run(lambda: "next") == "next"
    thread.end()


def test_what_hangs_keeps_no_process_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from s3front.keys.one_thread import OneThread\n"
        "async def main():\n"
        "    waiting = OneThread('test').run(threading.Event().wait)\n"
        "    await asyncio.wait([waiting], timeout=0.1)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, timeout=60, check=False)
    assert done.returncode == 0
