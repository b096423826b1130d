"""What the entries of an array of reads name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmd.metadata import arguments
from shared.errors import ServiceError

KEY_BYTES_MAX = 60

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.lists(
        st.one_of(st.sampled_from(["b", "a!", "", "long" * 20]), st.integers(0, 1)), max_size=2
    ),
)
USUAL = st.fixed_dictionaries(
    {"subLevel": st.lists(st.sampled_from(["bucket", "b2"]), max_size=2), "key": st.text()},
    optional={"ifRevisionNot": st.integers(0, 2**53), "body": st.just(True)},
)
STRANGE = st.dictionaries(
    st.sampled_from(["subLevel", "key", "ifRevisionNot", "body", "ab\ud800"]), VALUES
)
ENTRIES = st.lists(st.one_of(USUAL, STRANGE, VALUES), max_size=4)


def made(make: Callable[[], list[tuple[bytes, int | None]]]) -> Any:
    """What is made, or the error."""
    try:
        return make()
    except ServiceError as error:
        return error.code, error.message


@given(ENTRIES)
@example([{"subLevel": ["b"], "key": "\ud800"}])
@example([{"subLevel": ["b"], "key": "k", "ifRevisionNot": True}])
@example([{"subLevel": ["b"], "key": "k", "ifRevisionNot": 2**64}])
@example([{"subLevel": ["b"], "key": "k", "ifRevisionNot": 1.0}])
@example([{"subLevel": ["b"], "key": "k", "ifRevisionNot": None}])
@example([{"subLevel": ["\ud800"], "key": "k"}])
@example([{"subLevel": ["b"], "key": "k" * KEY_BYTES_MAX}, {"subLevel": "b", "key": "k"}])
@example([{"subLevel": ["b"], "key": "k", "ab\ud800": 1}])
def test_reads_that_are_looked_at_together_are_those_of_each(entries: list[Any]) -> None:
    def each() -> list[tuple[bytes, int | None]]:
        return [arguments.wanted_by(entry, KEY_BYTES_MAX) for entry in entries]

    assert made(lambda: arguments.wanted(entries, KEY_BYTES_MAX)) == made(each)


@pytest.mark.parametrize(
    ("known", "expected"), [({}, None), ({"ifRevisionNot": None}, None), ({"ifRevisionNot": 7}, 7)]
)
def test_a_read_names_a_physical_key_and_a_revision(
    known: dict[str, Any], expected: int | None
) -> None:
    entry = {"subLevel": ["b"], "key": "k", **known}
    assert arguments.wanted([entry], KEY_BYTES_MAX) == [(b"!b!k", expected)]
