"""What one request changes, and how it is applied inside a write transaction. Pure but for the
transaction it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dmd.metadata import stored
from dmd.metadata.conditions import Requirement
from dmd.metadata.engines.base import Transaction


@dataclass(frozen=True, slots=True)
class Put:
    """Store ``record`` at ``key``, with the projection that was derived from it."""

    key: bytes
    record: bytes
    schema: int
    projection: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove ``key``, if it is there."""

    key: bytes


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


def apply(
    transaction: Transaction, mutation: Mutation, next_revision: Callable[[], int]
) -> Committed | Refused:
    """Decide one mutation and apply it; ``next_revision`` is called once a put."""
    for index, requirement in enumerate(mutation.requirements):
        if not requirement.holds(transaction):
            return Refused(index)
    revisions: list[int | None] = []
    previous: list[stored.Stored | None] = []
    for operation in mutation.operations:
        key = operation.key
        if mutation.return_previous:
            value = transaction.get(key)
            previous.append(None if value is None else stored.unpack(key, value))
        if isinstance(operation, Delete):
            transaction.delete(key)
            revisions.append(None)
            continue
        revision = next_revision()
        entry = stored.Stored(revision, operation.schema, operation.projection, operation.record)
        transaction.put(key, stored.pack(key, entry))
        revisions.append(revision)
    return Committed(tuple(revisions), tuple(previous))
