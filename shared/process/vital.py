"""What a process cannot go on without: its threads, and the tasks that last as long as it does.

A server whose one writing thread has died looks healthy, and answers nothing that needs it. So a
thread that ends with an exception ends its process, and so does one that stops making progress; the
supervisor starts it again, and what was acknowledged is on disk.

* ``stop_when_a_thread_dies`` is called once, before there are threads. It sees those of
  ``threading`` by their hook, and those of ``concurrent.futures``, which catch everything and end
  in silence, by what they log.
* ``Watchdog`` is a thread that looks, every now and then, whether the event loop and everything
  that was given to ``watch`` is still at the same work as before.
* ``vital`` is for tasks.

An error of the work that a thread does is no matter of this module: whoever asked for it learns it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from shared.process.logs import get_logger

EX_SOFTWARE: Final = 70
"""Exit code after an error inside a program (sysexits.h)."""

WATCH_SECONDS: Final = 5.0
"""Time between two looks of the watchdog."""

STALLED_LOOKS_MAX: Final = 24
"""Looks at the same work, after which nobody believes in its end: two minutes. They are counted
instead of seconds, so that a process that was stopped for an hour is not killed for it."""

_STANDARD_ERROR: Final = 2


def stop_process(reason: str) -> NoReturn:
    """End this process at once, and say why; a supervisor starts it again."""
    try:
        get_logger().error("this process cannot go on, and ends", reason=reason)
    except BaseException:  # there may be no memory for a line of the log
        os.write(_STANDARD_ERROR, b"this process cannot go on, and ends\n")
    finally:
        os._exit(EX_SOFTWARE)


def stop_when_a_thread_dies() -> None:
    """From now on a thread that ends with an exception ends the process."""
    threading.excepthook = _thread_died
    logging.getLogger("concurrent.futures").addHandler(_PoolWatch(logging.CRITICAL))


def _thread_died(about: threading.ExceptHookArgs) -> None:
    name = "a thread" if about.thread is None else f"the thread {about.thread.name}"
    stop_process(f"{name} died: {about.exc_value!r}")


class _PoolWatch(logging.Handler):
    """``concurrent.futures.thread`` logs "Exception in worker" at level critical, and nothing else,
    where one of its threads is about to end."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        stop_process(f"the thread {record.threadName} died: {error!r}")


def vital(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    """The same task; when it fails, the process ends. One that is cancelled has ended in order."""
    task.add_done_callback(_task_ended)
    return task


def _task_ended(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        stop_process(f"the task {task.get_name()} failed: {error!r}")


class Watched(Protocol):
    """Something that works, in a thread."""

    @property
    def name(self) -> str:
        """For the log."""

    @property
    def work_under_way(self) -> int | None:
        """The number of the work under way, another one each time; None when there is none."""


_watched: Final[set[Watched]] = set()


def watch(worker: Watched) -> Callable[[], None]:
    """Let the watchdogs look at a worker, until the result is called."""
    _watched.add(worker)
    return lambda: _watched.discard(worker)


class Watchdog:
    """Watches the running event loop, and all that ``watch`` was given; ``end`` ends it."""

    def __init__(
        self, seconds: float = WATCH_SECONDS, stalled_looks_max: int = STALLED_LOOKS_MAX
    ) -> None:
        self._seconds = seconds
        self._stalled_looks_max = stalled_looks_max
        self._loop = _LoopBeat(asyncio.get_running_loop())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Watch no more; returns at once."""
        self._ended.set()

    def _run(self) -> None:
        seen: dict[Watched, tuple[int, int]] = {}
        while not self._ended.wait(self._seconds):
            seen = {worker: self._look(worker, seen) for worker in (self._loop, *_watched)}
            self._loop.beat()

    def _look(self, worker: Watched, seen: dict[Watched, tuple[int, int]]) -> tuple[int, int]:
        """The number of its work, and how often it was the same."""
        number = worker.work_under_way
        if number is None:
            return 0, 0
        before, looks = seen.get(worker, (0, 0))
        looks = looks + 1 if before == number else 1
        if looks > self._stalled_looks_max:
            seconds = round(self._seconds * self._stalled_looks_max)
            stop_process(f"{worker.name} has been at the same work for more than {seconds} s")
        return number, looks


class _LoopBeat:
    """The event loop as something that works: it is asked for a sign, and gives it."""

    name = "the event loop"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = 0
        self._answered = 0

    @property
    def work_under_way(self) -> int | None:
        return None if self._answered == self._asked else self._asked

    def beat(self) -> None:
        """Ask, if the last question was answered; by the watchdog's thread."""
        if self._answered == self._asked:
            self._asked += 1
            with contextlib.suppress(RuntimeError):  # closed: nothing is to be watched any more
                self._loop.call_soon_threadsafe(self._answer, self._asked)

    def _answer(self, number: int) -> None:
        self._answered = number
