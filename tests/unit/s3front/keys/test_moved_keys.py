"""The keys of blobs when their object gets another name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from s3front.encryption.key_wrapping import BoundTo, WrappingKey
from s3front.encryption.sse import KMS, Protection, key_context
from s3front.keys.base import KeyContext
from s3front.keys.binding import bound_secret
from s3front.keys.sealing import Keys
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation

HERE, THERE = BoundTo("bucket", "old"), BoundTo("bucket", "new")
KEY = bytes(range(32))


class Keeper:
    """Binds its data keys to their context."""

    name = "test"

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        wrapped = os.urandom(8).hex()
        self._secrets[wrapped] = os.urandom(32)
        secret = bound_secret(self._secrets[wrapped], context)
        return WrappingKey(f"test:{key_id or 'current'}", secret, wrapped)

    async def opened(self, _key_id: str, wrapped: str, context: KeyContext) -> bytes:
        return bound_secret(self._secrets[wrapped], context)

    async def open_original(self, key_id: str, ciphered: bytes) -> bytes:
        raise NotImplementedError

    async def create(self, description: str) -> str:
        raise NotImplementedError

    async def look(self) -> str | None:
        return None

    async def close(self) -> None:
        """Nothing is open."""


def located(members: Mapping[str, Any], number: int, size: int) -> DataLocation:
    document = {**members, "key": f"blob-{number}"}
    return DataLocation(f"blob-{number}", size, number * size, "a", "file", "1:x", document)


@pytest.mark.parametrize(
    "protection",
    [Protection(), Protection(algorithm=KMS, key_id="a"), Protection(customer_key=KEY)],
    ids=["SSE-S3", "SSE-KMS", "SSE-C"],
)
async def test_they_are_bound_to_the_new_name(protection: Protection) -> None:
    keeper = Keeper()
    keys = Keys({"test": keeper}, keeper)
    sealing = await keys.sealing(protection, HERE)
    blobs = [sealing.new_blob() for _ in range(3)]
    locations = [located(blob.members(), number, 4) for number, blob in enumerate(blobs)]
    document = dict(sealing.members)
    moved = await keys.moved(document, locations, (HERE, THERE), protection.customer_key)
    after = {**document, **moved}
    keys.check_customer(after, THERE, protection.customer_key)
    assert key_context(after, THERE.bucket, THERE.key)
    for number, (blob, before) in enumerate(zip(blobs, locations, strict=True)):
        entry = moved["location"][number]
        assert (entry["key"], entry["masterKeyId"]) == (
            before.key,
            before.document()["masterKeyId"],
        )
        location = DataLocation(before.key, 4, before.start, "a", "file", "1:x", entry)
        transform = await keys.opening(after, location, THERE, protection.customer_key)
        decoder = transform.decoder(0, 3, 4)
        assert decoder.update(blob.encoded(b"text")) + decoder.finish() == b"text"
        with pytest.raises(S3Error):
            await keys.opening(after, location, HERE, protection.customer_key)


async def test_a_clients_key_is_needed() -> None:
    keys = Keys({}, None)
    sealing = await keys.sealing(Protection(customer_key=KEY), HERE)
    locations = [located(sealing.new_blob().members(), 0, 4)]
    for key, code in ((None, "InvalidRequest"), (KEY[::-1], "AccessDenied")):
        with pytest.raises(S3Error) as caught:
            await keys.moved(sealing.members, locations, (HERE, THERE), key)
        assert caught.value.code == code
    with pytest.raises(S3Error) as caught:
        await keys.moved({}, [], (HERE, THERE), KEY)
    assert caught.value.code == "InvalidRequest"


async def test_what_is_bound_to_nothing_stays() -> None:
    """As CloudServer stores it; and an object without bytes."""
    keys = Keys({}, None)
    original = located({"cryptoScheme": 1, "cipheredDataKey": "AAAA"}, 0, 4)
    moved = await keys.moved({}, [original], (HERE, THERE), None)
    assert moved == {"location": [original.document()]}
    assert await keys.moved({}, [], (HERE, THERE), None) == {}
