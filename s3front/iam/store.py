"""Changes identities: what the API and the commands do is done here, and nowhere else.

``await store.change(lambda directory: create_user(directory, account_id, "anna"))``
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from s3front.iam import quotas
from s3front.iam.change import Decide, Result
from s3front.iam.directory import Directory
from s3front.iam.following import Following
from s3front.iam.iam_errors import IamError
from s3front.iam.records import Record
from s3front.metadata.gateway import ChangedError
from s3front.s3_errors import S3Error

TRIES: Final = 30
"""How often a change is decided again when somebody else was faster. One of them always gets on."""

PAUSE_SECONDS_MAX: Final = 0.05

TURN_LOOK_SECONDS: Final = 1.0
"""How often who waits for a turn looks whether the metadata have fallen silent."""


Again = Callable[[], Awaitable[int]]
"""Decides again whether whoever asks may, and tells on which generation of the directory."""


class IdentityStore:
    """See the module."""

    def __init__(self, directory: Directory, following: Following) -> None:
        self._directory = directory
        self._following = following
        self._turn = asyncio.Lock()
        self.pause_seconds_max = PAUSE_SECONDS_MAX
        """Before the second try; before the others in proportion."""

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[None]:
        """Take the turn to change something. Raises ServiceUnavailable when the metadata have
        fallen silent, and the change before this one waits for them."""
        taking = asyncio.get_running_loop().create_task(self._turn.acquire())
        try:
            while not (await asyncio.wait((taking,), timeout=TURN_LOOK_SECONDS))[0]:
                if not self._directory.source.is_fresh:
                    raise S3Error("ServiceUnavailable")
            yield
        finally:
            if not taking.done():
                taking.cancel()
            elif not taking.cancelled():
                self._turn.release()

    async def change(
        self,
        decide: Decide[Result],
        request_id: str = "iam",
        allowed: tuple[int, Again] | None = None,
    ) -> Result:
        """Make a change: decided on all that is stored, and made only if that is still so. This
        process knows it when this returns, others within ``LOOK_SECONDS``. ``allowed``: on which
        generation of the directory it was decided that whoever asks may, and what decides it again
        when that is another one.

        Raises IamError, with nothing changed, S3Error when the metadata cannot be asked, and what
        deciding again does.
        """
        known, again = allowed or (0, None)
        async with self._taken():
            for attempt in range(TRIES):
                await self._directory.refresh()
                # To decide again is to look again, so that it may take more than once.
                while again is not None and known != self._directory.generation:
                    known = await again()
                change = decide(self._directory)
                if not change.writes:
                    return change.result
                _check_can_be_read(self._directory, change.writes)
                writes = {
                    key: None if record is None else record.stored()
                    for key, record in change.writes.items()
                }
                _check_sizes(self._directory, writes)
                try:
                    await self._following.commit(
                        writes, request_id, change.besides, change.requires
                    )
                except ChangedError as error:
                    if error.index and change.refusal is not None:
                        raise change.refusal from error
                    longest = self.pause_seconds_max * attempt
                    await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  # a pause
                else:
                    return change.result
        raise IamError(
            "ConcurrentModification",
            "The request was rejected because multiple requests to change this object were "
            "submitted simultaneously. Wait a few minutes and submit your request again.",
        )


def _check_can_be_read(directory: Directory, writes: Mapping[str, Record | None]) -> None:
    """Whether nothing is written over whose present content is not known: an account of the
    configuration is there whatever is stored of it. Raises ServiceFailure."""
    for key, record in writes.items():
        if record is not None and directory.identities.hides(record):
            raise IamError("ServiceFailure", f"{key} cannot be read, and so not be changed.")


def _check_sizes(directory: Directory, writes: Mapping[str, str | None]) -> None:
    """Whether what accounts have is no more than every front-end can keep in memory. Raises
    LimitExceeded."""
    for account_id, grown in directory.identities.growth(writes).items():
        most = quotas.IDENTITY_BYTES_MAX
        if account_id and grown > 0 and directory.identities.size(account_id) + grown > most:
            raise IamError(
                "LimitExceeded", f"Cannot exceed quota for IdentityBytesPerAccount: {most}"
            )
