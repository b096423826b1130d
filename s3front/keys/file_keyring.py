"""The keeper ``file``: master keys of a key file (``keyring_file``); and ``mem``, one in memory.

The file is looked at again once a second while keys are asked for, by a thread. Nobody waits for
that, unless nothing was asked for some seconds, or a key is asked for that is not known: what a
command has changed holds without a restart, and no process seals by a key that was replaced long
ago. A file that has
become bad changes nothing: the keys that were there stay, and the log says why. One that is gone
takes no keys away either; without one there are none, and what needs one is refused
(``sealing.no_keys``).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from s3front.encryption.key_wrapping import WrappingKey
from s3front.keys.base import KeeperError, KeyContext, KeyTrouble
from s3front.keys.keyring_file import Keyring, MasterKey, read_keyring, secret_check
from s3front.keys.original_objects import cannot_open
from s3front.keys.sealing import no_keys
from s3front.keys.troubles import disabled, not_found
from s3front.s3_errors import S3Error
from shared.config.errors import ConfigError
from shared.process.logs import EventLog

LOOK_SECONDS: Final = 1.0
STALE_SECONDS: Final = 3.0
"""A look that is older is waited for."""

LOOK_SECONDS_MAX: Final = 5.0
"""How long it is waited for: the folder may be on a network."""

DEFAULT_ALIAS: Final = "alias/aws/s3"

_Stamp = tuple[int, ...] | None


class _Held(NamedTuple):
    """A keyring, and its keys as they are given out."""

    ring: Keyring
    given: Mapping[str, WrappingKey]


class KeyringKeeper:
    """Gives out the keys of a keyring (``base.MasterKeys``); None: there are none."""

    name = ""

    def __init__(self, ring: Keyring | None) -> None:
        self._held: _Held | None = None
        self._use(ring)

    @property
    def ring(self) -> Keyring | None:
        """What there is at present."""
        return None if self._held is None else self._held.ring

    def check_of(self, key_id: str) -> str | None:
        """What tells the secret of a key from others; None where it is not there."""
        key = None if self.ring is None else self.ring.keys.get(key_id)
        return None if key is None or key.state == "removed" else secret_check(key.secret)

    def _use(self, ring: Keyring | None) -> None:
        if ring is not None:
            given = {
                key_id: WrappingKey(f"{self.name}:{key_id}", key.secret)
                for key_id, key in ring.keys.items()
            }
            self._held = _Held(ring, given)

    async def wrapping_key(self, key_id: str | None, _context: KeyContext) -> WrappingKey:
        """See ``MasterKeys``. A key that was retired is that which has replaced it."""
        named = None if key_id is None else its_own(key_id)
        await self._look_for(named)
        held = self._held
        if held is None:
            raise no_keys()
        if named is None:
            return held.given[held.ring.current]
        key = held.ring.successor(named)
        if key is None:
            raise not_found(named)
        if key.state != "enabled":
            raise disabled(named, "it is disabled in the key file")
        return held.given[key.id]

    async def opened(self, key_id: str, _wrapped: str, _context: KeyContext) -> bytes:
        """See ``MasterKeys``."""
        await self._look_for(key_id)
        ring = self.ring
        key = None if ring is None else ring.keys.get(key_id)
        if key is None or key.state == "removed":
            self._missing(key_id)
            raise not_found(key_id)
        if not key.opens:
            raise disabled(key_id, "it is disabled in the key file")
        return key.secret

    async def open_original(self, _key_id: str, _ciphered: bytes) -> bytes:
        """CloudServer's ``file`` keeps no keys: they are in its records."""
        raise cannot_open()

    async def create(self, _description: str) -> str:
        raise S3Error("NotImplemented", "Master keys are made by: s3front keys add")

    async def look(self) -> str | None:
        return "there is no master key" if self.ring is None else None

    async def close(self) -> None:
        """Nothing is open."""

    async def _look_for(self, key_id: str | None) -> None:
        """Read the keys again, where that may be due."""

    def _missing(self, key_id: str) -> None:
        """A key is needed that is not there."""


