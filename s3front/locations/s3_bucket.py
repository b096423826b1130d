"""What has to be known of a bucket before something is written to it, and how that is learned.

Whether it keeps versions is asked, and asked again after some seconds, and when an answer shows
something else than was expected: the sooner it is known that versioning was suspended, the less is
stored under names that others may take. What the service does with conditions and with ETags is
tried, as services differ and say nothing: with an object under a name that nobody has, which is
removed again (``s3_probes``). It is tried once by each process, before its first write.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

import msgspec

from s3front.locations.remote_store import PlaceError, Trouble
from s3front.locations.s3_answers import S3AnswerError, etag_in
from s3front.locations.s3_client import S3Call, S3Client
from s3front.locations.s3_objects import NULL_VERSION, TAGGING_HEADER, VERSION_HEADER
from s3front.locations.s3_probes import PROBE_HEADERS, new_probe, remove_left
from shared.process.logs import EventLog

ENCRYPTION_HEADER: Final = "x-amz-server-side-encryption"

_PROBE: Final = b"An S3 server tries what this service can do. It removes this object again.\n"

_VERSIONING: Final = "Versioning"
"""In the name of the document's root: ``VersioningConfiguration``, or what a service calls it."""

_ASK_AGAIN_SECONDS: Final = 5.0
_ASK_REFUSED_AGAIN_SECONDS: Final = 300.0


class Versioning(Enum):
    """Whether a bucket keeps versions."""

    ON = auto()
    OFF = auto()
    """It never has, as far as is known: each key has one object."""
    SUSPENDED = auto()
    """It does no more. Its keys have versions, one of which the next object takes the place of."""


class Habits(msgspec.Struct, frozen=True):
    """What was tried. ``create_only``: the condition that there is no object is kept. ``md5``: the
    ETag of what was stored at once is its MD5. ``is_guess``: nothing could be tried."""

    create_only: bool
    md5: bool
    is_guess: bool = False


