"""The vector of reference/cloudserver-features.md, section 7, and ranges."""

from __future__ import annotations

import random

import pytest

from s3front.encryption.original import (
    CounterTransform,
    is_master_key,
    unwrapped_by_file_kms,
)
from s3front.s3_errors import S3Error

DATA_KEY = bytes(range(32))
CIPHERTEXT = bytes.fromhex("0f8c1e5e980dbe39498203")


def decoded(stored: bytes, start: int, end: int) -> bytes:
    transform = CounterTransform(DATA_KEY)
    begins, ends = transform.stored_range(start, end, len(stored))
    decoder = transform.decoder(start, end, len(stored))
    return decoder.update(stored[begins : ends + 1]) + decoder.finish()


def test_the_vector() -> None:
    assert decoded(CIPHERTEXT, 0, 10) == b"hello world"


def test_a_master_key_unwraps_as_it_decrypts() -> None:
    assert unwrapped_by_file_kms(DATA_KEY.hex(), CIPHERTEXT) == b"hello world"


def test_each_range_is_of_the_whole() -> None:
    data = random.Random(1).randbytes(100)
    stored = decoded(data, 0, 99)  # the cipher is its own inverse
    for start in range(100):
        for end in range(start, 100):
            assert decoded(stored, start, end) == data[start : end + 1]


def test_too_few_bytes_are_refused() -> None:
    decoder = CounterTransform(DATA_KEY).decoder(0, 10, 11)
    decoder.update(CIPHERTEXT[:-1])
    with pytest.raises(S3Error, match="InternalError"):
        decoder.finish()


def test_nothing_is_written_so() -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        CounterTransform(DATA_KEY).encoder()


@pytest.mark.parametrize(
    ("key_id", "found"), [("ab" * 32, True), ("AB" * 32, True), ("ab" * 31, False), ("1", False)]
)
def test_an_id_that_is_the_key(key_id: str, found: bool) -> None:
    assert is_master_key(key_id) is found
