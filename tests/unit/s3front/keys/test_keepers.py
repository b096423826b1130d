"""The keepers of an installation, and what the metadata remember of their keys."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.sse import Protection
from s3front.keys import keepers
from s3front.keys.keepers import Keychain
from s3front.keys.keyring_file import (
    create_keyring,
    new_master_key,
    read_keyring,
    replace_keyring,
    retired,
    secret_check,
)
from s3front.keys.making import Making
from s3front.keys.retired_keys import RetiredKeys
from s3front.keys.used_keys import LOOK_SECONDS, Noted, UsedKeys, missing_keys
from s3front.s3_errors import S3Error
from shared.config import Config, ConfigError, load_config
from shared.config.encryption import Keepers
from shared.records.data_location import DataLocation
from tests.unit.dmd.metadata.support import RecordingLog, until
from tests.unit.s3front.keys.scripted_keys import BUCKET, Clock, ScriptedKeys
from tests.unit.s3front.metadata_twin import MetadataTwin

BOUND = BoundTo("bucket", "key")


def config_of(directory: Path, **environ: str) -> Config:
    return load_config(environ, directory)


def damage(path: Path) -> None:
    path.write_text("{")


async def sealed_by(chain: Keychain) -> str:
    sealing = await chain.keys.sealing(Protection(), BOUND)
    return str(sealing.new_blob().members()["masterKeyId"])


async def test_a_key_is_noted_before_it_seals_the_first_object(tmp_path: Path) -> None:
    ring = create_keyring(tmp_path / "conf/keyring.json")
    gateway = MetadataTwin()
    chain = Keychain(config_of(tmp_path).keepers(), RecordingLog(), gateway)
    used = UsedKeys(gateway)
    assert await used.every() == {}
    name = await sealed_by(chain)
    assert name == f"file:{ring.current}"
    (noted,) = (await used.every()).items()
    assert noted[0] == name
    assert noted[1]["check"] == secret_check(ring.keys[ring.current].secret)
    await sealed_by(chain)
    await Keychain(config_of(tmp_path).keepers(), RecordingLog(), gateway).close()
    assert (await used.every())[name] == noted[1]


async def test_keys_that_were_used_and_are_gone_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "conf/keyring.json"
    ring = create_keyring(path)
    gateway = MetadataTwin()
    config = config_of(tmp_path)
    chain = Keychain(config.keepers(), RecordingLog(), gateway)
    await sealed_by(chain)
    used = UsedKeys(gateway)
    await used.note("vault:transit-key")
    assert await missing_keys(used, chain.keys.keepers) == ["vault:transit-key"]
    key = new_master_key()
    replace_keyring(path, replace(ring, current=key.id, keys={key.id: key}))
    chain.renew(config.keepers())
    assert sorted(await missing_keys(used, chain.keys.keepers)) == [
        f"file:{ring.current}",
        "vault:transit-key",
    ]


async def test_two_keys_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """As two hosts have them that have made their own key files."""
    gateway, chains = MetadataTwin(), []
    for host in ("one", "other"):
        path = tmp_path / host / "conf/keyring.json"
        ring = create_keyring(path)
        key = replace(ring.keys[ring.current], id="prod")
        replace_keyring(path, replace(ring, current="prod", keys={"prod": key}))
        described = config_of(tmp_path / host).keepers()
        chains.append(Keychain(described, RecordingLog(), gateway))
    one, other = chains
    assert await sealed_by(one) == "file:prod"
    for _ in range(2):
        with pytest.raises(S3Error, match="ServiceUnavailable") as caught:
            await sealed_by(other)
        assert "another one than that of this name" in str(caught.value.__cause__)
    used = UsedKeys(gateway)
    assert await missing_keys(used, one.keys.keepers) == []
    assert await missing_keys(used, other.keys.keepers) == ["file:prod"]
    # A key that was noted before there was something to tell it by.
    await used.forget("file:prod")
    await used.note("file:prod")
    assert await missing_keys(used, other.keys.keepers) == []
    assert await sealed_by(other) == "file:prod"


def test_a_keeper_that_is_not_described_cannot_be_the_current_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Keychain(config_of(tmp_path, S3KMS="aws").keepers(), RecordingLog())
    assert str(caught.value).endswith("kmsAWS: is missing, and 'aws' is to keep the master keys")


async def test_a_bad_file_keeps_what_there_was(tmp_path: Path) -> None:
    path = tmp_path / "conf/keyring.json"
    ring = create_keyring(path)
    chain = Keychain(config_of(tmp_path).keepers(), RecordingLog())
    before = chain.keys
    damage(path)
    with pytest.raises(ConfigError):
        chain.renew(config_of(tmp_path).keepers())
    assert chain.keys is before
    assert await sealed_by(chain) == f"file:{ring.current}"


async def test_a_keeper_is_made_anew_when_a_file_of_its_has_changed(tmp_path: Path) -> None:
    """A certificate that was renewed, or a secret that was replaced."""
    token = tmp_path / "token"
    token.write_text("first")
    described = {"vault": {"address": "http://127.0.0.1:1", "tokenFile": "token"}}
    (tmp_path / "config.json").write_text(json.dumps({"encryption": described}))
    chain = Keychain(config_of(tmp_path).keepers(), RecordingLog())
    before = chain.keys.keepers["vault"]

    chain.renew(config_of(tmp_path).keepers())
    assert chain.keys.keepers["vault"] is before
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").replace(token)
    chain.renew(config_of(tmp_path).keepers())

    assert chain.keys.keepers["vault"] is not before
    await chain.close()


async def test_a_key_that_was_forgotten_and_is_used_again_is_noted_again() -> None:
    gateway, clock = MetadataTwin(), Clock()
    process = UsedKeys(gateway, clock)
    await process.note("vault:key:v1")
    await UsedKeys(gateway).forget("vault:key:v1")
    assert process.has("vault:key:v1")
    clock.now += LOOK_SECONDS
    assert not process.has("vault:key:v1")
    await process.note("vault:key:v1")
    assert list(await process.every()) == ["vault:key:v1"]
    assert process.has("vault:key:v1")


async def test_what_is_noted_is_not_written_again() -> None:
    gateway, clock = MetadataTwin(), Clock()
    process = UsedKeys(gateway, clock)
    await process.note("vault:key:v1")
    clock.now += LOOK_SECONDS
    await process.note("vault:key:v1")
    assert gateway.commits == 1


async def test_one_request_looks_for_all() -> None:
    gateway, clock = MetadataTwin(), Clock()
    process = UsedKeys(gateway, clock)
    await process.note("vault:key:v1")
    clock.now += LOOK_SECONDS
    gateway.is_away = True
    looking = asyncio.create_task(process.note("vault:key:v1"))
    await asyncio.sleep(0)
    assert process.has("vault:key:v1")
    with pytest.raises(S3Error):
        await looking
    assert not process.has("vault:key:v1")


async def test_a_retired_key_of_a_service_is_given_out_no_more() -> None:
    gateway, clock = MetadataTwin(), Clock()
    keeper = Noted(ScriptedKeys(), UsedKeys(gateway, clock))
    assert (await keeper.wrapping_key("old", BUCKET)).key_id == "scripted:old"
    await RetiredKeys(gateway).add("scripted:old")
    clock.now += LOOK_SECONDS
    assert (await keeper.wrapping_key("old", BUCKET)).key_id == "scripted:current"
    assert (await keeper.wrapping_key("other", BUCKET)).key_id == "scripted:other"
    assert sorted(await UsedKeys(gateway).every()) == [
        "scripted:current",
        "scripted:old",
        "scripted:other",
    ]
    # The configuration says so, and nothing else is there.
    await RetiredKeys(gateway).add("scripted:current")
    clock.now += LOOK_SECONDS
    assert (await keeper.wrapping_key("old", BUCKET)).key_id == "scripted:current"


async def test_the_key_of_an_object_that_moves_is_noted(tmp_path: Path) -> None:
    """Also where that is another than before, as its own was retired."""
    path = tmp_path / "conf/keyring.json"
    first = create_keyring(path).current
    gateway, config = MetadataTwin(), config_of(tmp_path)
    chain = Keychain(config.keepers(), RecordingLog(), gateway)
    sealing = await chain.keys.sealing(Protection(), BOUND)
    members = dict(sealing.new_blob().members())
    location = DataLocation("blob", 4, 0, "a", "file", "1:x", {**members, "key": "blob"})
    ring = read_keyring(path)
    assert ring is not None
    key = new_master_key("second")
    replace_keyring(path, retired(replace(ring.with_key(key), current="second"), first))
    chain.renew(config.keepers())
    there = BoundTo("bucket", "there")
    moved = await chain.keys.moved(sealing.members, [location], (BOUND, there), None)
    assert moved["location"][0]["masterKeyId"] == "file:second"
    assert set(await UsedKeys(gateway).every()) == {f"file:{first}", "file:second"}


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
async def test_a_keeper_that_was_replaced_is_closed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(keepers, "CLOSE_SECONDS", seconds)
    made: list[ScriptedKeys] = []

    def make(_making: Making) -> ScriptedKeys:
        made.append(ScriptedKeys())
        return made[-1]

    def described(token: str) -> Keepers:
        settings = {"current": "vault", "vault": {"address": "http://127.0.0.1:1", "token": token}}
        (tmp_path / "config.json").write_text(json.dumps({"encryption": settings}))
        return config_of(tmp_path).keepers()

    chain = Keychain(described("first"), RecordingLog(), makers={"vault": make})
    chain.renew(described("second"))
    if not seconds:
        await until(lambda: made[0].closed)
    assert [keeper.closed for keeper in made] == [not seconds, False]
    await chain.close()
    assert [keeper.closed for keeper in made] == [True, True]


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("http://keys.example.com:8200", True),
        ("http://192.0.2.7", True),
        ("http://[2001:db8::1]:8200/path", True),
        ("http://localhost.example.com", True),
        ("https://keys.example.com:8200", False),
        ("http://localhost:8200", False),
        ("http://127.0.0.2", False),
        ("http://[::1]:8200", False),
    ],
)
async def test_a_service_whose_keys_others_can_read(
    tmp_path: Path, address: str, *, is_open: bool
) -> None:
    described = {
        "encryption": {"vault": {"address": address, "token": "token"}},
        "kmsAWS": {"endpoint": address, "ak": "access", "sk": "key"},
    }
    (tmp_path / "config.json").write_text(json.dumps(described))
    log = RecordingLog()
    chain = Keychain(config_of(tmp_path).keepers(), log)
    told = [fields["key"] for event, fields in log.lines if "plain HTTP" in event]
    assert sorted(map(str, told)) == (
        ["encryption.vault.address", "kmsAWS.endpoint"] if is_open else []
    )
    await chain.close()
