"""Keys, the original's layout, and the URL syntax (reference/dmd-wire.md, section 11)."""

from __future__ import annotations

import pytest

from dmd.data.blob_keys import Target, created_at_ms, new_key, parse_target
from dmd.data.errors import DataError
from shared.blob_files import is_blob_key

ORIGINAL_KEY = "f82dfd34f0ae3075ed1ccbca7bb213027dd6c315"


def test_new_key_begins_with_its_creation_time() -> None:
    assert new_key(None, lambda: 0x0123456789AB).startswith("0123456789ab")


def test_creation_time_can_be_read_back() -> None:
    assert created_at_ms(new_key(None, lambda: 1_700_000_000_123)) == 1_700_000_000_123


def test_new_key_is_forty_lower_case_hex_digits() -> None:
    assert is_blob_key(new_key())


def test_keys_of_one_millisecond_differ() -> None:
    assert len({new_key(None, lambda: 5) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 39,
        "a" * 41,
        "A" * 40,
        "g" * 40,
        "a" * 40 + "\n",
        "../" + "a" * 37,
        "a" * 38 + "/a",
        "\u0661" * 40,
    ],
)
def test_nothing_but_forty_hex_digits_is_a_blob_key(text: str) -> None:
    assert not is_blob_key(text)


@pytest.mark.parametrize(
    ("raw_path", "target"),
    [
        ("/DataFile", Target()),
        ("/DataFile/", Target()),
        (f"/DataFile/{ORIGINAL_KEY}", Target(key=ORIGINAL_KEY)),
        ("/DataFile/0", Target(key="0")),
        ("/DataFile?diskUsage", Target(disk_usage=True)),
    ],
)
def test_paths_of_the_table_are_parsed(raw_path: str, target: Target) -> None:
    assert parse_target(raw_path) == target


@pytest.mark.parametrize(
    "raw_path",
    [
        "",
        "/",
        "*",
        "//DataFile",
        "/DataFile//",
        "/DataFile/ABC",
        "/DataFile/xyz",
        "/DataFile/..",
        "/DataFile/%61",
        "/DataFile/ab/cd",
        "/DataFile/ab\n",
        "/DataFile/ab#c",
        "/DataFile?",
        "/DataFile?diskUsage=1",
        "/DataFile?diskUsage&x",
        f"/DataFile/{ORIGINAL_KEY}?diskUsage",
        "http://host/DataFile",
    ],
)
def test_any_other_path_is_malformed(raw_path: str) -> None:
    with pytest.raises(DataError, match=r"^InvalidURI: malformed URI$"):
        parse_target(raw_path)


def test_another_service_is_named_in_the_error() -> None:
    with pytest.raises(DataError, match=r"^InvalidAction: unsupported service '/Other'$"):
        parse_target("/Other/abc")
