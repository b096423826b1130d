"""``s3front keys``, as an operator types it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3front.daemon_clients import metadata_client
from s3front.keys.keyring_file import Keyring, read_keyring
from s3front.keys.used_keys import UsedKeys
from s3front.metadata.gateway import MetadataGateway
from shared.config import load_config
from tests.api.installation import Installation
from tests.unit.dmd.metadata.support import RecordingLog


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


def keys(installation: Installation, *argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = installation.run("s3front", "keys", *argv)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def ring_of(installation: Installation) -> Keyring:
    ring = read_keyring(installation.folder / "conf" / "keyring.json")
    assert ring is not None
    return ring


def shows_no_secret(installation: Installation, text: str) -> bool:
    document = json.loads((installation.folder / "conf" / "keyring.json").read_text())
    return not any(key["secret"] in text for key in document["keys"] if "secret" in key)


def backdate(installation: Installation, member: str) -> None:
    """As if it were long ago that the first key was retired, or disabled."""
    path = installation.folder / "conf" / "keyring.json"
    document = json.loads(path.read_text())
    assert document["keys"][0][member]
    document["keys"][0][member] = "2026-01-01T00:00:00Z"
    path.write_text(json.dumps(document))


def note_use(installation: Installation, key: str) -> None:
    """As a front-end notes it."""

    async def note() -> None:
        client = metadata_client(
            load_config(installation.environ, installation.folder), RecordingLog()
        )
        client.start()
        try:
            await UsedKeys(MetadataGateway(client)).note(key)
        finally:
            await client.close()

    asyncio.run(note())


def test_a_file_is_made_once_with_rights_for_its_owner_alone(installation: Installation) -> None:
    made = keys(installation, "create")
    path = installation.folder / "conf" / "keyring.json"
    ring = ring_of(installation)
    assert made.stdout.splitlines()[0] == f"made {path}, with the master key {ring.current}"
    assert "Whoever loses this file loses all encrypted objects" in made.stdout
    assert shows_no_secret(installation, made.stdout)
    assert path.stat().st_mode & 0o7777 == 0o600
    again = keys(installation, "create", code=1)
    assert "is there already" in again.stderr
    assert ring_of(installation) == ring


def test_without_a_file_commands_say_what_to_do(installation: Installation) -> None:
    for command in (["rotate"], ["add"], ["use", "a"], ["remove", "a"], ["disable", "a"]):
        done = keys(installation, *command, code=1)
        assert "there is no key file" in done.stderr
        assert "s3front keys create makes it" in done.stderr


def test_keys_are_added_used_and_disabled(installation: Installation) -> None:
    keys(installation, "create", "--id", "first")
    keys(installation, "add", "--id", "second")
    assert (
        "there is a key second already"
        in keys(installation, "add", "--id", "second", code=1).stderr
    )
    keys(installation, "use", "second")
    ring = ring_of(installation)
    assert ring.current == "second"
    assert [key.state for key in ring.keys.values()] == ["enabled", "enabled"]
    assert "is the current key" in keys(installation, "disable", "second", code=1).stderr
    keys(installation, "disable", "first")
    assert "the key first is disabled" in keys(installation, "use", "first", code=1).stderr
    keys(installation, "enable", "first")
    assert "there is no key third" in keys(installation, "use", "third", code=1).stderr
    assert keys(installation, "add", "--id", "a/b", code=2).stderr


def test_a_rotation_retires_the_key_before(installation: Installation) -> None:
    keys(installation, "create", "--id", "first")
    keys(installation, "add", "--id", "second")
    done = keys(installation, "rotate", "--to", "second")
    assert done.stdout.splitlines()[0] == "the current master key is second; first is retired"
    ring = ring_of(installation)
    assert ring.keys["first"].state == "retired"
    assert ring.keys["first"].replaced_by == "second"
    keys(installation, "rotate")
    ring = ring_of(installation)
    assert ring.keys["second"].replaced_by == ring.current
    successor = ring.successor("first")
    assert successor is not None
    assert successor.id == ring.current
    assert "is retired" in keys(installation, "rotate", "--to", "first", code=1).stderr


def test_a_file_that_others_can_read_is_refused_everywhere(installation: Installation) -> None:
    keys(installation, "create")
    path = installation.folder / "conf" / "keyring.json"
    path.chmod(0o644)
    reason = f"{path}: can be used by others (mode 0644): chmod 600 {path}"
    for argv in (["keys", "list"], ["keys", "rotate"]):
        done = installation.run("s3front", *argv)
        assert done.returncode == 2
        assert reason in done.stderr
    for command in ("start", "work"):
        done = installation.run("s3front", command)
        assert done.returncode == 78
        assert done.stderr == f"s3front: {reason}\n"


def test_a_damaged_file_stops_the_start_without_its_secret(installation: Installation) -> None:
    keys(installation, "create")
    path = installation.folder / "conf" / "keyring.json"
    document = json.loads(path.read_text())
    secret = document["keys"][0]["secret"]
    document["keys"][0]["secret"] = secret[1:] + secret[:1]
    path.write_text(json.dumps(document))
    done = installation.run("s3front", "start")
    assert done.returncode == 78
    assert done.stderr.startswith(f"s3front: {path}: keys[0].secret: must be 32 bytes in base64")
    assert secret[5:20] not in done.stderr


class TestWithADaemon:
    @pytest.fixture
    def served(self, installation: Installation) -> Installation:
        installation.settings = {"gcGraceSeconds": 61}
        installation.write_config()
        installation.start("dmd", "start", "metadata")
        return installation

    def listed(self, installation: Installation, *argv: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            keys(installation, "list", "--json", *argv, code=code).stdout
        )
        return found

    def test_a_list_says_what_there_is(self, served: Installation) -> None:
        assert "there is no key file" in keys(served, "list").stdout
        keys(served, "create", "--id", "first")
        shown = keys(served, "list", "--count")
        assert shown.stdout.startswith("first                   current   2")
        assert shows_no_secret(served, shown.stdout)
        found = self.listed(served)
        assert [key["id"] for key in found["keys"]] == ["first"]
        assert found["missing"] == []

    def test_a_key_goes_when_nothing_can_name_it(self, served: Installation) -> None:
        keys(served, "create", "--id", "first")
        assert "is in use" in keys(served, "remove", "first", code=1).stderr
        keys(served, "rotate")
        assert "retired less than 61 s ago" in keys(served, "remove", "first", code=1).stderr
        backdate(served, "retired")
        assert keys(served, "remove", "first").stdout == (
            "removed the secret of first, which no record names\n"
        )
        ring = ring_of(served)
        assert ring.keys["first"].state == "removed"
        assert "was removed already" in keys(served, "remove", "first", code=1).stderr
        assert (
            "is the current key" in keys(served, "remove", ring.current, "--force", code=1).stderr
        )

    def test_a_key_that_was_disabled_has_the_same_grace(self, served: Installation) -> None:
        keys(served, "create", "--id", "first")
        keys(served, "add", "--id", "second")
        keys(served, "use", "second")
        keys(served, "disable", "first")
        assert "disabled less than 61 s ago" in keys(served, "remove", "first", code=1).stderr
        backdate(served, "disabled")
        keys(served, "enable", "first")
        keys(served, "disable", "first")
        assert "disabled less than 61 s ago" in keys(served, "remove", "first", code=1).stderr
        backdate(served, "disabled")
        keys(served, "remove", "first")
        assert ring_of(served).keys["first"].state == "removed"

    def test_what_was_removed_by_force_can_be_forgotten(self, served: Installation) -> None:
        keys(served, "create", "--id", "first")
        note_use(served, "file:first")
        keys(served, "rotate")
        done = keys(served, "remove", "first", "--force")
        assert "it is missing from now on: the key first was retired less than" in done.stdout
        assert self.listed(served, code=1)["missing"] == ["file:first"]
        assert "less than 61 s ago" in keys(served, "remove", "first", code=1).stderr
        backdate(served, "retired")
        assert "which no record names" in keys(served, "remove", "first").stdout
        assert self.listed(served)["missing"] == []
        assert "was removed already" in keys(served, "remove", "first", code=1).stderr

    def test_force_forgets_what_nothing_needs(self, served: Installation) -> None:
        keys(served, "create", "--id", "first")
        note_use(served, "file:first")
        keys(served, "rotate")
        backdate(served, "retired")
        keys(served, "remove", "first", "--force")
        assert self.listed(served)["missing"] == []

    def test_all_keepers_are_looked_at(self, served: Installation) -> None:
        assert keys(served, "look", code=1).stdout == (
            "file      current   there is no master key\n"
        )
        keys(served, "create")
        assert keys(served, "look").stdout == "file      current   ok\n"


@pytest.mark.parametrize(
    "argv", [("list",), ("jobs",), ("retire", "vault:x"), ("encrypt-objects", "b"), ("cancel", "b")]
)
def test_metadata_in_memory_cannot_be_asked(
    installation: Installation, argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(installation.environ, "S3BACKEND", "mem")
    done = keys(installation, *argv, code=2)
    assert "S3BACKEND: the metadata is in the memory of `s3front start`" in done.stderr
