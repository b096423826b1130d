"""Coroutines that usually have nothing to wait for.

Most calls of the metadata service read memory and return; a task for each would cost more than the
call. ``start`` runs a coroutine at once, on the caller's stack, to its end or to the first thing
that it has to wait for, and makes a task of the rest alone. (Python 3.12 has eager tasks; 3.11 does
not.)

Until it first waits, the coroutine is in no task of its own: it must not ask for the current task,
as ``asyncio.timeout`` does.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


def start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Begin a coroutine: None when it has ended already, else the task in which it goes on.

    What it raises before it waits is raised here.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_go_on(coroutine, waited))


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
