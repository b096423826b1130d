"""Objects, in terms of the metadata RPC.

Every function is one round trip. Commits state what they were decided on (DESIGN, sections 3 and
5): an object commit names its bucket's revision, so that an object never outlives its bucket. When
a requirement does not hold, nothing was written and ``ChangedError`` is raised: the caller reads
again and decides again.

What a commit replaces or deletes gives up its data in the same transaction: the daemon queues it
for deletion, and the worker of ``s3front.work.deletions`` removes it later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketStore, bucket_requirement
from s3front.metadata.gateway import (
    SAME_AS_KNOWN,
    Carried,
    Entry,
    Known,
    MetadataGateway,
    Operation,
    Requirement,
)
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.kept_records import KeptRecords, RecentKeys
from s3front.metadata.strays import StrayNote, commit_noted
from s3front.metadata.token_store import ClientToken
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import (
    LATEST,
    NOTHING_REQUIRED,
    Lookup,
    Place,
    Plan,
    Requires,
    Version,
    stored_name,
    with_version_id,
)
from shared import limits
from shared.records.upload import overview_key, uploads_level

KEPT_OBJECTS_MAX: Final = 4096
KEPT_CHARACTERS_MAX: Final = 4 * 1024 * 1024
"""Of the objects that are read again and again: what their records say is taken from them once.
They take four times as much memory as their text has characters: 16 MiB at most."""

RECENT_OBJECTS_MAX: Final = 2 * KEPT_OBJECTS_MAX
"""An object is kept when it is read again among the reads of so many others."""


class StoredObject(msgspec.Struct, frozen=True):
    """A version of an object as it was read, the latest one unless ``place`` says otherwise.
    ``body`` are its bytes, if they came with it."""

    record: ObjectRecord
    revision: int
    place: Place = Place.MASTER
    body: bytes | None = None


class KeptObject(msgspec.Struct, frozen=True):
    """The latest version of an object, what was told of it, and the characters of its text."""

    object: StoredObject
    known: Known
    size: int


class ObjectCommit(msgspec.Struct, frozen=True):
    """What is to become of one object, as a part of a commit: what is done, and what has to hold
    for that. ``record`` is the one that is stored, None for a deletion. ``outbox`` is what is done
    besides, by whoever has to hear of it. ``carried`` are the bytes of the object, where they come
    with the commit; ``notes`` are those of its blobs in the journal of strays."""

    operations: Sequence[Operation]
    requirements: Sequence[Requirement]
    record: ObjectRecord | None
    outbox: Sequence[Operation] = ()
    carried: Carried | None = None
    notes: Sequence[StrayNote] = ()

    def with_notes(self, notes: Sequence[StrayNote]) -> ObjectCommit:
        """The same, of what has these notes."""
        return replace(self, notes=notes) if notes else self

    def stored(self, version_ids: Sequence[str | None]) -> ObjectRecord:
        """The record as it is stored, by what the last of the operations answered."""
        assert self.record is not None
        return with_version_id(self.record, version_ids[-1])


class Renaming(msgspec.Struct, frozen=True):
    """An object as it was read at ``source_key``, and the ``record`` that it becomes."""

    source_key: str
    source: StoredObject
    record: ObjectRecord


class ObjectStore:
    """The objects of all ``buckets``.

    ``oldest_version_id`` is that of objects from before there were versions.
    """

    def __init__(
        self, metadata: MetadataGateway, buckets: BucketStore, oldest_version_id: str
    ) -> None:
        self._metadata = metadata
        self._buckets = buckets
        self._kept: KeptRecords[tuple[str, str], KeptObject] = KeptRecords(
            KEPT_OBJECTS_MAX, KEPT_CHARACTERS_MAX
        )
        self._recent: RecentKeys[tuple[str, str]] = RecentKeys(RECENT_OBJECTS_MAX)
        self.oldest_version_id = oldest_version_id

    async def read(
        self,
        bucket: str,
        key: str | None,
        request_id: str,
        version: Version = LATEST,
        *,
        with_body: bool = False,
    ) -> tuple[StoredBucket | None, StoredObject | None]:
        """A bucket and a version of one of its objects (none for key None), in one snapshot;
        ``with_body``: with its bytes, where those are at hand."""
        if key is None:
            return await self._buckets.read(bucket, request_id), None
        if version.is_specific:
            stored_bucket, (found,) = await self.read_versions(
                bucket, [(key, version)], request_id, with_bodies=with_body
            )
            return stored_bucket, found
        address, connection = (bucket, key), self._metadata.connection
        # The bytes come with a record that is told.
        kept = None if with_body else self._kept.get(address)
        known = None if kept is None else kept.known
        stored_bucket, (entry,) = await self._buckets.read_with_known(
            bucket, ((bucket, key, known),), request_id, with_bodies=with_body
        )
        if entry is SAME_AS_KNOWN:
            assert kept is not None
            return stored_bucket, kept.object
        found = _object_of(entry)
        if found is None:
            self._kept.forget(address)
        elif (
            found.body is None
            and connection == self._metadata.connection
            and (kept is not None or self._recent.again(address))
        ):
            assert entry is not None
            known = Known(found.revision, connection)
            self._kept.keep(address, KeptObject(found, known, len(entry[0])))
        return stored_bucket, found

    async def read_with_token(
        self, bucket: str, keys: Sequence[str], token: ClientToken | None, request_id: str
    ) -> tuple[StoredBucket | None, list[StoredObject | None], str | None]:
        """A bucket, the latest versions of some of its objects, and the record of a client token,
        in one snapshot."""
        wanted = [*((bucket, key) for key in keys), *([] if token is None else token.addresses)]
        stored_bucket, entries = await self._buckets.read_with(bucket, wanted, request_id)
        objects, tokens = entries[: len(keys)], entries[len(keys) :]
        return (
            stored_bucket,
            [_object_of(entry) for entry in objects],
            next((entry[0] for entry in tokens if entry is not None), None),
        )

    async def read_versions(
        self,
        bucket: str,
        wanted: Sequence[tuple[str, Version]],
        request_id: str,
        *,
        with_bodies: bool = False,
    ) -> tuple[StoredBucket | None, list[StoredObject | None]]:
        """A bucket and certain versions of some of its objects, in one snapshot. A null version may
        take a second one to find."""
        lookups = [Lookup(key, version) for key, version in wanted]
        while True:
            names = [lookup.names for lookup in lookups]
            every = [(bucket, name) for each in names for name in each]
            stored_bucket, records = await self._buckets.read_with(
                bucket, every, request_id, with_bodies=with_bodies
            )
            read = [_object_of(entry) for entry in records]
            found: list[StoredObject | None] = []
            complete, start = True, 0
            for lookup, each in zip(lookups, names, strict=True):
                entries = read[start : start + len(each)]
                start += len(each)
                done, index = lookup.choose([record_of(entry) for entry in entries])
                complete = complete and done
                chosen = None if index is None else entries[index]
                found.append(chosen and replace(chosen, place=lookup.place))
            if complete:
                return stored_bucket, found

    async def can_rename(self) -> bool:
        """Whether an object can get another key. A daemon that does one thing after the other may
        stop in between, and leave bytes to two objects."""
        return await self._metadata.is_atomic()

    async def rename(
        self,
        bucket: StoredBucket,
        renaming: Renaming,
        requirement: Requirement | None,
        token: ClientToken | None,
        request_id: str,
    ) -> None:
        """Give an object another key; raises ChangedError when it is no longer what was read.

        ``requirement`` is about the object that is replaced, if the renaming depends on it. It
        gives its data up; that of the renamed one stays where it is, with a new owner. An upload
        that the object was made of has to be gone.
        """
        old_key, new_key = renaming.source_key, renaming.record.document["key"]
        operations = [
            gateway.put(bucket.name, new_key, renaming.record.serialise(), release=True),
            gateway.delete(bucket.name, old_key),
        ]
        requires = [
            bucket_requirement(bucket),
            gateway.has_revision(bucket.name, old_key, renaming.source.revision),
        ]
        upload_id = renaming.record.upload_id
        # There is no upload of a longer ID, nor a key for one.
        if upload_id is not None and len(upload_id) <= limits.UPLOAD_ID_CHARACTERS_MAX:
            overview = overview_key(old_key, upload_id)
            requires.append(gateway.is_absent(uploads_level(bucket.name), overview))
        if requirement is not None:
            requires.append(requirement)
        if token is not None:
            operations.append(token.put())
            requires += token.requirements
        await self._metadata.commit(operations, requires, request_id)

    async def commit(
        self, bucket: StoredBucket, commits: Sequence[ObjectCommit], request_id: str
    ) -> Sequence[str | None]:
        """Do what was decided for some objects, in one commit; only one by itself may have bytes
        with it, or notes. What each of their operations answered: its internal version ID. Raises
        ChangedError."""
        carried = None
        if len(commits) == 1:
            (commit,) = commits
            operations, outbox, carried = commit.operations, commit.outbox, commit.carried
            requires = [bucket_requirement(bucket), *commit.requirements]
            if commit.notes:
                every = [*operations, *outbox]
                noted = await commit_noted(
                    self._metadata, every, requires, commit.notes, request_id
                )
                return noted.version_ids[: len(operations)]
        else:
            operations, outbox, requires = [], [], [bucket_requirement(bucket)]
            for commit in commits:
                operations += commit.operations
                outbox += commit.outbox
                requires += commit.requirements
        committed = await self._metadata.commit(
            [*operations, *outbox], requires, request_id, carried
        )
        answers = committed.version_ids
        return answers[: len(operations)] if outbox else answers


def record_of(entry: StoredObject | None) -> ObjectRecord | None:
    """The record of what was read, None when nothing was there."""
    return None if entry is None else entry.record


def _object_of(entry: Entry | None) -> StoredObject | None:
    if entry is None:
        return None
    text, revision, body = entry
    return StoredObject(ObjectRecord.parse(text), revision, body=body)


def planned(
    bucket: StoredBucket,
    key: str,
    current: StoredObject | None,
    plan: Plan,
    requirement: Requirement | None = None,
    carried: Carried | None = None,
) -> ObjectCommit:
    """What a plan, made for ``current``, does and requires; ``requirement`` is one more. What is
    ``carried`` is of the record that its last step stores. Pure."""
    last = plan.steps[-1]
    operations = [
        gateway.delete(bucket.name, key, release=step.release, options=step.options)
        if step.record is None
        else gateway.put(
            bucket.name,
            key,
            step.record.serialise(),
            release=step.release,
            options=step.options,
            carried=carried if step is last else None,
        )
        for step in plan.steps
    ]
    requirements = [] if requirement is None else [requirement]
    if plan.requires is not NOTHING_REQUIRED:
        requirements += _requirements(bucket, key, current, plan.requires)
    return ObjectCommit(operations, requirements, last.record, carried=carried)


def _requirements(
    bucket: StoredBucket, key: str, current: StoredObject | None, required: Requires
) -> list[Requirement]:
    """What a plan rests on that was made for ``current``."""
    if required is Requires.NO_NULL_MASTER:
        return [gateway.is_no_null_version(bucket.name, key)]
    if required is Requires.NO_NULL_VERSION:
        return [gateway.names_no_null_version(bucket.name, key)]
    requirements = [object_requirement(bucket, key, current)]
    if current is not None and current.place is Place.OWN and current.record.is_null_version:
        # Should it have become the latest again, its master may say more.
        requirements.append(gateway.is_no_null_version(bucket.name, key))
    return requirements


def object_requirement(
    bucket: StoredBucket, key: str, current: StoredObject | None, *, any_state: bool = False
) -> Requirement:
    """The requirement that the version at ``key`` is still what was read.

    ``any_state``: that there still is an object, whichever. With versions its record may be a
    delete marker, so that only the revision tells.
    """
    if current is None:
        return gateway.is_absent(bucket.name, key)
    if any_state and not bucket.record.has_versions:
        return gateway.is_present(bucket.name, key)
    name = stored_name(key, current.place, current.record)
    return gateway.has_revision(bucket.name, name, current.revision)
