"""A look at the master keys, once a front-end serves, and after each reload: what cannot be read,
or cannot be stored, is said before a client finds out.

Nobody waits for it. A key that was used once and is not there any more is an error in the log, as
what it protects is lost with it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from s3front.context import Services
from s3front.keys.used_keys import UsedKeys, missing_keys
from s3front.metadata.gateway import MetadataGateway
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog

_AGAIN_SECONDS: Final = 5.0
_SHOWN_MAX: Final = 20


class KeyLooks:
    """The look under way. ``begin`` returns at once; ``close`` ends it."""

    def __init__(self, metadata: MetadataGateway, log: EventLog) -> None:
        self._used = UsedKeys(metadata)
        self._log = log
        self._looking: asyncio.Task[None] | None = None

    def begin(self, services: Services) -> None:
        """Look, in the place of a look that is under way still."""
        self.close()
        looking = self._look(services)
        self._looking = asyncio.get_running_loop().create_task(looking, name="key looks")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self, services: Services) -> None:
        keys, log = services.keys, self._log
        try:
            await self._look_at_current(services)
            missing = await self._missing(services)
        except Exception as error:
            log.error("the master keys cannot be looked at", exc_info=error)
            return
        if missing:
            log.error(
                "master keys are missing: what they protect cannot be read",
                keys=missing[:_SHOWN_MAX],
                missing=len(missing),
                keepers=sorted(keys.keepers),
            )

    async def _look_at_current(self, services: Services) -> None:
        current = services.keys.current
        if current is None:
            return
        reason = await current.look()
        if reason is None:
            return
        if services.encryption_settings.encrypts_all:
            self._log.error(
                "no object can be stored: all are to be encrypted",
                keeper=current.name,
                reason=reason,
            )
        elif current.name != "file":
            self._log.warning(
                "the keeper of master keys cannot be used at present",
                keeper=current.name,
                reason=reason,
            )

    async def _missing(self, services: Services) -> list[str]:
        """As soon as the metadata daemon answers."""
        while True:
            try:
                return list(await missing_keys(self._used, services.keys.keepers))
            except S3Error:
                await asyncio.sleep(_AGAIN_SECONDS)
