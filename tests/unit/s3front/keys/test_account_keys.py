"""Accounts with master keys of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import KEY_ID_MEMBER, KMS, Protection
from s3front.keys.account_keys import (
    LOOK_SECONDS,
    AccountKeys,
    account_keys,
    forget_account_key,
)
from s3front.keys.base import KeeperError
from s3front.keys.file_keyring import KeyringKeeper
from s3front.keys.keyring_file import Keyring, new_master_key
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.sealing import Keys
from shared.config import load_config
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.keys.scripted_keys import Clock
from tests.unit.s3front.metadata_twin import MetadataTwin

BOUND = BoundTo("bucket", "key")


class Making(KeyringKeeper):
    """A keeper that makes keys, as services do."""

    name = "aws"

    def __init__(self) -> None:
        key = new_master_key("shared")
        super().__init__(Keyring(current=key.id, keys={key.id: key}))

    def lose(self, key_id: str) -> None:
        """As somebody deletes a key in the service."""
        ring = self.ring
        assert ring is not None
        left = {each: key for each, key in ring.keys.items() if each != key_id}
        self._use(Keyring(current=ring.current, keys=left))

    async def create(self, _description: str) -> str:
        await asyncio.sleep(0)
        ring = self.ring
        assert ring is not None
        key = new_master_key(f"made-{len(ring.keys)}")
        self._use(ring.with_key(key))
        return key.id


def keys_of(metadata: MetadataTwin, keeper: Making, clock: Clock | None = None) -> Keys:
    accounts = AccountKeys(metadata, keeper, RecordingLog(), clock or Clock())
    return Keys({"aws": keeper}, keeper, accounts)


async def key_for(keys: Keys, account: str | None, protection: Protection | None = None) -> str:
    sealing = await keys.sealing(protection or Protection(), BOUND, account)
    return str(sealing.new_blob().members()["masterKeyId"])


async def test_each_account_has_its_own_and_keeps_it() -> None:
    metadata, keeper = MetadataTwin(), Making()
    keys = keys_of(metadata, keeper)
    assert await key_for(keys, "a") == "aws:made-1"
    assert await key_for(keys, "b") == "aws:made-2"
    assert await key_for(keys, "a") == "aws:made-1"
    # Another process finds it in the metadata.
    assert await key_for(keys_of(metadata, keeper), "a") == "aws:made-1"
    assert keeper.ring is not None
    assert len(keeper.ring.keys) == 3


async def test_a_key_that_is_named_comes_first_and_nobody_has_that_of_all() -> None:
    keys = keys_of(MetadataTwin(), Making())
    assert await key_for(keys, None) == "aws:shared"
    assert await key_for(keys, "a", Protection(algorithm=KMS, key_id="shared")) == "aws:shared"


async def test_with_sse_kms_it_is_shown_and_else_it_is_not() -> None:
    keys = keys_of(MetadataTwin(), Making())
    sealing = await keys.sealing(Protection(algorithm=KMS), BOUND, "a")
    assert sealing.members[KEY_ID_MEMBER] == "made-1"
    sealing = await keys.sealing(Protection(), BOUND, "a")
    assert KEY_ID_MEMBER not in sealing.members


async def test_one_that_is_gone_is_not_what_the_client_has_named() -> None:
    keeper = Making()
    keys = keys_of(MetadataTwin(), keeper)
    await key_for(keys, "a")
    keeper.lose("made-1")
    for protection in (Protection(), Protection(algorithm=KMS)):
        with pytest.raises(KeeperError) as caught:
            await key_for(keys, "a", protection)
        assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)
        assert "made-1" in caught.value.reason
        assert "made-1" not in caught.value.message
    with pytest.raises(KeeperError) as caught:
        await key_for(keys, "a", Protection(algorithm=KMS, key_id="made-1"))
    assert caught.value.code == "KMS.NotFoundException"


async def test_of_two_that_make_one_at_once_one_is_used() -> None:
    metadata, keeper = MetadataTwin(), Making()
    processes = [keys_of(metadata, keeper) for _ in range(3)]
    found = await asyncio.gather(*(key_for(keys, "a") for keys in processes))
    assert len(set(found)) == 1
    assert {await key_for(keys, "a") for keys in processes} == set(found)


async def test_a_key_that_was_retired_is_replaced() -> None:
    metadata, keeper, clock = MetadataTwin(), Making(), Clock()
    processes = [keys_of(metadata, keeper, clock) for _ in range(2)]
    for keys in processes:
        assert await key_for(keys, "a") == "aws:made-1"
    await RetiredKeys(metadata).add("aws:made-1")
    clock.now += LOOK_SECONDS
    for keys in processes:
        assert await key_for(keys, "a") == "aws:made-2"
    assert await account_keys(metadata) == {"aws:made-2"}


async def test_a_key_that_was_removed_is_not_taken_again() -> None:
    """Also of an account that did nothing since it was retired."""
    metadata, keeper, clock = MetadataTwin(), Making(), Clock()
    keys = keys_of(metadata, keeper, clock)
    assert await key_for(keys, "a") == "aws:made-1"
    assert await key_for(keys, "b") == "aws:made-2"
    await forget_account_key(metadata, "aws:made-1")
    clock.now += LOOK_SECONDS
    assert await key_for(keys, "a") == "aws:made-3"
    assert await key_for(keys, "b") == "aws:made-2"


async def test_nobody_waits_for_the_key_of_another_account() -> None:
    class Slow(Making):
        def __init__(self) -> None:
            super().__init__()
            self.gate = asyncio.Event()

        async def create(self, description: str) -> str:
            if description.endswith(" slow"):
                await self.gate.wait()
            return await super().create(description)

    keeper = Slow()
    keys = keys_of(MetadataTwin(), keeper)
    slow = [asyncio.create_task(key_for(keys, "slow")) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await key_for(keys, "quick") == "aws:made-1"
    keeper.gate.set()
    assert set(await asyncio.gather(*slow)) == {"aws:made-2"}


def test_accounts_have_keys_where_the_current_keeper_makes_some(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"defaultEncryptionKeyPerAccount": true, "kmsAWS": {"endpoint": "http://a", "ak": "a",'
        ' "sk": "b"}}'
    )
    keepers = load_config({"S3KMS": "aws"}, tmp_path).keepers()
    assert keepers.has_account_keys
    keepers.check()
    assert not replace(keepers, current="file").has_account_keys
    load_config({}, tmp_path).keepers().check()
