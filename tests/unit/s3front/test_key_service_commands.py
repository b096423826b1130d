"""What ``s3front keys`` does where a service keeps the keys."""

from __future__ import annotations

import pytest

from s3front.encryption.key_wrapping import WrappingKey
from s3front.key_service_commands import RefusedError, create, forget, rotate
from s3front.keys.base import AwayError, KeeperError, KeyContext
from s3front.keys.data_key_cache import CachedKeys, CacheLimits
from s3front.keys.resilient_keys import ResilientKeys
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.sealing import Keys
from s3front.keys.troubles import not_found
from s3front.keys.used_keys import UsedKeys
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.key_usage import KeyUsage
from tests.unit.s3front.keys.scripted_keys import (
    ScriptedKeys,
    Trouble,
    away,
    is_disabled,
    not_allowed,
)
from tests.unit.s3front.locations.scripted_remote import KeptLog
from tests.unit.s3front.metadata_twin import MetadataTwin


class Service(ScriptedKeys):
    """The newest of its keys is the current one."""

    name = "scripted"

    def __init__(self) -> None:
        super().__init__()
        self.newest = 0
        self.fails_when_made = False
        self.changes_current = True

    async def wrapping_key(self, key_id: str | None, context: KeyContext) -> WrappingKey:
        await self._answer("wrapping_key")
        if not self.newest:
            raise not_found("master")
        return WrappingKey(f"scripted:v{self.newest}", bytes(32), "wrapped-1")

    async def rotate(self, description: str) -> str:
        await self._answer("rotate")
        if not self.changes_current:
            return "other"
        self.newest += 1
        if self.fails_when_made:
            self.trouble = away
        return f"v{self.newest}"


def keys_of(service: Service) -> Keys:
    keeper = CachedKeys(ResilientKeys(service, 0.1, KeptLog()), CacheLimits())
    return Keys({"scripted": keeper}, keeper)


async def test_the_first_key_that_is_made_is_the_current_one() -> None:
    service = Service()
    assert await create(keys_of(service), "twofold") == "v1"
    assert await create(keys_of(service), "twofold") == "made"
    assert service.newest == 1


@pytest.mark.parametrize("trouble", [away, not_allowed, is_disabled])
async def test_who_is_away_may_have_a_key(trouble: Trouble) -> None:
    """Nothing is made, and no current key is replaced that nobody knows of."""
    service = Service()
    service.newest = 1
    service.trouble = trouble
    with pytest.raises(KeeperError):
        await create(keys_of(service), "twofold")
    with pytest.raises(KeeperError):
        await rotate(keys_of(service), MetadataTwin())
    assert not {"rotate", "create"} & set(service.asked)


async def test_a_rotation_retires_the_key_before() -> None:
    service, metadata = Service(), MetadataTwin()
    keys = keys_of(service)
    assert await rotate(keys, metadata) == "the current master key is scripted:v1"
    said = await rotate(keys, metadata)
    assert said == "the current master key is scripted:v2; scripted:v1 is retired"
    assert await RetiredKeys(metadata).every() == ("scripted:v1",)


async def test_where_the_configuration_names_the_key_it_is_said_what_to_write() -> None:
    service = Service()
    service.changes_current = False
    said = await rotate(keys_of(service), MetadataTwin())
    assert said.endswith("write its ID into the configuration of all hosts")
    service.newest = 1
    said = await rotate(keys_of(service), MetadataTwin())
    assert said.endswith("have them read it, then: s3front keys retire scripted:v1")


async def test_a_rotation_says_what_it_cannot_finish() -> None:
    service = Service()
    service.newest = 1
    service.fails_when_made = True
    with pytest.raises(RefusedError) as caught:
        await rotate(keys_of(service), MetadataTwin())
    assert str(caught.value).endswith("If it is, then: s3front keys retire scripted:v1")
    assert isinstance(caught.value.__cause__, AwayError)


async def test_a_key_of_a_service_has_its_grace() -> None:
    service, metadata = Service(), MetadataTwin()
    service.newest = 2
    keys = keys_of(service)
    await UsedKeys(metadata).note("scripted:v1")

    async def count(_metadata: MetadataGateway) -> KeyUsage:
        return KeyUsage()

    with pytest.raises(RefusedError) as caught:
        await forget(keys, metadata, "scripted:v1", count, 60)
    assert "is not retired" in str(caught.value)
    await RetiredKeys(metadata).add("scripted:v1")
    with pytest.raises(RefusedError) as caught:
        await forget(keys, metadata, "scripted:v1", count, 60)
    assert "was retired less than 60 s ago" in str(caught.value)
    assert "may be disabled" in await forget(keys, metadata, "scripted:v1", count, 0)
    assert await RetiredKeys(metadata).every() == ()