class MemoryKeyring(KeyringKeeper):
    """One master key, as long as the processes of one ``s3front start`` are there."""

    name = "mem"

    def __init__(self, secret: str | None) -> None:
        """``secret`` is in base64; None: this process has no part in it."""
        super().__init__(None if secret is None else _ring_of(b64decode(secret)))


class FileKeyring(KeyringKeeper):
    """See the module. Raises ConfigError when the file is bad from the beginning."""

    name = "file"

    def __init__(
        self, path: Path, log: EventLog, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._log = log
        self._clock = clock
        self._seen = self._stamp()
        self._refused = ""
        self._looking: asyncio.Future[None] | None = None
        self._told: set[str] = set()
        super().__init__(read_keyring(path))
        self._looked_at = clock()

    def reload(self) -> None:
        """Read the file again now. Raises ConfigError, and the old keys stay."""
        stamp = self._stamp()
        self._use(read_keyring(self._path))
        self._seen, self._refused = stamp, ""

    async def look(self) -> str | None:
        done, _ = await asyncio.wait((self._look_again(),), timeout=LOOK_SECONDS_MAX)
        if not done:
            return "the folder of the key file does not answer"
        return self._refused or await super().look()

    async def _look_for(self, key_id: str | None) -> None:
        ring = self.ring
        is_known = ring is not None and (key_id is None or key_id in ring.keys)
        age = self._clock() - self._looked_at
        if is_known and age < LOOK_SECONDS:
            return
        looking = self._look_again()
        if is_known and age <= STALE_SECONDS:
            return
        done, _ = await asyncio.wait((looking,), timeout=LOOK_SECONDS_MAX)
        if not done:
            reason = f"the folder of {self._path} does not answer"
            raise KeeperError(KeyTrouble.AWAY, "The encryption keys cannot be had now.", reason)

    def _look_again(self) -> asyncio.Future[None]:
        """A look that is under way, if need be a new one."""
        if self._looking is None:
            loop = asyncio.get_running_loop()
            self._looking = looking = loop.run_in_executor(None, self._read_if_changed)
            looking.add_done_callback(self._ended)
        return self._looking

    def _ended(self, looking: asyncio.Future[None]) -> None:
        self._looking, self._looked_at = None, self._clock()
        if not looking.cancelled() and (error := looking.exception()) is not None:
            self._log.error("the key file cannot be looked at", exc_info=error)

    def _read_if_changed(self) -> None:
        """In a thread; what it makes is put into place whole."""
        stamp = self._stamp()
        if stamp == self._seen:
            if stamp is not None:
                self._refused = ""  # it was another one for a while
            return
        try:
            ring = read_keyring(self._path)
        except (ConfigError, OSError, MemoryError) as error:
            self._refuse(str(error))
            return
        self._seen = stamp
        if ring is None:
            self._refuse(f"{self._path}: is gone")
            return
        self._refused = ""
        self._use(ring)
        self._told.clear()
        self._log.info("master keys read again", keys=len(ring.keys), current=ring.current)

    def _refuse(self, reason: str) -> None:
        if self._refused != reason:
            self._refused = reason
            self._log.error("the key file is refused, the old keys stay", reason=reason)

    def _missing(self, key_id: str) -> None:
        if key_id not in self._told and len(self._told) < 100:
            self._told.add(key_id)
            self._log.error(
                "a master key is missing: what it protects cannot be read",
                key=f"{self.name}:{key_id}",
                file=str(self._path),
            )

    def _stamp(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None
        # Others may have been let read it, which changes no time of what is in it.
        rights = status.st_mode, status.st_uid
        return status.st_mtime_ns, status.st_size, status.st_ino, *rights


def its_own(named: str) -> str | None:
    """The ID of a key as a client may name it, by itself or in an ARN; None for the current key
    (Amazon S3 user guide, "Using server-side encryption with AWS KMS": ``alias/aws/s3``)."""
    key_id = named.rpartition(":")[2].removeprefix("key/") if named.startswith("arn:") else named
    return None if key_id == DEFAULT_ALIAS else key_id


def _ring_of(secret: bytes) -> Keyring:
    key_id = hashlib.sha256(b"twofold memory key" + secret).hexdigest()[:16]
    key = MasterKey(id=key_id, created="", secret=secret)
    return Keyring(current=key_id, keys=MappingProxyType({key_id: key}))
