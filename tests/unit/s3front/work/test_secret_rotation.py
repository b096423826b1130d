"""Secrets of identities are sealed anew when their master key is retired."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from s3front.iam.access_key_changes import delete_access_key
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.records import (
    SESSIONS_KEY,
    SealedKey,
    SealingKeys,
    access_key_key,
    sealing_key_name,
)
from s3front.iam.user_changes import create_user
from s3front.keys.base import AwayError
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.sealed_text import open_text, seal_text
from s3front.keys.sealing import Keys
from s3front.locations.registry import LocationRegistry
from s3front.metadata.key_usage import count_keys
from s3front.work.key_rotation import ROTATION, KeyRotationWorker
from s3front.work.worker import Pace, Tools
from shared.records.names import DEAD_LETTERS, IAM, KEY_JOBS, MASTER_KEYS
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin
from tests.unit.s3front.work.test_key_rotation import Service

OLD, NEW = "vault:old", "vault:new"


class Vault(Service):
    """``old`` is its current key until it is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.current = "old"
        self.is_away = False

    async def wrapping_key(self, key_id: str | None, context: Any) -> Any:
        if self.is_away:
            raise AwayError("vault: it does not answer")
        return await super().wrapping_key(key_id or self.current, context)


class Installed:
    """A front-end with access keys, and background work beside it."""

    def __init__(self) -> None:
        self.metadata = MetadataTwin()
        self.vault = Vault()
        self.keys = Keys({"vault": self.vault}, self.vault)
        self.front = Front(self.metadata, keys=self.keys)
        self.now = 1000.0

        def clock() -> float:
            return self.now

        nowhere = cast(LocationRegistry, None)
        self.log = RecordingLog()
        tools = Tools(self.metadata, nowhere, 0, self.log, clock, clock, keys=self.keys)
        self.worker = KeyRotationWorker(tools)

    async def make_keys(self, count: int) -> dict[str, str]:
        """Access keys, and their secrets."""
        made = {}
        for number in range(count):
            name = f"user-{number}"
            await self.front.change(lambda d, name=name: create_user(d, BART_ID, name))  # type: ignore[misc]
            new = await self.front.make_key(BART_ID, name)
            made[new.record.id] = new.secret
        return made

    async def rotate(self) -> None:
        self.vault.current = "new"
        await RetiredKeys(self.metadata).add(OLD)

    async def work(self) -> None:
        for _ in range(50):
            if await self.worker.step() is not Pace.BUSY:
                return
        raise AssertionError(self.progress)

    @property
    def progress(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.metadata.text(KEY_JOBS, ROTATION) or "{}")
        return found

    def master_key_of(self, key_id: str) -> str:
        record = json.loads(self.metadata.text(IAM, access_key_key(key_id)) or "")
        return str(record["secret"]["masterKeyId"])


@pytest.fixture
def installed() -> Installed:
    return Installed()


async def test_secrets_come_under_the_new_key_and_stay_what_they_are(installed: Installed) -> None:
    made = await installed.make_keys(120)
    assert (await count_keys(installed.metadata)).records_by_key == {OLD: 120}
    await installed.rotate()
    await installed.work()
    assert (await count_keys(installed.metadata)).records_by_key == {NEW: 120}
    assert installed.progress["rewrapped"] == 120
    assert installed.progress["finished"]
    assert installed.metadata.text(MASTER_KEYS, NEW)
    await installed.front.directory.refresh()
    for key_id, secret in made.items():
        signer = await installed.front.credentials.find(key_id)
        assert signer is not None
        assert signer.secret == secret


async def test_what_seals_session_tokens_comes_under_the_new_key(installed: Installed) -> None:
    name = sealing_key_name("ab")
    sealed = await seal_text(installed.keys, "00ff", name)

    def decide(_: Directory) -> Change[None]:
        record = SealingKeys(keys=(SealedKey(id="ab", secret=sealed),))
        return Change({record.key: record}, None)

    await installed.front.change(decide)
    await installed.rotate()
    await installed.work()
    await installed.front.directory.refresh()
    record = installed.front.directory.identities.get(SealingKeys, SESSIONS_KEY)
    assert record is not None
    assert record.keys[0].secret["masterKeyId"] == NEW
    assert await open_text(installed.keys, record.keys[0].secret, name) == "00ff"


async def test_a_secret_that_cannot_be_opened_is_set_aside_and_holds_up_nothing(
    installed: Installed,
) -> None:
    made = list(await installed.make_keys(3))
    address = IAM, access_key_key(made[1])
    record = json.loads(installed.metadata.records[address][0])
    record["secret"]["sealed"] = "AAAA"
    installed.metadata.records[address] = json.dumps(record), 9_999
    await installed.rotate()
    await installed.work()
    assert [installed.master_key_of(key) for key in made] == [NEW, OLD, NEW]
    assert installed.progress["failed"] == 1
    assert any(level == DEAD_LETTERS for level, _ in installed.metadata.records)


async def test_secrets_wait_for_a_service_that_is_away(installed: Installed) -> None:
    (key_id,) = await installed.make_keys(1)
    await installed.rotate()
    installed.vault.is_away = True
    await installed.work()
    assert installed.master_key_of(key_id) == OLD
    installed.vault.is_away = False
    installed.now += 3600
    await installed.work()
    assert installed.master_key_of(key_id) == NEW


async def test_what_somebody_else_changes_meanwhile_is_left_to_the_next_pass(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list(await installed.make_keys(2))
    await installed.rotate()
    read = installed.metadata.get_each

    async def then_change(wanted: Any, request_id: str) -> Any:
        found = await read(wanted, request_id)
        if (IAM, access_key_key(made[0])) in wanted:
            monkeypatch.undo()
            await installed.front.change(lambda d: delete_access_key(d, BART_ID, "user-0", made[0]))
        return found

    monkeypatch.setattr(installed.metadata, "get_each", then_change)
    await installed.work()
    assert installed.metadata.text(IAM, access_key_key(made[0])) is None
    assert installed.master_key_of(made[1]) == OLD
    installed.now += 60
    await installed.work()
    assert installed.master_key_of(made[1]) == NEW
    await installed.front.directory.refresh()
    assert await installed.front.credentials.find(made[1]) is not None


async def test_a_change_of_others_meanwhile_is_missed_by_nobody(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key_id,) = await installed.make_keys(1)
    other = Front(installed.metadata, keys=installed.keys)
    await other.directory.refresh()
    await installed.rotate()
    read = installed.metadata.get_each

    async def then_change(wanted: Any, request_id: str) -> Any:
        found = await read(wanted, request_id)
        if (IAM, access_key_key(key_id)) in wanted:
            monkeypatch.undo()
            await installed.front.change(lambda d: create_user(d, BART_ID, "new"))
        return found

    monkeypatch.setattr(installed.metadata, "get_each", then_change)
    await installed.work()
    await other.directory.refresh()
    assert other.directory.user(BART_ID, "new") is not None
    installed.now += 60
    await installed.work()
    assert installed.master_key_of(key_id) == NEW
