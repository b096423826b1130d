"""A short look at the places that others run, once a front-end serves, and after each reload.

Nobody waits for it: a place that is away is a warning in the log, and comes when it comes. What a
look finds amiss (no versions are kept, a signature that ends soon) is a warning, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from s3front.locations.registry import LocationRegistry
from s3front.locations.remote_store import PlaceError, RemoteStore
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog

LOOK_SECONDS_MAX: Final = 60.0


class PlaceLooks:
    """Looks under way. ``begin`` returns at once; ``close`` ends them."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._looking: asyncio.Task[None] | None = None

    def begin(self, locations: LocationRegistry) -> None:
        """Look at all places, in the place of looks that are under way still."""
        self.close()
        places = locations.remotes()
        if places:
            looking = self._look_at(places)
            self._looking = asyncio.get_running_loop().create_task(looking, name="looks")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look_at(self, places: Mapping[str, RemoteStore]) -> None:
        await asyncio.gather(*(self._look(name, store) for name, store in places.items()))

    async def _look(self, name: str, store: RemoteStore) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                findings = await store.look(thorough=False)
        except PlaceError as error:
            reason = error.reason
        except TimeoutError:
            reason = f"no answer within {LOOK_SECONDS_MAX:g} s"
        except S3Error as error:
            reason = str(error.__cause__ or error)
        except Exception as error:  # whatever it is, others are looked at
            reason = repr(error)
        else:
            for each in findings:
                if each.is_good is False:
                    self._log.warning(
                        "a location is not as it should be",
                        location=name,
                        what=each.what,
                        reason=each.words,
                    )
            return
        self._log.warning("a location cannot be used at present", location=name, reason=reason)