class S3Bucket:
    """See the module; ``name`` is the location's, for the log."""

    def __init__(self, client: S3Client, name: str, log: EventLog, *, versions: bool) -> None:
        """``versions``: whether to ask for them."""
        self._client = client
        self._name = name
        self._log = log
        self._asks = versions
        self._versioning = Versioning.OFF
        self._asked_at: float | None = None
        self._is_refused = False
        self._saw_null = False
        self._warned = False
        self._habits: Habits | None = None
        self._tags: bool | None = False if client.is_google else None
        self._lock = asyncio.Lock()

    @property
    def known_versioning(self) -> Versioning | None:
        """What is known without asking."""
        return None if self._asks and self._asked_at is None else self._versioning

    @property
    def known_habits(self) -> Habits | None:
        """What is known without trying."""
        return self._habits

    @property
    def known_tags(self) -> bool | None:
        """Whether objects keep tags, without trying."""
        return self._tags

    async def keeps_tags(self) -> bool:
        """Whether objects keep tags, and we may set them; tried when it is not known. Raises
        PlaceError."""
        if self._tags is None:
            async with self._lock:
                if self._tags is None:
                    self._tags = await self._try_tags()
        return self._tags

    async def versioning(self) -> Versioning:
        """Whether versions are kept. Raises PlaceError."""
        if not self._asks or self._is_fresh():
            return self._versioning
        async with self._lock:
            if not self._is_fresh():
                self._learn(await self._ask())
        return self._versioning

    async def habits(self) -> Habits:
        """What the service does; tried when it is not known. Raises PlaceError."""
        if self._habits is not None:
            return self._habits
        async with self._lock:
            is_first = self._habits is None
            habits = self._habits = self._habits or await self._try()
        if is_first:
            await self.remove_left_probes()
        return habits

    async def remove_left_probes(self) -> None:
        """Remove what a process that was killed has left of its trials. It can wait for the next
        one: when it fails, the log says so."""
        try:
            versions = await self.versioning() is not Versioning.OFF
            await remove_left(self._client, versions=versions)
        except PlaceError as error:
            self._log.warning(
                "objects that something was tried with are not looked for",
                location=self._name,
                reason=error.reason,
            )

    def saw(self, headers: Mapping[str, str]) -> str | None:
        """Learn from the answer to a write; returns the version that it made, None for none."""
        version = version_of(headers)
        if self._client.is_google:
            return version  # each object has a generation
        self._saw_null = headers.get(VERSION_HEADER) == NULL_VERSION
        if self._saw_null and self._versioning is Versioning.OFF and self._asks:
            self._asked_at = None
        if (version is not None) != (self._versioning is Versioning.ON) and self._asks:
            self._asked_at = None
            if version is not None:
                self._learn(Versioning.ON)
        return version

    def _is_fresh(self) -> bool:
        now = asyncio.get_running_loop().time()
        seconds = _ASK_REFUSED_AGAIN_SECONDS if self._is_refused else _ASK_AGAIN_SECONDS
        return self._asked_at is not None and now < self._asked_at + seconds

    def _learn(self, versioning: Versioning) -> None:
        self._versioning = versioning
        self._asked_at = asyncio.get_running_loop().time()
        if versioning is Versioning.ON:
            self._warned = False
        else:
            # Manual, 3.2.1 and 3.2.6.
            self._warn("the bucket of a location keeps no versions: switch versioning on there")

    def _warn(self, what: str) -> None:
        """Once, until versions are kept."""
        if not self._warned:
            self._warned = True
            self._log.warning(what, location=self._name)

    async def _ask(self) -> Versioning:
        call = S3Call("GET", query=(("versioning", ""),))
        try:
            _, tree = await self._client.read(call)
        except S3AnswerError as error:
            # It may not be ours to know, or nothing that this service knows of. Then nothing is
            # overwritten, until an answer shows a version.
            is_refused = error.place_code == "AccessDenied" or error.is_unknown_call
            # An error that is said to be good is none of the service's.
            self._is_refused = is_refused and error.status != 500
            if not self._is_refused:
                raise
            if not error.is_unknown_call:
                self._warn("whether the bucket of a location keeps versions is not ours to know")
            return Versioning.SUSPENDED if self._saw_null else Versioning.OFF
        if _VERSIONING not in tree.tag:
            reason = f"{call.what}: the answer is no VersioningConfiguration"
            raise PlaceError(Trouble.BROKEN, reason)
        self._is_refused = False
        status = tree.findtext("Status")
        known = {"Enabled": Versioning.ON, "Suspended": Versioning.SUSPENDED}
        return known.get(status or "", Versioning.OFF)

    async def _try(self) -> Habits:
        name = new_probe()
        md5 = hashlib.md5(_PROBE, usedforsecurity=False)
        headers = {
            "Content-MD5": base64.b64encode(md5.digest()).decode(),
            "Content-Type": "text/plain",
            "If-None-Match": "*",
            **PROBE_HEADERS,
        }
        call = S3Call("PUT", name, headers=headers, body=_PROBE)
        made: list[str | None] = []
        try:
            stored = await self._client.done(call)
            made.append(stored.get(VERSION_HEADER))
            is_md5 = etag_in(stored, call.what) == md5.hexdigest()
            made.append((await self._client.done(call)).get(VERSION_HEADER))
        except S3AnswerError as error:
            if not made:
                return await self._without_conditions(error)
            if error.status not in (409, 412):
                raise
            return Habits(create_only=True, md5=is_md5)
        finally:
            await self._remove(name, made)
        return Habits(create_only=False, md5=is_md5)

    async def _without_conditions(self, error: S3AnswerError) -> Habits:
        """What is taken for granted where nothing could be tried."""
        is_refused = error.trouble in (Trouble.BROKEN, Trouble.UNFIT)
        if not is_refused and error.place_code != "AccessDenied":
            raise error
        return Habits(create_only=False, md5=True, is_guess=True)

    async def _try_tags(self) -> bool:
        name = new_probe()
        made: list[str | None] = []
        put = S3Call("PUT", name, headers={TAGGING_HEADER: "a=b", **PROBE_HEADERS}, body=_PROBE)
        try:
            stored = await self._client.done(put)
            made.append(stored.get(VERSION_HEADER))
            etag_in(stored, put.what)
            _, tree = await self._client.read(S3Call("GET", name, (("tagging", ""),)))
            return tree.findtext("TagSet/Tag/Key") == "a"
        except S3AnswerError as error:
            # NotImplemented, AccessDenied, or whatever a service says to what it does not know.
            if error.trouble is Trouble.BUSY:
                raise
            self._log.warning(
                "objects keep no tags at a location", location=self._name, reason=error.reason
            )
            return False
        finally:
            await self._remove(name, made)

    async def _remove(self, name: str, versions: list[str | None]) -> None:
        for version in versions:
            query = () if version is None else (("versionId", version),)
            try:
                await self._client.done(S3Call("DELETE", name, query))
            except PlaceError as error:
                if isinstance(error, S3AnswerError) and error.is_absence:
                    continue
                self._log.warning(
                    "an object that something was tried with was not removed",
                    location=self._name,
                    data_key=name,
                    reason=error.reason,
                )


def version_of(headers: Mapping[str, str]) -> str | None:
    """The version that an answer is about; None for what has no ID of its own."""
    version = headers.get(VERSION_HEADER)
    return None if version in (None, "", NULL_VERSION) else version
