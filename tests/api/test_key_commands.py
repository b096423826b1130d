"""``s3front keys``, as an operator types it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3front.keys.keyring_file import Keyring, read_keyring
from tests.api.installation import Installation


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
        path = served.folder / "conf" / "keyring.json"
        document = json.loads(path.read_text())
        document["keys"][0]["retired"] = "2026-01-01T00:00:00Z"
        path.write_text(json.dumps(document))
        assert keys(served, "remove", "first").stdout == (
            "removed the secret of first, which no record names\n"
        )
        ring = ring_of(served)
        assert ring.keys["first"].state == "removed"
        assert "was removed already" in keys(served, "remove", "first", code=1).stderr
        assert (
            "is the current key" in keys(served, "remove", ring.current, "--force", code=1).stderr
        )

    def test_all_keepers_are_looked_at(self, served: Installation) -> None:
        assert keys(served, "look", code=1).stdout == (
            "file      current   there is no master key\n"
        )
        keys(served, "create")
        assert keys(served, "look").stdout == "file      current   ok\n"
