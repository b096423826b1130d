"""What one request changes, and how it is applied inside a write transaction. Pure but for the
transaction it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmd.metadata import release, stored
from dmd.metadata.conditions import Requirement
from dmd.metadata.engines.base import Transaction


@dataclass(frozen=True, slots=True)
class Put:
    """Store ``record`` at ``key``, with the projection that was derived from it.

    ``release``: the record that is replaced gives up its data (see ``dmd.metadata.release``).
    """

    key: bytes
    record: bytes
    schema: int
    projection: bytes
    release: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove ``key``, if it is there; ``release`` as for a put."""

    key: bytes
    release: bool = False


@dataclass(frozen=True, slots=True)
class Mutation:
    """Operations that take effect together, if every requirement holds."""

    operations: tuple[Put | Delete, ...]
    requirements: tuple[Requirement, ...] = ()
    return_previous: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """The mutation took effect.

    ``revisions`` has the new revision of each put and None for each deletion; ``previous``, when
    it was asked for, what each operation replaced or removed.
    """

    revisions: tuple[int | None, ...]
    previous: tuple[stored.Stored | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written: requirement ``index`` of the mutation did not hold."""

    index: int


Outcome = Committed | Refused


def apply(
    transaction: Transaction,
    mutation: Mutation,
    next_revision: Callable[[], int],
    now_ms: int,
) -> Outcome:
    """Decide one mutation and apply it.

    ``next_revision`` is called once a record written; ``now_ms`` is the time of the commit in
    milliseconds since the epoch.
    """
    for index, requirement in enumerate(mutation.requirements):
        if not requirement.holds(transaction):
            return Refused(index)
    revisions: list[int | None] = []
    previous: list[stored.Stored | None] = []
    for operation in mutation.operations:
        key = operation.key
        replaced = None
        if mutation.return_previous or operation.release:
            value = transaction.get(key)
            replaced = None if value is None else stored.unpack(key, value)
        if mutation.return_previous:
            previous.append(replaced)
        if operation.release and replaced is not None:
            _queue(transaction, replaced, next_revision, now_ms)
        if isinstance(operation, Delete):
            transaction.delete(key)
            revisions.append(None)
            continue
        revision = next_revision()
        entry = stored.Stored(revision, operation.schema, operation.projection, operation.record)
        transaction.put(key, stored.pack(key, entry))
        revisions.append(revision)
    return Committed(tuple(revisions), tuple(previous))


def _queue(
    transaction: Transaction,
    replaced: stored.Stored,
    next_revision: Callable[[], int],
    now_ms: int,
) -> None:
    """Queue the data of a record that gives it up, in the transaction that takes it away."""
    record = release.queue_entry(replaced.record)
    if record is None:
        return
    revision = next_revision()
    key = release.queue_key(now_ms, revision)
    entry = stored.Stored(revision, stored.NO_PROJECTION, b"", record)
    transaction.put(key, stored.pack(key, entry))
