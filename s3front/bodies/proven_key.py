"""The master key that an upload of CloudServer's was really encrypted by.

CloudServer writes the key that its bucket has when an upload is completed into the object's record.
Its parts are of the key that the bucket's configuration named when they came, so the record may
have another one, or none. The form has no tag (``encryption.original``): a wrong key makes wrong
bytes, and nobody is told. So a blob of such an object is read first, and the key is the one that
makes the bytes whose MD5 the record has: the smallest blob, or, where it may be one of several
keys, each that is asked for. A copy onto itself takes a record's mistake into the data location.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Final

import msgspec

from s3front.bodies.blob_reading import bytes_of, coded, opened
from s3front.encryption.original import ORIGINAL_SCHEMES
from s3front.encryption.sse import KEY_ID_MEMBER
from s3front.encryption.transform import Transform
from s3front.keys.original_objects import cannot_open
from s3front.keys.sealing import Keys
from s3front.locations.base import stored_blob
from s3front.locations.registry import LocationRegistry
from s3front.objects.default_encryption import original_keys
from s3front.objects.object_record import ObjectRecord
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.bucket import BucketRecord
from shared.records.data_location import DataLocation, plain_md5s

Opening = Callable[[DataLocation], Awaitable[Transform]]
"""Gives the transform of a blob, by the master key that its location names."""

_SCHEME: Final = "cryptoScheme"
_MASTER_KEY: Final = "masterKeyId"
_OF_BUCKETS: Final = ("configuredMasterKeyId", _MASTER_KEY)
_PROVEN_MAX: Final = 10_000
"""How many blobs a process remembers the key of."""
_AWAY: Final = 503


class Proving(msgspec.Struct, frozen=True):
    """What a key is proven with; ``bucket`` is that of the object, which may name the key."""

    locations: LocationRegistry
    keys: Keys
    log: EventLog
    bucket: BucketRecord | None


def is_uncertain(record: ObjectRecord, location: DataLocation) -> bool:
    """Whether the key that is named may not be the right one. What was put at once is right."""
    if not _is_original(location):
        return False
    return _MASTER_KEY in (location.members or {}) or "-" in record.etag


def _is_original(location: DataLocation) -> bool:
    """An upload that CloudServer has begun may have parts of ours."""
    return (location.members or {}).get(_SCHEME) in ORIGINAL_SCHEMES


async def with_proven_key(
    proving: Proving, record: ObjectRecord, location: DataLocation, opening: Opening
) -> DataLocation:
    """The location, naming the right key. Raises S3Error where none that is known is right, and
    DataNotFoundError."""
    candidates = list(dict.fromkeys(_named(proving.bucket, record, location)))
    probe = _probe(record, location, several=len(candidates) > 1)
    if probe is None:
        # Nothing is known of any blob.
        return _by(location, candidates[0]) if candidates else location
    proven = proving.keys.proven
    blob, md5 = probe
    name = blob.store_name, blob.key
    key_id = proven.get(name)
    if key_id is None or key_id not in candidates:

        async def fits(key_id: str) -> bool:
            return await _md5(proving.locations, blob, await opening(_by(blob, key_id))) == md5

        try:
            key_id = await _fitting(candidates, fits)
        except S3Error:
            proving.log.error("no master key of an encrypted object fits", blob=blob.key)
            raise
        if len(proven) >= _PROVEN_MAX:
            proven.clear()
        proven[name] = key_id
    return _by(location, key_id)


def _probe(
    record: ObjectRecord, location: DataLocation, *, several: bool
) -> tuple[DataLocation, str] | None:
    """What is read, and the MD5 that it has to have."""
    md5s = plain_md5s(record.locations, record.etag)
    pairs = zip(record.locations, md5s, strict=True)
    known = [(blob, md5) for blob, md5 in pairs if md5 is not None and _is_original(blob)]
    if several:
        known = [found for found in known if found[0].key == location.key] or known
    return min(known, key=lambda found: found[0].size, default=None)


async def _fitting(candidates: Sequence[str], fits: Callable[[str], Awaitable[bool]]) -> str:
    trouble = cannot_open()
    for key_id in candidates:
        try:
            if await fits(key_id):
                return key_id
        except S3Error as error:
            if trouble.status != _AWAY:  # this one might have been right
                trouble = error
    raise trouble


def _named(
    bucket: BucketRecord | None, record: ObjectRecord, location: DataLocation
) -> Iterator[str]:
    """The keys that it may be, the likeliest first."""
    encryption = None if bucket is None else bucket.document.get("serverSideEncryption")
    found = [(location.members or {}).get(_MASTER_KEY), record.document.get(KEY_ID_MEMBER)]
    if isinstance(encryption, dict):
        found += [encryption.get(name) for name in _OF_BUCKETS]
        found += original_keys(encryption)
    return (key_id for key_id in found if isinstance(key_id, str) and key_id)


def _by(location: DataLocation, key_id: str) -> DataLocation:
    members = {**(location.members or {}), _MASTER_KEY: key_id}
    return msgspec.structs.replace(location, members=members)


async def _md5(locations: LocationRegistry, location: DataLocation, transform: Transform) -> str:
    """Of the bytes that a transform makes of a blob, in hex."""
    store, size = locations.holder(location), location.size
    blob = stored_blob(location)
    digest = hashlib.md5(usedforsecurity=False)
    with closing(await opened(store, blob, 0, blob.size - 1)) as reader:
        plain = coded(bytes_of(reader), transform.decoder(0, size - 1, size))
        async with aclosing(plain) as blocks:
            async for block in blocks:
                await asyncio.to_thread(digest.update, block)
    return digest.hexdigest()
