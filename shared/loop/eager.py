"""Coroutines that usually have nothing to wait for.

Most calls of the metadata service read memory and return; a task for each would cost more than the
call. ``start`` runs a coroutine at once, on the caller's stack, to its end or to the first thing
that it has to wait for, and makes a task of the rest alone. (Python 3.12 has eager tasks; 3.11 does
not.)

Until it first waits, the coroutine is in no task of its own: it must not ask for the current task,
as ``asyncio.timeout`` does.

``follow`` is for coroutines that nobody waits for: one is in no task at all, however often it waits
for futures, until it asks for one (``in_a_task``). A task costs more than what most of them do.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
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


def follow(coroutine: Coroutine[Any, Any, None], ended: Ended) -> Following | None:
    """Begin a coroutine: None when it has ended already. Else ``ended`` is called later; until then
    what is returned has to be held, by what the coroutine waits for or by the caller.

    What it raises before it waits is raised here.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration:
        return None
    return Following(coroutine, ended, waited)


async def in_a_task() -> None:
    """Return in a task: for whoever needs one, as time-outs do, and may be asked without."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)


class Following:
    """A coroutine that waits, and goes on in no task. Made by ``follow``."""

    __slots__ = ("_coroutine", "_ended", "_waited")

    def __init__(self, coroutine: Coroutine[Any, Any, None], ended: Ended, waited: Any) -> None:
        self._coroutine = coroutine
        self._ended = ended
        self._waited: asyncio.Future[Any] | None
        """What it waits for; None once it is in a task, or has ended."""
        self._wait(waited)

    def have_task(self) -> None:
        """Go on in a task, which is cancelled with all others when the event loop ends."""
        waited = self._waited
        if waited is None:
            return
        if waited.remove_done_callback(self._wake):
            self._waited = None
            waited._asyncio_future_blocking = True
            self._go_on_in_task(waited)
        else:  # it is about to be woken
            asyncio.get_running_loop().call_soon(self.have_task)

    def _wait(self, waited: Any) -> None:
        if getattr(waited, "_asyncio_future_blocking", False):
            # As a task does: it takes note of what it is handed, and asks to be woken.
            waited._asyncio_future_blocking = False
            waited.add_done_callback(self._wake)
            self._waited = waited
        else:
            self._waited = None
            self._go_on_in_task(waited)

    def _wake(self, _future: asyncio.Future[Any]) -> None:
        """What it waited for is there; it takes the result, or the error, itself."""
        try:
            waited = self._coroutine.send(None)
        except StopIteration:
            self._waited = None
            self._ended(None)
        except (Exception, asyncio.CancelledError) as error:
            self._waited = None
            self._ended(error)
        else:
            self._wait(waited)

    def _go_on_in_task(self, waited: Any) -> None:
        def tell(task: asyncio.Task[None]) -> None:
            self._ended(asyncio.CancelledError() if task.cancelled() else task.exception())

        going_on = _go_on(self._coroutine, waited)
        asyncio.get_running_loop().create_task(going_on).add_done_callback(tell)


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
