"""Bytes that are stored and that no record names yet: what records are to know of them, and how to
let go of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from s3front.bodies.checksums import Algorithm, BodyDigests
from s3front.context import Context
from s3front.encryption.transform import Transform
from s3front.keys.sealing import Sealing
from s3front.locations.base import DataStore, ObjectInfo, Stored, stored_blob
from s3front.locations.remote_store import in_log
from s3front.metadata.gateway import Carried
from s3front.metadata.strays import StrayNote, forget_strays
from s3front.objects.object_record import Checksum
from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds
from shared.records.data_location import STORED_SIZE, DataLocation

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Destination(msgspec.Struct, frozen=True, gc=False):
    """Where bytes go: to a store, which records know as the location ``name``, as ``part`` of what
    they are of (1 for an object). ``sealing`` is how they are encrypted, None: not at all.
    ``upload`` is the place's own upload that they are a part of, None where parts are blobs of
    their own."""

    store: DataStore
    name: str
    info: ObjectInfo
    part: int = 1
    sealing: Sealing | None = None
    upload: Stored | None = None


class StoredBody(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a location holds, ``size`` of them. No bytes need no blob, and have no location.

    ``complete_at``: a moment (``boot_seconds``) before the location could have made the first blob,
    or the key of what is encrypted was given out, if that was earlier.
    ``carried``: they are few, and come with the commit of their record: nothing holds them before;
    ``plain`` is what they were before they were encrypted.
    ``members`` is what the record says of how they are encrypted.
    ``notes`` are those of the journal of strays, which that commit deletes.
    """

    size: int
    md5: str
    checksums: Mapping[Algorithm, str]
    locations: Sequence[DataLocation]
    complete_at: float
    carried: Carried | None = None
    notes: Sequence[StrayNote] = ()
    members: Mapping[str, Any] = _NOTHING
    plain: bytes | None = None

    def checksum(self, algorithm: Algorithm) -> Checksum:
        """One of those that were computed."""
        return Checksum(algorithm.value, self.checksums[algorithm])


def stored_body(
    digests: BodyDigests,
    destination: Destination,
    stored: Sequence[tuple[Stored, int]],
    complete_at: float = math.inf,
    carried: Carried | None = None,
    notes: Sequence[StrayNote] = (),
    plain: bytes | None = None,
) -> StoredBody:
    """What records are to know; ``stored`` are the blobs, each with its plain size."""
    md5 = digests.md5_hex()
    locations = located(destination, stored, md5)
    sealing = destination.sealing
    if sealing is not None and locations:
        complete_at = min(complete_at, sealing.given_at)
    return StoredBody(
        digests.length,
        md5,
        digests.checksums(),
        locations,
        complete_at,
        carried,
        notes,
        _NOTHING if sealing is None else sealing.members,
        plain,
    )


def sealed(blob: Stored, transform: Transform) -> Stored:
    """A blob whose record says how it is encrypted."""
    return replace(blob, extra={**blob.extra, **transform.members()})


def located(
    destination: Destination, stored: Sequence[tuple[Stored, int]], md5: str
) -> list[DataLocation]:
    """Where the bytes are, of which ``md5`` is that of all."""
    locations = []
    start = 0
    for blob, size in stored:
        members = blob.members()
        if destination.sealing is not None:
            members = {**members, STORED_SIZE: blob.size}
        locations.append(
            DataLocation(
                key=blob.key,
                size=size,
                start=start,
                store_name=destination.name,
                store_type=destination.store.type,
                # Each of several blobs has the number of the part, and the MD5 of all of it.
                store_etag=f"{destination.part}:{blob.etag or md5}",
                members=members or None,
            )
        )
        start += size
    return locations


async def give_up(context: Context, stored: StoredBody) -> None:
    """Let go of bytes whose record was refused. A failure is logged and not raised."""
    if stored.carried is None:
        if await delete_data(context, stored.locations) and stored.notes:
            await forget_notes(context, stored.notes)
    elif context.services.one_hop is not None:
        context.services.one_hop.forget()


async def delete_data(context: Context, locations: Sequence[DataLocation]) -> bool:
    """Delete bytes that were stored and that no record has ever named; whether all of them are
    gone.

    A failure is logged and not raised: garbage collection finds what is unreferenced in the data
    daemon, and the journal of strays what is elsewhere.
    """
    gone = True
    for location in locations:
        store = context.services.locations.holder(location)
        gone &= await delete_blob(context, store, stored_blob(location))
    return gone


async def delete_blob(context: Context, store: DataStore, blob: Stored) -> bool:
    """The same for one blob."""
    try:
        await store.delete(blob)
    except S3Error as error:
        context.log.warning(
            "could not delete unused data", **in_log(store, blob), reason=str(error)
        )
        return False
    return True


async def forget_notes(context: Context, notes: Sequence[StrayNote]) -> None:
    """Remove notes of what is not stored any more. A failure is logged and not raised: the worker
    finds that there is nothing left."""
    try:
        await forget_strays(context.services.metadata, notes, context.request_id)
    except S3Error as error:
        context.log.warning("notes are left to the background worker", reason=str(error))


def check_age(context: Context, complete_at: float) -> None:
    """Let stored bytes be committed, unless they have become too old for that.

    ``complete_at`` is that of the oldest of them, as ``StoredBody`` has it.

    Called before every commit that names new bytes. Garbage collection takes bytes that no record
    names for garbage once its grace is over, and a master key that is given out no more may be
    removed then. So a front-end that was held up for half of that, or by a slow client, gives the
    bytes up instead: raises ServiceUnavailable, and the client sends them again.
    """
    if boot_seconds() - complete_at > context.services.commit_seconds_max:
        context.log.warning("stored bytes are too old to be committed")
        raise S3Error("ServiceUnavailable")
