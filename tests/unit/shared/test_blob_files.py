"""Where the files of blobs lie (reference/dmd-wire.md, section 11)."""

from __future__ import annotations

import pytest

from shared.blob_files import blob_file, directory_number, string_hash

ORIGINAL_KEY = "f82dfd34f0ae3075ed1ccbca7bb213027dd6c315"


def test_string_hash_is_the_originals() -> None:
    assert string_hash(ORIGINAL_KEY) == 2142991867


@pytest.mark.parametrize(
    ("key", "number"),
    [(ORIGINAL_KEY, 352), ("0023e0d3b3500e9760f961e40c64ecdd5cd536d5", 2166)],
)
def test_directory_number_is_the_originals(key: str, number: int) -> None:
    assert directory_number(key) == number


def test_string_hash_of_nothing_is_the_seed() -> None:
    assert string_hash("") == 5381


def test_a_file_lies_in_the_directory_of_its_number() -> None:
    assert blob_file("/data", ORIGINAL_KEY) == f"/data/352/{ORIGINAL_KEY}"
