"""What every engine must do, over each engine that there is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmd.metadata.engines.base import Engine, EngineError, Reader, Transaction
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.engines.memory import MemoryEngine
from tests.unit.dmd.metadata.support import DEADLINE_SECONDS

MAKERS: dict[str, Callable[[Path], Engine]] = {
    "lmdb": LmdbEngine,
    "memory": lambda _path: MemoryEngine(),
}
LAST = b"\xff" * 8


class PassingError(Exception):
    """Something that goes wrong in the middle of a transaction."""


@pytest.fixture(params=MAKERS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def transact(engine: Engine, change: Callable[[Transaction], None]) -> None:
    with engine.transaction() as transaction:
        change(transaction)


def fill(engine: Engine, *keys: bytes) -> None:
    """Put each key with itself as the value."""
    with engine.transaction() as transaction:
        for key in keys:
            transaction.put(key, key)


def keys_in(reader: Reader, lower: bytes, upper: bytes, *, reverse: bool = False) -> list[bytes]:
    return [key for key, _ in reader.range(lower, upper, reverse=reverse)]


def listed(engine: Engine, lower: bytes, upper: bytes, *, reverse: bool = False) -> list[bytes]:
    with engine.snapshot() as reader:
        return keys_in(reader, lower, upper, reverse=reverse)


def test_an_absent_key_has_no_value(engine: Engine) -> None:
    with engine.snapshot() as reader:
        assert reader.get(b"nothing") is None


def test_a_committed_value_is_read_back(engine: Engine) -> None:
    with engine.transaction() as transaction:
        transaction.put(b"k", b"\0 any bytes \xff")
    with engine.snapshot() as reader:
        assert reader.get(b"k") == b"\0 any bytes \xff"


def test_an_empty_value_is_not_an_absent_one(engine: Engine) -> None:
    with engine.transaction() as transaction:
        transaction.put(b"k", b"")
    with engine.snapshot() as reader:
        assert reader.get(b"k") == b""


def test_a_value_of_a_mebibyte_is_kept(engine: Engine) -> None:
    value = bytes(range(256)) * 4096
    with engine.transaction() as transaction:
        transaction.put(b"k", value)
    with engine.snapshot() as reader:
        assert reader.get(b"k") == value


def test_put_replaces_the_value(engine: Engine) -> None:
    for value in (b"a longer value first", b"short"):
        with engine.transaction() as transaction:
            transaction.put(b"k", value)
    with engine.snapshot() as reader:
        assert reader.get(b"k") == b"short"


def test_a_deleted_key_is_gone(engine: Engine) -> None:
    fill(engine, b"k")
    with engine.transaction() as transaction:
        transaction.delete(b"k")
    assert listed(engine, b"", LAST) == []


def test_deleting_an_absent_key_is_no_error(engine: Engine) -> None:
    with engine.transaction() as transaction:
        transaction.delete(b"k")
        transaction.put(b"other", b"")
    assert listed(engine, b"", LAST) == [b"other"]


def test_keys_come_in_the_order_of_their_bytes(engine: Engine) -> None:
    keys = [b"\0", b"\0a", b"A", b"a", b"a\0", b"a\0b", b"aa", b"b", b"\x7f", b"\xc3\xa9", b"\xff"]
    fill(engine, *reversed(keys))
    assert listed(engine, b"", LAST) == sorted(keys)


def test_a_reversed_range_comes_in_descending_order(engine: Engine) -> None:
    keys = [b"\0", b"A", b"a", b"a\0b", b"aa", b"\xff"]
    fill(engine, *keys)
    assert listed(engine, b"", LAST, reverse=True) == sorted(keys, reverse=True)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (b"b", b"d", [b"b", b"c"]),
        (b"b", b"d\0", [b"b", b"c", b"d"]),
        (b"b\0", b"d", [b"c"]),
        (b"", b"b", [b"a"]),
        (b"d", LAST, [b"d", b"e"]),
        (b"bb", b"bc", []),
        (b"b", b"b", []),
        (b"d", b"b", []),
        (b"x", LAST, []),
        (b"", b"\0", []),
        (b"", b"", []),
    ],
)
def test_a_range_includes_its_lower_bound_alone(
    engine: Engine, lower: bytes, upper: bytes, expected: list[bytes], reverse: bool
) -> None:
    fill(engine, b"a", b"b", b"c", b"d", b"e")
    assert listed(engine, lower, upper, reverse=reverse) == sorted(expected, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_range_of_an_empty_store_is_empty(engine: Engine, reverse: bool) -> None:
    assert listed(engine, b"", LAST, reverse=reverse) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_a_bound_may_be_longer_than_the_longest_key(engine: Engine, reverse: bool) -> None:
    longest = b"k" * engine.key_bytes_max
    before, after = longest[:-1] + b"j", longest[:-1] + b"l"
    fill(engine, before, longest, after)

    assert listed(engine, longest + b"\0", LAST, reverse=reverse) == [after]
    assert listed(engine, b"", longest + b"\0", reverse=reverse) == sorted(
        [before, longest], reverse=reverse
    )


def test_the_longest_key_is_stored(engine: Engine) -> None:
    longest = b"k" * engine.key_bytes_max
    fill(engine, longest)
    with engine.snapshot() as reader:
        assert reader.get(longest) == longest


@pytest.mark.parametrize("length", [0, 1979])
def test_a_key_of_an_impossible_length_cannot_be_put(engine: Engine, length: int) -> None:
    def change(transaction: Transaction) -> None:
        transaction.put(b"other", b"")
        transaction.put(b"k" * length, b"")

    with pytest.raises(EngineError):
        transact(engine, change)
    assert listed(engine, b"", LAST) == []


@pytest.mark.parametrize("length", [0, 1979])
def test_a_key_of_an_impossible_length_is_absent(engine: Engine, length: int) -> None:
    with engine.snapshot() as reader:
        assert reader.get(b"k" * length) is None


@pytest.mark.parametrize("length", [0, 1979])
def test_deleting_a_key_of_an_impossible_length_is_no_error(engine: Engine, length: int) -> None:
    with engine.transaction() as transaction:
        transaction.delete(b"k" * length)
        transaction.put(b"other", b"")
    assert listed(engine, b"", LAST) == [b"other"]


def test_a_transaction_sees_its_own_changes(engine: Engine) -> None:
    fill(engine, b"a", b"b", b"c")
    with engine.transaction() as transaction:
        transaction.delete(b"b")
        transaction.put(b"bb", b"new")
        assert transaction.get(b"b") is None
        assert transaction.get(b"bb") == b"new"
        assert keys_in(transaction, b"", LAST) == [b"a", b"bb", b"c"]
        assert keys_in(transaction, b"", LAST, reverse=True) == [b"c", b"bb", b"a"]


def test_an_exception_undoes_everything(engine: Engine) -> None:
    def change(transaction: Transaction) -> None:
        transaction.put(b"new", b"1")
        transaction.put(b"new", b"2")
        transaction.put(b"replaced", b"other")
        transaction.delete(b"deleted")
        transaction.put(b"deleted", b"other")
        transaction.delete(b"replaced")
        raise PassingError

    fill(engine, b"deleted", b"kept", b"replaced")
    with pytest.raises(PassingError):
        transact(engine, change)
    with engine.snapshot() as reader:
        assert list(reader.range(b"", LAST)) == [
            (key, key) for key in (b"deleted", b"kept", b"replaced")
        ]


def test_a_transaction_follows_one_that_was_undone(engine: Engine) -> None:
    def change(transaction: Transaction) -> None:
        transaction.put(b"undone", b"")
        raise PassingError

    with pytest.raises(PassingError):
        transact(engine, change)
    fill(engine, b"k")
    assert listed(engine, b"", LAST) == [b"k"]


def test_a_snapshot_does_not_see_a_write_that_is_committed_meanwhile(engine: Engine) -> None:
    fill(engine, b"a", b"b")
    began = threading.Event()

    def write() -> None:
        began.set()
        with engine.transaction() as transaction:
            transaction.put(b"a", b"changed")
            transaction.delete(b"b")

    writer = threading.Thread(target=write)
    with engine.snapshot() as reader:
        items = reader.range(b"", LAST)
        assert next(items) == (b"a", b"a")
        writer.start()
        assert began.wait(DEADLINE_SECONDS)
        # An engine may commit beside the view or wait for its end; join gives it time for either.
        writer.join(0.05)
        assert next(items) == (b"b", b"b")
        assert reader.get(b"a") == b"a"
    writer.join(DEADLINE_SECONDS)
    with engine.snapshot() as reader:
        assert list(reader.range(b"", LAST)) == [(b"a", b"changed")]


def test_a_range_may_be_left_before_its_end(engine: Engine) -> None:
    fill(engine, b"a", b"b", b"c")
    with engine.snapshot() as reader:
        assert next(iter(reader.range(b"", LAST))) == (b"a", b"a")
    fill(engine, b"d")
    assert listed(engine, b"", LAST) == [b"a", b"b", b"c", b"d"]


def test_the_first_items_of_a_range(engine: Engine) -> None:
    fill(engine, b"a", b"b", b"c", b"d")
    with engine.snapshot() as reader:
        assert reader.first(b"b", b"d", 1) == [(b"b", b"b")]
        assert reader.first(b"b", b"d", 2) == [(b"b", b"b"), (b"c", b"c")]
        assert reader.first(b"b", b"d", 9) == [(b"b", b"b"), (b"c", b"c")]
        assert reader.first(b"aa", b"b\0", 9) == [(b"b", b"b")]
        for lower, upper in ((b"d\0", LAST), (b"b\0", b"c"), (b"c", b"b"), (b"c", b"c")):
            assert reader.first(lower, upper, 9) == []


def test_the_first_items_apart_from_each_other(engine: Engine) -> None:
    longest = b"k" * engine.key_bytes_max
    fill(engine, b"a", b"a\x001", b"a\x002", b"aa", b"b\x001", b"c", b"c\x001", longest, b"l")
    apart = [b"a", b"aa", b"b\x001", b"c", longest, b"l"]
    with engine.snapshot() as reader:
        for count in range(1, 9):
            found = reader.first_apart(b"", LAST, count, b"\x01")
            assert [key for key, _ in found] == apart[:count]
            assert all(key == value for key, value in found)
        assert reader.first_apart(b"a\0", b"b", 9, b"\x01") == [
            (key, key) for key in (b"a\x001", b"a\x002", b"aa")
        ]
        assert reader.first_apart(b"m", LAST, 9, b"\x01") == []
        assert reader.first_apart(b"c", b"b", 9, b"\x01") == []


def test_the_first_items_behind_a_bound_that_is_longer_than_a_key_can_be(engine: Engine) -> None:
    longest = b"k" * engine.key_bytes_max
    fill(engine, longest, b"l")
    with engine.snapshot() as reader:
        assert reader.first(longest + b"\0", LAST, 1) == [(b"l", b"l")]
        assert reader.first(b"k", longest + b"\0", 9) == [(longest, longest)]
