"""The keys by which OpenID Connect providers sign, remembered, and fetched again when it is time.

Keys are good for ``FRESH_SECONDS``. A token that names a key that is not among them makes them be
fetched again, ``AGAIN_SECONDS`` after the last time at the earliest, so that strangers cannot have
a provider flooded. While a provider is away, its last keys are good for ``STALE_SECONDS_MAX``, and
it is asked less and less often. What is remembered is bounded: what was needed the longest time ago
goes. Of many who need the keys at once, the first asks for all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from s3front.iam.iam_errors import IamError
from s3front.iam.provider_documents import ProviderError
from s3front.iam.web_identity import (
    KeySet,
    Trusted,
    WebIdentity,
    claimed,
    place_of,
    verified,
)
from shared.process.logs import EventLog

FRESH_SECONDS: Final = 900.0
STALE_SECONDS_MAX: Final = 6 * 3600.0
AGAIN_SECONDS: Final = 5.0
AGAIN_SECONDS_MAX: Final = 60.0
"""After several failures."""

PROVIDERS_MAX: Final = 256
"""How many have their keys remembered, and"""
KEYS_CHARACTERS_MAX: Final = 4 * 1024 * 1024
"""how much text these have, all in all. Most providers have less than ten thousand characters."""

_KEY_CHARACTERS: Final = 500
"""What a key counts for besides its text."""


class _Known(msgspec.Struct):
    """``keys`` were read at ``read_at``; the provider was asked last at ``asked_at``, and has since
    failed ``failures`` times in a row."""

    keys: KeySet | None = None
    read_at: float = 0.0
    asked_at: float = 0.0
    failures: int = 0
    size: int = 0

    def may_ask(self, now: float) -> bool:
        """Whether it may be asked again."""
        doubled = float(1 << min(max(self.failures - 1, 0), 10))
        wait = min(AGAIN_SECONDS * doubled, AGAIN_SECONDS_MAX)
        return now - self.asked_at >= wait


class ProviderKeys:
    """See the module. ``fetch`` gets the keys of a provider, and raises ProviderError; it does not
    take for ever. ``close`` it."""

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[KeySet]],
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._log = log
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def identity(self, token: str, provider: Trusted, now: float) -> WebIdentity:
        """What a provider says of somebody; ``now`` is the wall clock, in seconds. Raises IamError:
        what ``verified`` does, and IDPCommunicationError where the keys cannot be had."""
        said = claimed(token)
        if place_of(said.issuer) != provider.place:
            return verified(token, {}, provider, now)  # which says so
        keys = await self._keys(provider.place, said.key_id)
        return verified(token, keys, provider, now)

    def close(self) -> None:
        """Ask nobody any more."""
        for task in list(self._asking.values()):
            task.cancel()

    async def _keys(self, place: str, key_id: str) -> KeySet:
        """The keys of a provider, this one among them if it has it. Raises IamError."""
        known = self._known.pop(place, None)
        if known is None:
            known = _Known(asked_at=self._clock() - AGAIN_SECONDS_MAX)
            if len(self._known) >= PROVIDERS_MAX:
                del self._known[next(iter(self._known))]
        self._known[place] = known  # the one that was used last is the last
        fresh = known.keys is not None and self._clock() - known.read_at < FRESH_SECONDS
        if known.keys is not None and fresh and key_id in known.keys:
            return known.keys
        asking = self._asking.get(place)
        if asking is None and known.may_ask(self._clock()):
            asking = asyncio.get_running_loop().create_task(self._ask(place, known))
            self._asking[place] = asking
        if asking is not None:
            # Whoever goes away must not take the answer from the others.
            await asyncio.shield(asking)
        if known.keys is None or self._clock() - known.read_at >= STALE_SECONDS_MAX:
            raise IamError(
                "IDPCommunicationError",
                "The identity provider cannot be reached, or does not publish its keys as it "
                "should. Try again later.",
            )
        return known.keys

    @property
    def size(self) -> int:
        """The text of all keys that are remembered, in characters."""
        return sum(known.size for known in self._known.values())

    def _forget_oldest(self, kept: str) -> None:
        """Forget keys of others, until all have the room that there is."""
        left = self.size - KEYS_CHARACTERS_MAX
        for place, known in list(self._known.items()):
            if left <= 0:
                return
            if place != kept:
                left -= known.size
                del self._known[place]

    async def _ask(self, place: str, known: _Known) -> None:
        """Fetch the keys of a provider; it does not raise."""
        known.asked_at = self._clock()
        try:
            keys = await self._fetch(place)
        except ProviderError as error:
            known.failures += 1
            self._log.warning("no keys of an identity provider", provider=place, reason=str(error))
        else:
            known.keys, known.read_at, known.failures = keys, self._clock(), 0
            known.size = sum(map(_size, keys.values()))
            self._forget_oldest(place)
        finally:
            del self._asking[place]


def _size(key: Mapping[str, str]) -> int:
    return _KEY_CHARACTERS + sum(map(len, key.values()))
