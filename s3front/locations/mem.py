"""Locations of type ``mem``: bytes in memory, until the end of ``s3front start``.

All processes of one ``s3front start`` share them: the supervisor runs a data daemon for them that
keeps nothing on disk (``shared.config.private_daemon``). Another host, and a process that was
started alone (``s3front work``), has no part in it, and its requests answer 503.

When that daemon is gone, so are its bytes, while records may still name them (S3METADATA=file):
what is asked for then is answered as any object is whose bytes are lost, by InternalError (500),
and the log says which they are.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, NoReturn

from s3front.locations.base import BlobFile, Capabilities, DataReader, ObjectInfo, Stored
from s3front.locations.dmd_file import DmdFileStore
from s3front.locations.location_config import Location, Surroundings
from s3front.locations.origin import Origin
from s3front.s3_errors import S3Error
from shared.config.private_daemon import LOOPBACK
from shared.credentials import Credentials
from shared.daemon_secret import DaemonSecret

_TYPE: Final = "mem"


class MemoryStore(DmdFileStore):
    """The bytes of all locations in memory, for the processes that share them."""

    type = _TYPE


class MemoryElsewhere:
    """The same for a process that cannot reach them."""

    type = _TYPE
    capabilities = Capabilities(ranges=True, collected=True)

    async def put(
        self,
        _size: int,
        _body: bytes | AsyncGenerator[bytes, None],
        _info: ObjectInfo,
        mark: str = "",  # the name is the protocol's
    ) -> Stored:
        _refuse()

    def new_file(self, _size: int) -> BlobFile | None:
        return None

    async def open(self, _blob: Stored, _start: int, _end: int) -> DataReader:
        _refuse()

    async def delete(self, _blob: Stored) -> None:
        _refuse()

    async def close(self) -> None:
        """It has no connections."""


def _refuse() -> NoReturn:
    failure = S3Error("ServiceUnavailable")
    failure.__cause__ = RuntimeError("the bytes are in the memory of another `s3front start`")
    raise failure


def memory_store(_location: Location, surroundings: Surroundings) -> MemoryStore | MemoryElsewhere:
    """That of this process (``registry.TYPES``)."""
    daemon = surroundings.private_daemon
    if daemon is None or daemon.data_port is None:
        return MemoryElsewhere()
    credentials = Credentials(DaemonSecret((daemon.secret.reveal(),)))
    return MemoryStore(Origin(LOOPBACK, daemon.data_port), credentials=credentials)
