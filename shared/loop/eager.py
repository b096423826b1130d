"""Coroutines that usually have nothing to wait for.

Most calls of the metadata service read memory and return; a task for each would cost more than the
call. ``start`` runs a coroutine at once, on the caller's stack, to its end or to the first thing
that it has to wait for, and makes a task of the rest alone. (Python 3.12 has eager tasks; 3.11 does
not.)

Until it first waits, the coroutine is in no task of its own: it must not ask for the current task,
as ``asyncio.timeout`` does.

``follow`` is for coroutines that nobody cancels or waits for, and that usually wait once: one is in
no task before it waits a second time, either.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

Ended = Callable[[BaseException | None], None]
"""Is told when a coroutine has ended, and of what it raised: an Exception or a cancellation."""


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Begin a coroutine: None when it has ended already, else the task in which it goes on.

    What it raises before it waits is raised here.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_go_on(coroutine, waited))


def follow(coroutine: Coroutine[Any, Any, None], ended: Ended) -> bool:
    """Begin a coroutine: whether it waits for something. ``ended`` is called later, then.

    What it raises before it waits is raised here.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration:
        return False
    if asyncio.isfuture(waited):
        # As a task does: it takes note of what it is handed, and asks to be woken.
        waited._asyncio_future_blocking = False
        waited.add_done_callback(partial(_wake, coroutine, ended))
    else:
        _have_task(coroutine, waited, ended)
    return True


def _wake(coroutine: Coroutine[Any, Any, None], ended: Ended, _future: asyncio.Future[Any]) -> None:
    """What a coroutine first waited for is there; it takes the result, or the error, itself."""
    try:
        waited = coroutine.send(None)
    except StopIteration:
        ended(None)
    except (Exception, asyncio.CancelledError) as error:
        ended(error)
    else:
        _have_task(coroutine, waited, ended)


def _have_task(coroutine: Coroutine[Any, Any, None], waited: Any, ended: Ended) -> None:
    """Let a coroutine go on in a task."""

    def tell(task: asyncio.Task[None]) -> None:
        ended(asyncio.CancelledError() if task.cancelled() else task.exception())

    asyncio.get_running_loop().create_task(_go_on(coroutine, waited)).add_done_callback(tell)


async def _go_on(coroutine: Coroutine[Any, Any, None], waited: Any) -> None:
    await _rest(coroutine, waited)


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, None], waited: Any) -> Generator[Any, Any, None]:
    """A coroutine from where it is: hands the task what it waits for, and back what came of it."""
    while True:
        failure: BaseException | None = None
        value = None
        try:
            value = yield waited
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # a cancellation, above all
            failure = error
        try:
            waited = coroutine.send(value) if failure is None else coroutine.throw(failure)
        except StopIteration:
            return
