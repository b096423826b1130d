"""What happens when a call comes upon damage: its client is told, and so is the operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from dmd.metadata.engines.base import EngineError
from dmd.metadata.pages import Page
from dmd.metadata.stored import CorruptRecordError
from shared.errors import ServiceError
from shared.process.logs import EventLog

_QUIET_SECONDS: Final = 60.0

DAMAGE: Final = (CorruptRecordError, EngineError)
"""What reading raises when the store is damaged."""


class Alarm:
    """One line of the log for the same thing, a minute long. ``note`` is told what the library
    says, which is reason to look at the store at the next start."""

    def __init__(self, log: EventLog, note: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._note = note
        self._told: dict[str, float] = {}

    def error(self, error: CorruptRecordError | EngineError) -> ServiceError:
        """What a client is answered; the operator has been told then.

        The log has no keys of objects, so it says of a damaged record that there is one.
        """
        of_record = isinstance(error, CorruptRecordError)
        what = "a record does not match its checksum" if of_record else str(error)
        now = time.monotonic()
        if now - self._told.get(what, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told = {text: at for text, at in self._told.items() if now - at < _QUIET_SECONDS}
            self._told[what] = now
            self._log.error(
                "the metadata store is damaged",
                reason=what,
                advice="run `dmd check`, which says where",
            )
            if self._note is not None and not of_record:
                self._note(what)
        return ServiceError("InternalError", f"the metadata store is damaged: {error}")

    def watched(self, pages: Iterator[Page]) -> Iterator[Page]:
        """The pages of a stream, which outlives the call that began it; raises ServiceError."""
        try:
            yield from pages
        except DAMAGE as error:
            raise self.error(error) from error
