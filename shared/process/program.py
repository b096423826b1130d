"""What the processes of both halves do alike: start, wait for signals, stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

import uvloop

from shared.failpoints import ArmedFailPoint, arm
from shared.process.descriptors import raise_descriptor_limit
from shared.process.heap import give_back_memory, share_one_heap
from shared.process.logs import EventLog
from shared.process.supervisor import (
    STOP_SIGNALS,
    die_with_parent,
    ignore_stop_signals,
    report_ready,
)
from shared.process.vital import Watchdog, stop_when_a_thread_dies, vital

STOP_SECONDS_MAX = 20.0
"""How long requests under way may take to finish; less than the supervisor waits."""


def run_process(main: Callable[[], Awaitable[None]]) -> None:
    """Run a serving process to its end, under uvloop. First of all, see ``die_with_parent``.

    SIGHUP waits until ``main`` serves: it would end a process that is still starting.
    """
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    share_one_heap()
    raise_descriptor_limit()
    stop_when_a_thread_dies()

    async def run() -> None:
        await main()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
        # The loop gives its signals back when it closes, and the default of SIGTERM would kill a
        # process that ends in good order. By then no other thread is left that could take one.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    ignore_stop_signals()


async def serve_until_stopped(reload: Callable[[], None] | None = None) -> None:
    """Say that this process is ready, then wait for SIGTERM or SIGINT.

    Memory that is free goes back to the system meanwhile. SIGHUP calls ``reload``, which must not
    raise.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, reload or (lambda: None))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
    _leave_alone_what_stays()
    watchdog = Watchdog()
    report_ready()
    giving = vital(asyncio.ensure_future(give_back_memory()))
    try:
        await stopped.wait()
    finally:
        giving.cancel()
        watchdog.end()


def _leave_alone_what_stays() -> None:
    """Keep the garbage collector from going through modules and services again and again: they
    stay as long as the process does. A large answer alone set it off several times."""
    gc.collect()
    gc.freeze()


def arm_failpoint(armed: ArmedFailPoint | None, log: EventLog) -> None:
    """Let this process die where DMD_FAILPOINT says, if it says so. For tests alone."""
    if armed is None:
        return
    log.warning("THIS PROCESS IS GOING TO KILL ITSELF: unset DMD_FAILPOINT", failpoint=str(armed))
    arm(armed)
