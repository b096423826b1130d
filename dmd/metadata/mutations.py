"""What one request changes, and how it is applied inside a write transaction. Pure but for the
transaction it is given.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from dmd.metadata import record_keys, release, stored, versioned_writes
from dmd.metadata.commit import Commit, entry_of
from dmd.metadata.conditions import Requirement
from dmd.metadata.versioned_writes import PutVersion
from shared.records.names import LEASES

_LEASES: Final = record_keys.prefix([LEASES])


class Body(msgspec.Struct, frozen=True):
    """Bytes that become a blob with the commit; what stands for its key is ``at`` this place in the
    record, and nowhere else."""

    at: int
    content: bytes


class Put(msgspec.Struct, frozen=True):
    """Store ``record`` at ``key``, with the projection that was derived from it.

    ``release``: the record that is replaced gives up its data (see ``dmd.metadata.release``).
    ``appends``: ``key`` is that of a queue, and the record goes behind all that are there.
    ``body``: what the record names; no projection has anything of that.
    """

    key: bytes
    record: bytes
    schema: int
    projection: bytes
    release: bool = False
    appends: bool = False
    body: Body | None = None


class Delete(msgspec.Struct, frozen=True):
    """Remove ``key``, if it is there; ``release`` as for a put."""

    key: bytes
    release: bool = False


class Versioned(msgspec.Struct, frozen=True):
    """A put or deletion that ``dmd.metadata.versioned_writes`` decides.

    ``release``: versions of which nothing remains give up their data. One that merely is no longer
    the master keeps it.
    """

    request: versioned_writes.Request
    release: bool = False
    body: Body | None = None


Operation = Put | Delete | Versioned


class Mutation(msgspec.Struct, frozen=True):
    """Operations that take effect together, if every requirement holds."""

    operations: tuple[Operation, ...]
    requirements: tuple[Requirement, ...] = ()
    return_previous: bool = False

    @property
    def body_bytes(self) -> int:
        """The bytes of the bodies that it brings."""
        size = 0
        for operation in self.operations:
            if not isinstance(operation, Delete) and operation.body is not None:
                size += len(operation.body.content)
        return size


def frees(mutation: Mutation) -> bool:
    """Whether a mutation is to be done even when there is no room for new data: it removes
    something, or is bookkeeping of those who do."""
    return any(
        isinstance(operation, Delete)
        or (isinstance(operation, Versioned) and not isinstance(operation.request, PutVersion))
        or (isinstance(operation, Put) and operation.key.startswith(_LEASES))
        for operation in mutation.operations
    )


class Committed(msgspec.Struct, frozen=True):
    """The mutation took effect. Each member has one entry an operation.

    ``revisions``: the new revision of a put, None for a deletion. ``version_ids``: what was
    answered to a versioned operation, None for a plain one. ``previous``, when it was asked for:
    what the operation replaced or removed.
    """

    revisions: tuple[int | None, ...]
    previous: tuple[stored.Stored | None, ...] = ()
    version_ids: tuple[str | None, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """Nothing was written: requirement ``index`` of the mutation did not hold."""

    index: int


Outcome = Committed | Refused


_Effect = tuple[int | None, stored.Stored | None, str | None]
"""What became of one operation: its revision, what it replaced, and its version ID."""


def apply(commit: Commit, mutation: Mutation) -> Outcome:
    """Decide one mutation and apply it."""
    for index, requirement in enumerate(mutation.requirements):
        if not requirement.holds(commit.transaction):
            return Refused(index)
    effects = [
        _apply_versioned(commit, operation, mutation.return_previous)
        if isinstance(operation, Versioned)
        else _apply_plain(commit, operation, mutation.return_previous)
        for operation in mutation.operations
    ]
    if not effects:
        return Committed(())
    revisions, previous, version_ids = zip(*effects, strict=True)
    return Committed(revisions, previous if mutation.return_previous else (), version_ids)


def _apply_plain(commit: Commit, operation: Put | Delete, return_previous: bool) -> _Effect:
    key = operation.key
    replaced = None
    if return_previous or operation.release:
        value = commit.transaction.get(key)
        replaced = None if value is None else stored.unpack(key, value)
    if operation.release and replaced is not None:
        _queue(commit, release.queue_entry(replaced.record))
    previous = replaced if return_previous else None
    if isinstance(operation, Delete):
        commit.delete(key)
        return None, previous, None
    revision = commit.next_revision()
    if operation.appends:
        key += release.entry_name(commit.now_ms, revision)
    record = operation.record
    if operation.body is not None:
        record = _with_key(commit, record, operation.body)
    commit.put(key, stored.Stored(revision, operation.schema, operation.projection, record))
    return revision, previous, None


def _with_key(commit: Commit, record: bytes, body: Body) -> bytes:
    """A record with the key of the blob that its body becomes."""
    key = commit.bodies.add(body.content).encode()
    return b"".join((record[: body.at], key, record[body.at + len(key) :]))


def _apply_versioned(commit: Commit, operation: Versioned, return_previous: bool) -> _Effect:
    request, records = operation.request, commit.records
    if operation.body is not None:
        assert isinstance(request, PutVersion)
        request = replace(request, record=_with_key(commit, request.record, operation.body))
    decision = versioned_writes.decide(records, request, commit.version_ids)
    previous = None
    if return_previous:
        value = commit.transaction.get(decision.subject)
        previous = None if value is None else stored.unpack(decision.subject, value)
    replaced: list[bytes] = []
    if operation.release:
        before = (records.get(key) for key in decision.changes)
        replaced = [record for record in before if record is not None]
    revision = None
    entry = None
    for key, record in decision.changes.items():
        if record is None:
            commit.delete(key)
            continue
        if revision is None:
            # The copies of one record, master and version, have one revision.
            revision = commit.next_revision()
        if entry is None or entry.record is not record:
            entry = entry_of(key, record, revision)
        commit.put(key, entry)
    if replaced:
        kept = _remaining(commit, request.key, decision, replaced)
        _queue(commit, release.queue_entry_of_lost(replaced, kept))
    is_put = isinstance(request, versioned_writes.PutVersion)
    if isinstance(request, versioned_writes.PutVersion) and request.version_id:
        commit.count_version_id(request.version_id)
    return revision if is_put else None, previous, decision.version_id


def _remaining(
    commit: Commit, key: bytes, decision: versioned_writes.Decision, replaced: list[bytes]
) -> list[bytes]:
    """The records that may name the same data as replaced ones: where copies of them can be.

    A record that does not say which version it is can have a copy anywhere.
    """
    places = {key, versioned_writes.version_key(key, versioned_writes.NULL), *decision.changes}
    version_ids = [versioned_writes.version_id_in(record) for record in replaced]
    places.update(
        versioned_writes.version_key(key, known) for known in version_ids if known is not None
    )
    records = commit.records
    found = (records.get(place) for place in places)
    remaining = [record for record in found if record is not None]
    if None in version_ids:
        remaining += (record for _, record in versioned_writes.versions(records, key))
    return remaining


def _queue(commit: Commit, record: bytes | None) -> None:
    """Queue data that was given up, in the transaction that takes it away."""
    if record is None:
        return
    revision = commit.next_revision()
    key = release.queue_key(commit.now_ms, revision)
    commit.put(key, stored.Stored(revision, stored.NO_PROJECTION, b"", record))
