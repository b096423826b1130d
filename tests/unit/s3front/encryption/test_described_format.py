"""What is stored, read by a program that knows docs/encryption.md and nothing of the server."""

from __future__ import annotations

import random

import pytest
from cryptography.exceptions import InvalidTag

from s3front.encryption.key_wrapping import BoundTo, WrappingKey
from s3front.encryption.segments import SEGMENT_BYTES
from s3front.keys.sealing import Sealing
from tests.decrypt_blob import blob_key, decrypt

BY = WrappingKey("file:a", bytes(range(32)))
CONTENT = random.Random(4).randbytes(3 * SEGMENT_BYTES)


@pytest.mark.parametrize("size", [1, SEGMENT_BYTES, SEGMENT_BYTES + 1, len(CONTENT)])
def test_another_program_reads_it(size: int) -> None:
    transform = Sealing(BY, BoundTo("bucket", "ключ"), {}).new_blob()
    stored, entry = transform.encoded(CONTENT[:size]), dict(transform.members())
    key = blob_key(entry, "bucket", "ключ", BY.secret)
    assert decrypt(stored, key) == CONTENT[:size]
    with pytest.raises(InvalidTag):
        blob_key(entry, "bucket", "other", BY.secret)
    with pytest.raises(InvalidTag):
        decrypt(stored[:-1], key)
