"""The keeper of a key file, and that of a key in memory."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3front.keys import file_keyring
from s3front.keys.base import KeeperError, KeyTrouble
from s3front.keys.file_keyring import FileKeyring, MemoryKeyring
from s3front.keys.keyring_file import (
    create_keyring,
    new_master_key,
    removed,
    replace_keyring,
    retired,
)
from s3front.s3_errors import S3Error
from shared.config import ConfigError
from tests.unit.dmd.metadata.support import RecordingLog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def damage(path: Path) -> None:
    path.write_text("{")


def put_aside(path: Path) -> Path:
    return path.rename(path.with_name("aside"))


def let_use(path: Path, mode: int) -> None:
    path.chmod(mode)


def keeper_of(path: Path, clock: Clock, log: RecordingLog | None = None) -> FileKeyring:
    return FileKeyring(path, log or RecordingLog(), clock)


async def trouble(keeper: FileKeyring, key_id: str, *, opening: bool = False) -> KeyTrouble:
    with pytest.raises(KeeperError) as caught:
        await (keeper.opened(key_id, "", {}) if opening else keeper.wrapping_key(key_id, {}))
    return caught.value.trouble


async def test_gives_out_the_current_key_and_those_that_are_named(path: Path, clock: Clock) -> None:
    ring = create_keyring(path)
    other = new_master_key()
    replace_keyring(path, ring.with_key(other))
    keeper = keeper_of(path, clock)
    current = await keeper.wrapping_key(None, {})
    assert current.key_id == f"file:{ring.current}"
    assert current.secret == ring.keys[ring.current].secret
    assert current.wrapped == ""
    for name in (other.id, f"arn:aws:kms:us-east-1:123456789012:key/{other.id}"):
        assert (await keeper.wrapping_key(name, {})).key_id == f"file:{other.id}"
    for alias in ("alias/aws/s3", "arn:aws:kms:us-east-1:123456789012:alias/aws/s3"):
        assert await keeper.wrapping_key(alias, {}) == current
    assert await keeper.opened(other.id, "", {}) == other.secret
    assert await trouble(keeper, "unknown") is KeyTrouble.NOT_FOUND
    assert await trouble(keeper, "unknown", opening=True) is KeyTrouble.NOT_FOUND


async def test_without_a_file_there_are_no_keys_until_there_is_one(
    path: Path, clock: Clock
) -> None:
    keeper = keeper_of(path, clock)
    with pytest.raises(S3Error) as caught:
        await keeper.wrapping_key(None, {})
    assert caught.value.code == "NotImplemented"
    assert await keeper.look() == "there is no master key"
    ring = create_keyring(path)
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{ring.current}"
    assert await keeper.look() is None


async def test_a_file_that_has_changed_is_read_again(path: Path, clock: Clock) -> None:
    ring = create_keyring(path)
    keeper = keeper_of(path, clock)
    key = new_master_key()
    replace_keyring(path, replace(ring.with_key(key), current=key.id))
    # A key that is not known is looked for at once; else once a second, and nobody waits.
    assert await keeper.opened(key.id, "", {}) == key.secret
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{key.id}"
    replace_keyring(path, ring.with_key(key))
    clock.now += 2
    assert await keeper.look() is None
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{ring.current}"
    # Whoever was idle for long waits for it.
    replace_keyring(path, replace(ring.with_key(key), current=key.id))
    clock.now += 3600
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{key.id}"


async def test_a_file_that_became_bad_takes_no_keys_away(path: Path, clock: Clock) -> None:
    ring = create_keyring(path)
    log = RecordingLog()
    keeper = keeper_of(path, clock, log)
    damage(path)
    for _ in range(3):
        clock.now += 2
        assert "not valid JSON" in (await keeper.look() or "")
        assert (await keeper.wrapping_key(None, {})).key_id == f"file:{ring.current}"
    with pytest.raises(ConfigError):
        keeper.reload()
    path.unlink()  # noqa: ASYNC240  # nothing else runs
    clock.now += 2
    assert (await keeper.look() or "").endswith("is gone")
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{ring.current}"


async def test_a_file_that_is_put_back_is_good_again(path: Path, clock: Clock) -> None:
    create_keyring(path)
    keeper = keeper_of(path, clock)
    aside = put_aside(path)
    damage(path)
    let_use(path, 0o600)
    assert str(await keeper.look()).startswith(str(path))
    aside.replace(path)
    assert await keeper.look() is None


async def test_a_file_that_others_may_read_by_now_is_noticed(path: Path, clock: Clock) -> None:
    ring, log = create_keyring(path), RecordingLog()
    keeper = keeper_of(path, clock, log)
    let_use(path, 0o644)
    assert "can be used by others (mode 0644)" in str(await keeper.look())
    assert (await keeper.wrapping_key(None, {})).key_id == f"file:{ring.current}"
    let_use(path, 0o600)
    assert await keeper.look() is None


async def test_a_file_that_is_gone_stays_gone(path: Path, clock: Clock) -> None:
    create_keyring(path)
    keeper = keeper_of(path, clock)
    put_aside(path)
    for _ in range(2):
        assert "is gone" in str(await keeper.look())


def test_a_file_that_is_bad_from_the_beginning_is_an_error(path: Path, clock: Clock) -> None:
    create_keyring(path)
    document = json.loads(path.read_text())
    document["keys"][0]["secret"] = b64encode(bytes(32)).decode()
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="is damaged"):
        keeper_of(path, clock)


async def test_retired_removed_and_disabled_keys(path: Path, clock: Clock) -> None:
    ring = create_keyring(path)
    old, new = ring.keys[ring.current], new_master_key()
    ring = retired(replace(ring.with_key(new), current=new.id), old.id)
    replace_keyring(path, ring)
    keeper = keeper_of(path, clock)
    assert (await keeper.wrapping_key(old.id, {})).key_id == f"file:{new.id}"
    assert await keeper.opened(old.id, "", {}) == old.secret
    replace_keyring(path, removed(ring, old.id))
    keeper = keeper_of(path, clock)
    assert (await keeper.wrapping_key(old.id, {})).key_id == f"file:{new.id}"
    assert await trouble(keeper, old.id, opening=True) is KeyTrouble.NOT_FOUND
    assert keeper.check_of(old.id) is None
    disabled = replace(old, state="disabled")
    replace_keyring(path, ring.with_key(disabled))
    keeper = keeper_of(path, clock)
    assert await trouble(keeper, old.id) is KeyTrouble.DISABLED
    assert await trouble(keeper, old.id, opening=True) is KeyTrouble.DISABLED


async def test_of_one_key_in_memory_all_processes_of_a_server_have_the_same() -> None:
    secret = b64encode(bytes(range(32))).decode()
    first, second = MemoryKeyring(secret), MemoryKeyring(secret)
    given = await first.wrapping_key(None, {})
    assert given.key_id.startswith("mem:")
    assert await second.opened(given.key_id.partition(":")[2], "", {}) == given.secret
    with pytest.raises(S3Error):
        await MemoryKeyring(None).wrapping_key(None, {})


async def test_a_folder_that_does_not_answer_is_waited_for_so_long(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_keyring(path)
    keeper = keeper_of(path, clock)
    answers = threading.Event()
    monkeypatch.setattr(keeper, "_stamp", lambda: answers.wait(20))
    monkeypatch.setattr(file_keyring, "LOOK_SECONDS_MAX", 0.05)
    clock.now += 2
    await keeper.wrapping_key(None, {})  # what was known a moment ago will do
    clock.now += 3600
    assert await trouble(keeper, "alias/aws/s3") is KeyTrouble.AWAY
    answers.set()
