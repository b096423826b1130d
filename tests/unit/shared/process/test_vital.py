"""What ends a process: a thread that dies, one that stands still, a task that fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.process.vital import EX_SOFTWARE
from tests.servers import REPOSITORY

START = """
import asyncio, threading, time
from concurrent.futures import Future, ThreadPoolExecutor
from shared.process.logs import configure_logging
from shared.process.vital import Watchdog, stop_when_a_thread_dies, vital
from dmd.group_worker import Worker
configure_logging("test", "info")
stop_when_a_thread_dies()

def worker(work):
    return Worker("writer", work, items_max=9, size_max=9, size_of=lambda _item: 1)

async def answer(work):
    async with asyncio.timeout(20):
        return await work

def fail(*_):
    raise MemoryError

async def fails():
    fail()
"""


def ran(program: str) -> tuple[int, str]:
    """Exit code and output of a program that a thread may end."""
    process = subprocess.run(
        [sys.executable, "-c", START + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    return process.returncode, process.stdout + process.stderr


DEATHS = {
    "a thread": ("threading.Thread(target=fail, name='one').start(); time.sleep(20)", "thread one"),
    "a thread of a pool": (
        # What its machinery does with a result fails, not the work.
        "Future.set_result = fail\nThreadPoolExecutor(1, 'pool').submit(int).result(20)",
        "thread pool_0",
    ),
    "the machinery of a worker": (
        "async def main():\n"
        "    writer = worker(lambda items: items)\n"
        "    writer._gather = fail\n"
        "    await answer(writer.submit(1))\n"
        "    await answer(writer.submit(2))\n"
        "asyncio.run(main())",
        "thread writer",
    ),
    "a task": (
        "async def main():\n"
        "    vital(asyncio.create_task(fails(), name='accounts'))\n"
        "    await asyncio.sleep(20)\n"
        "asyncio.run(main())",
        "task accounts",
    ),
    "an event loop that stands still": (
        "async def main():\n    Watchdog(0.05, 10)\n    time.sleep(20)\nasyncio.run(main())",
        "the event loop",
    ),
    "a worker that stands still": (
        "async def main():\n"
        "    Watchdog(0.05, 10)\n"
        "    await answer(worker(lambda items: time.sleep(30)).submit(1))\n"
        "asyncio.run(main())",
        "writer has been at the same work",
    ),
}


@pytest.mark.parametrize("death", DEATHS)
def test_the_process_ends_and_says_why(death: str) -> None:
    program, reason = DEATHS[death]
    code, output = ran(program)
    assert code == EX_SOFTWARE, output
    (line,) = [line for line in output.splitlines() if "cannot go on" in line]
    assert reason in line
    assert "Traceback" not in output


def test_work_that_fails_ends_nothing() -> None:
    """Its error is for whoever asked, and the next work is done."""
    code, output = ran("""
def work(items):
    if 1 in items:
        fail()
    return items

async def main():
    watchdog = Watchdog(0.02, 10)
    vital(asyncio.create_task(asyncio.sleep(20))).cancel()
    writer = worker(work)
    for _ in range(3):
        try:
            await answer(writer.submit(1))
        except MemoryError:
            print("failed")
        print(await answer(writer.submit(2)))
        await asyncio.sleep(0.3)
    await writer.close()
    watchdog.end()

with ThreadPoolExecutor(1) as pool:
    pool.submit(fail).exception()
asyncio.run(main())
""")
    assert (code, output.split()) == (0, ["failed", "2"] * 3)
