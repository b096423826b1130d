"""The kept answers of mutations: who gets them, how long they are kept, and how they go."""

from __future__ import annotations

import pytest

from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.mutations import Committed, Delete, Mutation, Outcome, Put, Refused, Versioned
from dmd.metadata.operations import Operations
from dmd.metadata.record_keys import OPERATIONS_PREFIX
from dmd.metadata.stored import CorruptRecordError, Stored
from dmd.metadata.versioned_writes import DeleteVersion, PutVersion
from shared import limits
from shared.errors import ServiceError

ASKED = Mutation((Delete(b"key"),))
KEPT = limits.OPERATION_KEPT_SECONDS
OUTCOMES: list[Outcome] = [
    Committed((1, None, 2**63)),
    Committed(()),
    Committed((5, None), (Stored(4, 1, b"projection", b'{"a":1}'), None)),
    Refused(0),
    Refused(17),
]


class Book:
    """Kept answers over an engine, one transaction a step."""

    def __init__(self, engine: MemoryEngine | None = None) -> None:
        self.engine = engine or MemoryEngine()
        self.operations = Operations(self.engine)
        self.operations.turn(0.0)

    def keep(self, name: str, outcome: Outcome | None = None) -> None:
        with self.engine.transaction() as transaction:
            self.operations.keep(transaction, name, ASKED, outcome or Refused(0))

    def answer(self, name: str) -> Outcome | None:
        with self.engine.transaction() as transaction:
            found = self.operations.answer(transaction, name, ASKED)
            assert not isinstance(found, ServiceError)
            return found

    def prune(self, count: int) -> None:
        with self.engine.transaction() as transaction:
            self.operations.prune(transaction, count)

    @property
    def kept(self) -> set[str]:
        with self.engine.snapshot() as reader:
            found = reader.range(OPERATIONS_PREFIX, b"\0operation\1")
            return {key[len(OPERATIONS_PREFIX) + 8 :].decode() for key, _ in found}


@pytest.mark.parametrize(
    "other",
    [
        Mutation(()),
        Mutation((Delete(b"other"),)),
        Mutation((Delete(b"key"), Delete(b"key"))),
        Mutation((Put(b"key", b"", 0, b""),)),
        Mutation((Versioned(DeleteVersion(b"key", "1")),)),
        Mutation((Versioned(PutVersion(b"key", b"{}")),)),
        Mutation((Delete(b"key"),), return_previous=True),
    ],
    ids=repr,
)
def test_an_id_that_comes_with_something_else_is_refused(other: Mutation) -> None:
    book = Book()
    book.keep("id")
    with book.engine.transaction() as transaction:
        found = book.operations.answer(transaction, "id", other)
    assert isinstance(found, ServiceError)
    assert (found.code, found.message) == (
        "InvalidArgument",
        "operationId is that of another call",
    )


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
def test_an_answer_is_read_back(outcome: Outcome) -> None:
    book = Book()
    book.keep("id", outcome)
    assert book.answer("id") == outcome
    assert book.answer("i") is None
    assert book.answer("id2") is None


def test_an_answer_is_found_after_a_restart() -> None:
    book = Book()
    book.keep("id", Refused(3))
    assert Book(book.engine).answer("id") == Refused(3)


def test_an_answer_is_kept_for_its_time_at_least() -> None:
    book = Book()
    book.operations.turn(KEPT - 1)
    book.keep("late in its generation")
    book.operations.turn(KEPT)
    book.operations.turn(2 * KEPT - 2)
    assert book.answer("late in its generation") is not None


def test_an_answer_is_forgotten_after_twice_that_time() -> None:
    book = Book()
    book.keep("old")
    book.operations.turn(KEPT)
    book.keep("newer")
    book.operations.turn(2 * KEPT)
    assert book.answer("old") is None
    assert book.answer("newer") is not None


def test_old_answers_are_removed_in_slices() -> None:
    book = Book()
    for number in range(25):
        book.keep(f"old {number:02}")
    book.operations.turn(KEPT)
    book.keep("newer")
    book.prune(100)
    assert len(book.kept) == 26
    book.operations.turn(2 * KEPT)
    sizes = []
    for _ in range(4):
        book.prune(10)
        sizes.append(len(book.kept))
    assert sizes == [16, 6, 1, 1]
    assert book.kept == {"newer"}


def test_what_was_not_removed_before_a_restart_is_removed_later() -> None:
    book = Book()
    book.keep("old")
    book.operations.turn(KEPT)
    book.keep("newer")
    again = Book(book.engine)
    assert again.answer("old") is not None
    again.keep("newest")
    again.operations.turn(KEPT)
    again.prune(10)
    assert again.kept == {"newer", "newest"}
    again.operations.turn(2 * KEPT)
    again.prune(10)
    assert again.kept == set()


def test_generations_go_on_after_a_restart() -> None:
    engine = MemoryEngine()
    for number in range(3):
        book = Book(engine)
        book.operations.turn(KEPT)
        book.keep(str(number))
    # Each began after those before it, so none of them ends sooner than its time.
    assert [Book(engine).answer(str(number)) for number in range(3)] == [Refused(0)] * 3


def test_a_damaged_answer_is_not_given() -> None:
    book = Book()
    book.keep("id")
    with book.engine.transaction() as transaction:
        ((key, value),) = transaction.range(OPERATIONS_PREFIX, b"\0operation\1")
        transaction.put(key, value[:-1] + bytes([value[-1] ^ 1]))
    with pytest.raises(CorruptRecordError):
        book.answer("id")
