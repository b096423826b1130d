"""Keys that carry the checksum of their bytes, and those that do not."""

from __future__ import annotations

import secrets

import pytest

from dmd.data.blob_keys import created_at_ms, new_key
from shared.blob_checksums import checksum_in
from shared.blob_files import is_blob_key


@pytest.mark.parametrize("checksum", [0, 1, 0xFFFFFFFF, 0x12345678])
def test_a_key_tells_its_checksum(checksum: int) -> None:
    key = new_key(checksum, lambda: 1_700_000_000_123)
    assert is_blob_key(key)
    assert created_at_ms(key) == 1_700_000_000_123
    assert checksum_in(key) == checksum
    assert new_key(checksum, lambda: 1_700_000_000_123) != key


def test_no_other_key_tells_one() -> None:
    others = [secrets.token_hex(20) for _ in range(1000)]
    key = new_key(7)
    others += [key[:at] + ("0" if key[at] != "0" else "1") + key[at + 1 :] for at in range(40)]
    others += ["", "x" * 40, "\u00e9" * 40, key + "0", key[:-1], key.upper(), "\udc80" * 40]
    assert [other for other in others if checksum_in(other) is not None] == []
