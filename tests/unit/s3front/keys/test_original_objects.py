"""Whose keys open what CloudServer has encrypted."""

from __future__ import annotations

from base64 import b64encode

import pytest

from s3front.encryption.original import unwrapped_by_file_kms
from s3front.keys.base import MasterKeys
from s3front.keys.original_objects import opening_of_original
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation
from tests.unit.s3front.places import OneKey

KEY_ID = "5e" * 32
DATA_KEY = bytes(range(32))
VECTOR = bytes.fromhex("0f8c1e5e980dbe39498203")


class Kmip(OneKey):
    name = "kmip"

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        self.asked.append((key_id, ciphered))
        return DATA_KEY


async def plain(keepers: dict[str, MasterKeys], key_id: object, wrapped: bytes) -> bytes:
    members = {"cryptoScheme": 1, "cipheredDataKey": b64encode(wrapped).decode()}
    location = DataLocation("k", len(VECTOR), 0, "here", "file", "", members)
    document = {"x-amz-server-side-encryption-aws-kms-key-id": key_id}
    transform = await opening_of_original(keepers, document, location)
    return bytes(transform.decoder(0, len(VECTOR) - 1, len(VECTOR)).update(VECTOR))


WRAPPED = unwrapped_by_file_kms(KEY_ID, DATA_KEY)  # the cipher is its own inverse
ARN = "arn:scality:kms:internal:file_kms:scality:key/"


@pytest.mark.parametrize("key_id", [KEY_ID, KEY_ID.upper(), ARN + KEY_ID])
async def test_the_file_kms_has_its_keys_for_ids(key_id: str) -> None:
    kmip = Kmip()
    assert await plain({"kmip": kmip}, key_id, WRAPPED) == b"hello world"
    assert not kmip.asked


async def test_an_id_that_looks_like_one_is_its_servers() -> None:
    """What KMIP wraps is longer than what it is of."""
    kmip = Kmip()
    assert await plain({"kmip": kmip}, KEY_ID, bytes(48)) == b"hello world"
    assert kmip.asked == [(KEY_ID, bytes(48))]


@pytest.mark.parametrize(
    ("key_id", "wrapped"),
    [(KEY_ID, bytes(48)), ("a-key", WRAPPED), ("", WRAPPED), (7, WRAPPED), (KEY_ID, b"")],
)
async def test_what_nobody_has_the_key_of_is_refused(key_id: object, wrapped: bytes) -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        await plain({}, key_id, wrapped)
