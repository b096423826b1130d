"""The answers of mutations that carry an operation ID, so that a repeated one gets the first.

Theory of operation. An answer is kept in the transaction of its mutation, at::

    \\0operation\\0 [generation: 8 bytes, big-endian] [operation ID]

with a fingerprint of the mutation in place of a revision: an ID that comes again with something
else is refused.

Every ``OPERATION_KEPT_SECONDS`` of the daemon's own uptime a new generation begins. Answers are
looked for in the current and in the last one, so an answer is kept for that time at least and
twice that time at most, whatever wall clocks do; after a restart, everything that is found counts
as recent. Older generations are removed in bounded slices inside later commits.

Pure but for the transaction that it is given, and the engine that it looks into once. Only the
writer's thread uses it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

import msgspec
from isal.isal_zlib import crc32

from dmd.metadata import stored
from dmd.metadata.engines.base import Engine, Transaction
from dmd.metadata.mutations import Committed, Delete, Mutation, Outcome, Put, Refused
from dmd.metadata.record_keys import OPERATIONS_PREFIX
from dmd.metadata.versioned_writes import PutVersion
from shared import limits
from shared.errors import ServiceError

_GENERATION_BYTES = 8
_ANY = 0
"""In place of a fingerprint, in answers of releases that kept none."""

_KNOWN = 1 << 32
_CRC_MAX = (1 << 32) - 1
_encode = msgspec.msgpack.Encoder().encode
_FORMS: dict[int, type[Committed] | type[Refused]] = {1: Committed, 2: Refused}
_END = OPERATIONS_PREFIX[:-1] + b"\x01"


class Operations:
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._generations = _found(engine) or [0]
        """Where answers are looked for, oldest first; new ones go into the last."""
        self._began: float | None = None
        self._may_prune = True

    def turn(self, now: float) -> None:
        """Begin a new generation when it is time; ``now`` is monotonic, in seconds."""
        if self._began is None:
            self._began = now
        elif now - self._began >= limits.OPERATION_KEPT_SECONDS:
            self._began = now
            last = self._generations[-1]
            self._generations = [last, last + 1]
            self._may_prune = True

    def answer(
        self, transaction: Transaction, operation_id: str, mutation: Mutation
    ) -> Outcome | ServiceError | None:
        """What a mutation was answered before, or why it is refused: its ID was another's. Raises
        CorruptRecordError."""
        for generation in reversed(self._generations):
            key = _key(generation, operation_id)
            value = transaction.get(key)
            if value is not None:
                entry = stored.unpack(key, value)
                if entry.revision not in (_ANY, _fingerprint(mutation)):
                    return ServiceError("InvalidArgument", "operationId is that of another call")
                return msgspec.msgpack.decode(entry.record, type=_FORMS[entry.schema])
        return None

    def keep(
        self, transaction: Transaction, operation_id: str, mutation: Mutation, outcome: Outcome
    ) -> None:
        """Remember an answer."""
        key = _key(self._generations[-1], operation_id)
        schema = 1 if isinstance(outcome, Committed) else 2
        entry = stored.Stored(_fingerprint(mutation), schema, b"", _encode(outcome))
        transaction.put(key, stored.pack(key, entry))

    def prune(self, transaction: Transaction, count: int) -> None:
        """Remove so many answers of old generations."""
        if not self._may_prune:
            return
        upper = _key(self._generations[0], "")
        old = [key for key, _ in islice(transaction.range(OPERATIONS_PREFIX, upper), count)]
        for key in old:
            transaction.delete(key)
        self._may_prune = bool(old)


def _fingerprint(mutation: Mutation) -> int:
    """A number that another mutation has once in four billion times."""
    operations = mutation.operations
    value = len(operations)
    for operation in operations:
        if isinstance(operation, Put):
            value = crc32(operation.record, crc32(operation.key, value))
        elif isinstance(operation, Delete):
            value = crc32(operation.key, ~value & _CRC_MAX)
        elif isinstance(request := operation.request, PutVersion):
            value = crc32(request.record, crc32(request.key, value))
            value = crc32(repr((request.version_id, request.is_null)).encode(), value)
        else:
            value = crc32(repr(request).encode(), value)
    return value | _KNOWN | mutation.return_previous << 33


def _found(engine: Engine) -> list[int]:
    """The generations of which there are answers, oldest first."""
    found: list[int] = []
    lower = OPERATIONS_PREFIX
    with engine.snapshot() as reader:
        while (entry := next(iter(reader.range(lower, _END)), None)) is not None:
            start = len(OPERATIONS_PREFIX)
            found.append(int.from_bytes(entry[0][start : start + _GENERATION_BYTES], "big"))
            lower = _key(found[-1] + 1, "")
    return found


def _key(generation: int, operation_id: str) -> bytes:
    return _prefix(generation) + operation_id.encode("ascii")


@lru_cache(maxsize=4)
def _prefix(generation: int) -> bytes:
    return OPERATIONS_PREFIX + generation.to_bytes(_GENERATION_BYTES, "big")
