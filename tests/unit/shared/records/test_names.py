"""Names of the metadata layout."""

from __future__ import annotations

import pytest

from shared.records import names

NO_SUB_LEVELS = frozenset(("SPLITTER", "SERVICE_ID_PREFIX"))
INTERNAL = [
    value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and name not in NO_SUB_LEVELS
]


@pytest.mark.parametrize("name", INTERNAL)
def test_an_internal_name_is_no_buckets(name: str) -> None:
    assert not names.holds_objects([name])
    assert not names.holds_objects([f"{name}photos"])


@pytest.mark.parametrize("name", ["photos", "my.bucket-1", "workers"])
def test_any_other_name_is_a_buckets(name: str) -> None:
    assert names.holds_objects([name])
    assert not names.holds_objects([name, "below"])
