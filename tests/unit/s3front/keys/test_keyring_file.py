"""The key file: what is read, what is refused and why, and how it is replaced."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3front.keys.keyring_file import (
    Keyring,
    _KeyEntry,
    create_keyring,
    locked,
    new_master_key,
    read_keyring,
    removed,
    replace_keyring,
    retired,
    secret_check,
)
from shared.config import ConfigError
from tests.unit.full_disk import full_disk

SECRET = b64encode(bytes(range(32))).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conf" / "keyring.json"


@pytest.fixture
def write(path: Path) -> Callable[[object], Path]:
    """Writes a key file with the rights that it must have."""

    def write(document: object) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        path.chmod(0o600)
        return path

    return write


def entry(**members: Any) -> dict[str, Any]:
    return {"id": "a", "created": "2026-01-01T00:00:00Z", "secret": SECRET} | members


def document(*entries: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"format": 1, "current": "a", "keys": list(entries or (entry(),))} | members


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_keyring(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert SECRET not in message
    assert SECRET[:10] not in message
    return message.removeprefix(f"{path}: ")


class TestMaking:
    def test_file_and_folder_are_their_owners_alone(self, path: Path) -> None:
        before = os.umask(0)
        try:
            made = create_keyring(path)
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o7777 == 0o600
        assert path.parent.stat().st_mode & 0o7777 == 0o700
        assert read_keyring(path) == made

    def test_never_replaces_one(self, path: Path) -> None:
        made = create_keyring(path)
        with pytest.raises(FileExistsError):
            create_keyring(path)
        assert read_keyring(path) == made
        assert [name.name for name in path.parent.iterdir()] == ["keyring.json"]

    def test_what_is_read_shows_no_secret(self) -> None:
        read = _KeyEntry(id="a", created="now", secret=bytes(range(32)))
        assert repr(read) == "_KeyEntry('a', 'enabled')"

    def test_a_secret_in_the_wrong_place_is_not_shown(
        self, write: Callable[[object], Path]
    ) -> None:
        for wrong in (document(entry(**{SECRET: "a"})), {**document(), SECRET: "a"}):
            assert "unknown key" in refusal(write(wrong))

    def test_keys_are_not_alike_and_show_no_secret(self) -> None:
        first, second = new_master_key(), new_master_key()
        assert len(first.secret) == 32
        assert first.secret != second.secret
        assert first.id != second.id
        assert repr(first) == f"MasterKey('{first.id}', 'enabled')"

    def test_replacing_keeps_the_old_one_until_the_new_one_is_whole(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = create_keyring(path)

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            replace_keyring(path, made.with_key(new_master_key()))
        assert read_keyring(path) == made
        assert [name.name for name in path.parent.iterdir()] == ["keyring.json"]


class TestReading:
    def test_no_file_is_no_keys(self, path: Path) -> None:
        assert read_keyring(path) is None

    def test_a_file_by_hand_needs_little(self, write: Callable[[object], Path]) -> None:
        ring = read_keyring(write(document()))
        assert ring is not None
        assert ring.keys["a"].secret == bytes(range(32))
        assert ring.keys["a"].opens

    def test_others_may_not_use_it(self, write: Callable[[object], Path]) -> None:
        path = write(document())
        for mode in (0o640, 0o604, 0o620, 0o601):
            path.chmod(mode)
            assert refusal(path) == (f"can be used by others (mode {mode:04o}): chmod 600 {path}")

    def test_it_is_ours_or_roots(
        self, write: Callable[[object], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(document())
        owner = path.stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner or 12345)
        assert read_keyring(path) is not None
        if owner:
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
            assert refusal(path) == f"belongs to another user (uid {owner}), who can change it"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_what_root_makes_is_its_folders_owners(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.parent.mkdir()
        os.chown(path.parent, 12345, 12345)
        ring = create_keyring(path)
        assert path.stat().st_uid == 12345
        os.chown(path, 54321, 54321)
        replace_keyring(path, ring)
        assert path.stat().st_uid == 54321
        assert read_keyring(path) == ring
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert refusal(path) == "belongs to another user (uid 54321), who can change it"

    def test_a_folder_is_none(self, path: Path) -> None:
        path.mkdir(parents=True)
        assert refusal(path) == "is not a regular file"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('{"format": 1,', "line 1, column 14: not valid JSON"),
            ("[]", "must hold a JSON object"),
            (document(format=2), "format: is of another version of this program"),
            (document(current="b"), "current: names none of the keys"),
            (document(entry(state="disabled")), "current: names a key that is not enabled"),
            (document(entry(), entry()), "keys: has an ID twice"),
            (document(entry(secret="c2hvcnQ=")), "keys[0].secret: must be 32 bytes in base64"),
            (document(entry(secret=SECRET[:-2])), "keys[0].secret: must be 32 bytes in base64"),
            (document(entry(secret=SECRET.lower(), check=secret_check(bytes(range(32))))),
             "keys[0].secret: is damaged: it is not the one that 'check' was made of"),
            (document({"id": "a", "created": "x"}),
             "keys[0].secret: must be there, unless the key is removed"),
            (document(entry(), entry(id="b", state="retired", replacedBy="c")),
             "keys: b: 'replacedBy' names none of the keys"),
            (document(entry(id="a/b")),
             "keys[0].id: must be 1 to 64 of the characters a-z A-Z 0-9 . _ -"),
        ],
    )  # fmt: skip
    def test_what_is_damaged_is_said_without_the_secret(
        self, write: Callable[[object], Path], content: object, reason: str
    ) -> None:
        assert refusal(write(content)).startswith(reason)


class TestSuccession:
    def ring(self) -> tuple[Keyring, list[str]]:
        keys = [new_master_key() for _ in range(3)]
        ring = Keyring(current=keys[0].id, keys={key.id: key for key in keys})
        return ring, [key.id for key in keys]

    def test_a_retired_key_opens_and_another_one_is_taken_for_it(self, path: Path) -> None:
        ring, (first, second, third) = self.ring()
        ring = retired(Keyring(current=second, keys=ring.keys), first)
        ring = retired(Keyring(current=third, keys=ring.keys), second)
        path.parent.mkdir()
        replace_keyring(path, ring)
        read = read_keyring(path)
        assert read == ring
        assert read is not None
        assert read.keys[first].opens
        successor = read.successor(first)
        assert successor is not None
        assert successor.id == third

    def test_a_disk_that_takes_no_more_is_told_with_the_file_and_nothing_is_lost(
        self, path: Path
    ) -> None:
        first = create_keyring(path)
        with full_disk(100), pytest.raises(OSError, match="too large") as caught:
            replace_keyring(path, self.ring()[0])
        assert caught.value.filename == str(path)
        assert read_keyring(path) == first
        assert list(path.parent.iterdir()) == [path]

    def test_what_a_killed_command_has_left_is_removed(self, path: Path) -> None:
        ring = create_keyring(path)
        copy = path.with_name(f".{path.name}.4711.0123abcd")
        copy.write_bytes(path.read_bytes())
        others = [path.with_name(f".{path.name}.swp"), path.with_name("keyring.json.4711.0123abcd")]
        for other in others:
            other.touch()
        with locked(path):
            replace_keyring(path, ring)
        assert sorted(path.parent.iterdir()) == sorted([path, *others])

    def test_of_a_removed_key_the_name_is_left(self, path: Path) -> None:
        ring, (first, second, _) = self.ring()
        ring = removed(retired(Keyring(current=second, keys=ring.keys), first), first)
        path.parent.mkdir()
        replace_keyring(path, ring)
        read = read_keyring(path)
        assert read is not None
        assert not read.keys[first].opens
        assert read.keys[first].secret == b""
        successor = read.successor(first)
        assert successor is not None
        assert successor.id == second

    def test_a_circle_ends(self) -> None:
        ring, (first, second, _) = self.ring()
        ring = retired(Keyring(current=second, keys=ring.keys), first)
        ring = retired(Keyring(current=first, keys=ring.keys), second)
        ring.successor(first)
