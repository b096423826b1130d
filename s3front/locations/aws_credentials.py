"""Where the keys come from that requests are signed with.

Those that stand in locationConfig.json are used as they are. All others are botocore's affair: a
profile, the environment, web identity, a container's or an instance's role. It reads files and asks
other servers, so it runs in a thread of its own, and is asked again before what it has given
expires.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.s3_details import S3Details
from s3front.locations.s3_signing import Keys
from shared.config.values import Secret

_FRESH_SECONDS: Final = 60.0
"""After that botocore is asked whether there are newer keys, which mostly costs a thread's turn. It
renews what expires ten to fifteen minutes before it does."""

_USABLE_SECONDS: Final = 540.0
"""After that nothing is sent until it has answered."""

_ASK_SECONDS_MAX: Final = 15.0


class KeySource(Protocol):
    """Keys for now."""

    async def keys(self, refused: Keys | None = None) -> Keys:
        """The keys to sign with; newer ones, if there are any, than those that were ``refused``.
        Raises PlaceError."""


def key_source(details: S3Details) -> KeySource:
    """Where the keys of a location come from."""
    pair = details.key_pair
    given = None if pair is None else Keys(pair.access_key, pair.secret_key)
    return given_or_found(given, details.profile)


def given_or_found(given: Keys | None, profile: str | None) -> KeySource:
    """These keys, or those of a profile, or what there is where AWS's own programs look."""
    return _FoundKeys(profile) if given is None else _GivenKeys(given)


class _GivenKeys:
    def __init__(self, given: Keys) -> None:
        self._given = given

    async def keys(self, refused: Keys | None = None) -> Keys:
        return self._given


class _FoundKeys:
    """Keys that botocore finds, and renews."""

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._credentials: Any = None
        self._found: Keys | None = None
        self._found_at = 0.0
        self._asking: asyncio.Task[Keys] | None = None
        # One of its own: a server that hangs takes none from others, however often it is asked.
        self._thread = ThreadPoolExecutor(1, "credentials")

    async def keys(self, refused: Keys | None = None) -> Keys:
        age = asyncio.get_running_loop().time() - self._found_at
        found = self._found
        if found is not None and found != refused and age < _USABLE_SECONDS:
            if age > _FRESH_SECONDS:
                self._ask(anew=False)
            return found
        return await asyncio.shield(self._ask(anew=refused is not None))

    def _ask(self, *, anew: bool) -> asyncio.Task[Keys]:
        """The answer of botocore, which is asked once at a time; ``anew``, it reads again all that
        it has read."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._answer(anew=anew))
            self._asking.add_done_callback(_noted)
        return self._asking

    async def _answer(self, *, anew: bool) -> Keys:
        try:
            async with asyncio.timeout(_ASK_SECONDS_MAX):
                loop = asyncio.get_running_loop()
                self._found = await loop.run_in_executor(self._thread, self._look, anew)
        except TimeoutError:
            raise PlaceError(Trouble.UNREACHED, "no credentials in time") from None
        self._found_at = asyncio.get_running_loop().time()
        return self._found

    def _look(self, anew: bool) -> Keys:
        """Blocks. Raises PlaceError."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  # on first use
        from botocore.session import Session  # noqa: PLC0415

        try:
            if self._credentials is None or anew:
                self._credentials = Session(profile=self._profile).get_credentials()
            if self._credentials is None:
                raise PlaceError(Trouble.REFUSED, "there are no credentials")
            frozen = self._credentials.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError, KeyError) as error:
            # Its text names files and servers, never what is secret in them.
            reason = f"no credentials: {type(error).__name__}: {error}"
            raise PlaceError(Trouble.REFUSED, reason) from None
        token = Secret(frozen.token) if frozen.token else None
        return Keys(frozen.access_key, Secret(frozen.secret_key), token)


def _noted(task: asyncio.Task[Keys]) -> None:
    """Nobody may be waiting for a look that failed; the next one is made when keys are needed."""
    if not task.cancelled():
        task.exception()
