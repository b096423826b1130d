"""Directory syncs that concurrent writers share.

Rules. A writer that has put a name into a directory needs one sync of it that *begins* after that.
A sync under way may have begun too early, so the writer waits for the next one; all who wait for
the next one share it, and the first of them performs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path


class _Rounds:
    """The sync of one directory that is under way, and the one that comes after it."""

    __slots__ = ("following", "running")

    def __init__(self, running: Future[None]) -> None:
        self.running = running
        self.following: Future[None] | None = None


class SharedSync:
    """Calls ``sync(path)`` for many threads at once, as rarely as the rules allow."""

    def __init__(self, sync: Callable[[Path], None]) -> None:
        self._sync = sync
        self._mutex = threading.Lock()
        self._rounds: dict[Path, _Rounds] = {}

    def __call__(self, path: Path) -> None:
        """Return when a sync that began after this call has ended; raise the OSError it raised."""
        mine: Future[None] = Future()
        before: Future[None] | None = None
        with self._mutex:
            rounds = self._rounds.get(path)
            if rounds is None:
                rounds = self._rounds[path] = _Rounds(mine)
            elif rounds.following is None:
                rounds.following = mine
                before = rounds.running
            else:
                mine = rounds.following
                rounds = None
        if rounds is None:
            mine.result()
            return
        if before is not None:
            self._take_over(rounds, before)
        self._perform(path, rounds, mine)

    def _take_over(self, rounds: _Rounds, before: Future[None]) -> None:
        before.exception()
        with self._mutex:
            assert rounds.following is not None
            rounds.running = rounds.following
            rounds.following = None

    def _perform(self, path: Path, rounds: _Rounds, mine: Future[None]) -> None:
        error: BaseException | None = None
        try:
            self._sync(path)
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._mutex:
                if rounds.following is None:
                    del self._rounds[path]
            if error is None:
                mine.set_result(None)
            else:
                mine.set_exception(error)
