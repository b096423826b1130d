"""Secrets that are kept in the metadata."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from s3front.encryption.key_wrapping import UnwrapError, WrappingKey
from s3front.keys.keepers import Keychain
from s3front.keys.keyring_file import create_keyring, new_master_key, replace_keyring, retired
from s3front.keys.sealed_text import open_text, seal_text, sealed, unsealed
from s3front.keys.sealing import NO_KEYS, Keys
from s3front.s3_errors import S3Error
from shared.config import load_config
from tests.unit.dmd.metadata.support import RecordingLog

NAME = "location/cloud/secretKey"
SECRET = "wJalrXUtnFEMI/ä€"  # one of a test
KEY = WrappingKey("file:a", bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "keyring.json"


def keys_of(path: Path) -> Keys:
    return Keychain(load_config({}, path.parent.parent).keepers(), RecordingLog()).keys


async def test_a_secret_comes_back_and_is_not_readable(path: Path) -> None:
    create_keyring(path)
    document = await seal_text(keys_of(path), SECRET, NAME)
    assert SECRET[:8] not in json.dumps(document)
    assert await open_text(keys_of(path), json.loads(json.dumps(document)), NAME) == SECRET


async def test_it_opens_after_its_master_key_was_retired(path: Path) -> None:
    ring = create_keyring(path)
    document = await seal_text(keys_of(path), SECRET, NAME)
    key = new_master_key()
    replace_keyring(path, retired(replace(ring.with_key(key), current=key.id), ring.current))
    assert await open_text(keys_of(path), document, NAME) == SECRET


@pytest.mark.parametrize("text", ["", "a", SECRET, "x" * 100_000])
def test_any_length(text: str) -> None:
    assert unsealed(sealed(text, NAME, KEY), NAME, KEY) == text


def test_moved_altered_or_by_another_key_it_opens_nothing() -> None:
    document = sealed(SECRET, NAME, KEY)
    others = [
        (document, "location/other/secretKey", KEY),
        (document, NAME, WrappingKey("file:a", bytes(32))),
        (document, NAME, WrappingKey("file:b", KEY.secret)),
        ({**document, "sealed": document["sealed"][:-8] + "AAAAAAA="}, NAME, KEY),
        ({}, NAME, KEY),
    ]
    for other, name, key in others:
        with pytest.raises(UnwrapError):
            unsealed(other, name, key)


async def test_without_its_key_there_is_an_error(path: Path) -> None:
    with pytest.raises(S3Error, match="NotImplemented"):
        await seal_text(NO_KEYS, SECRET, NAME)
    with pytest.raises(S3Error, match="NotImplemented"):
        await open_text(NO_KEYS, sealed(SECRET, NAME, KEY), NAME)
    create_keyring(path)
    with pytest.raises(S3Error):
        await open_text(keys_of(path), sealed(SECRET, NAME, KEY), NAME)
