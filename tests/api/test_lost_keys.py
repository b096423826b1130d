"""A master key that is lost is missed at once: at the start, by commands, by requests; and backups
say which keys they need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3front.keys.keyring_file import locked, read_keyring, replace_keyring
from tests import fork_server
from tests.api.encrypting import BY_S3, FIRST, SECOND, encrypting_cluster
from tests.api.installation import Installation
from tests.api.support import body_of, error_of, new_name
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, Front, wait_for


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with encrypting_cluster(tmp_path) as started:
        yield started


def lose(running: Cluster, key_id: str) -> None:
    """Take a key out of the file, by its name, as if somebody had brought back an older file."""
    path = key_file(running)
    with locked(path):
        ring = read_keyring(path)
        assert ring is not None
        keys = {name: key for name, key in ring.keys.items() if name != key_id}
        replace_keyring(path, type(ring)(current=SECOND, keys=keys))


def key_file(running: Cluster) -> Path:
    return Path(running.settings["encryption"]["keyringFile"])


def dmd(running: Cluster, *argv: str, code: int = 0) -> str:
    done = fork_server.run("dmd", list(argv), running.dmd_metadata.environ, 60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_is_said_everywhere(running: Cluster) -> None:
    front = running.fronts[0]
    s3 = s3_client(front)
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"sealed", **BY_S3)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"plain")
    assert "no problems" in dmd(running, "check", "--encryption")
    lose(running, FIRST)
    front.process.stop()
    front.start()
    wait_for(
        lambda: "master keys are missing" in front.process.output_of_this_run, "the log to say so"
    )
    (line,) = [
        json.loads(line)
        for line in front.process.output_of_this_run.splitlines()
        if "master keys are missing" in line
    ]
    assert line["keys"] == [f"file:{FIRST}"]
    found = error_of(s3.get_object, Bucket=bucket, Key="sealed")
    assert found["Code"] == "KMS.NotFoundException"
    assert body_of(s3, bucket, "plain") == b"plain"
    # New objects go on, by the key that is there.
    s3.put_object(Bucket=bucket, Key="new", Body=b"new", **BY_S3)
    assert body_of(s3, bucket, "new") == b"new"
    told = dmd(running, "check", "--encryption", code=1)
    assert f"missing-key: the key file lacks file:{FIRST}: 1 stretches cannot be read" in told
    assert f"{bucket}/sealed" in told
    listed = fork_server.run("s3front", ["keys", "list"], running.work.environ, 60)
    assert listed.returncode == 1
    assert f"MISSING: file:{FIRST}" in listed.stdout


def test_a_backup_has_no_key_and_names_those_that_it_needs(
    running: Cluster, tmp_path: Path
) -> None:
    s3 = s3_client(running.fronts[0])
    bucket = new_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="sealed", Body=b"sealed", **BY_S3)
    target = tmp_path / "backup"
    assert f"this one needs: file:{FIRST}" in dmd(running, "backup", str(target))
    assert json.loads((target / "master-keys.json").read_text()) == {
        "masterKeys": [f"file:{FIRST}"]
    }
    secrets = [key["secret"].encode() for key in json.loads(key_file(running).read_text())["keys"]]
    ring = read_keyring(key_file(running))
    assert ring is not None
    secrets += [key.secret for key in ring.keys.values()]
    for path in target.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path


def test_a_server_in_memory_has_a_key_that_its_processes_share(tmp_path: Path) -> None:
    installation = Installation(tmp_path, environ={"S3BACKEND": "mem"})
    try:
        process = installation.program("s3front", "start", "--workers", "2")
        process.start()
        front = Front(process, installation.port)
        front.wait()
        assert "the master key is in memory alone" in process.output
        bucket = new_name()
        s3_client(front).create_bucket(Bucket=bucket)
        for number in range(20):
            client: Any = s3_client(front)  # a connection of its own, to one process or the other
            client.put_object(Bucket=bucket, Key=f"{number}", Body=b"%d" % number, **BY_S3)
        for number in range(20):
            assert body_of(s3_client(front), bucket, f"{number}") == b"%d" % number
        secret = key_in(process.pid)
        assert secret
        assert secret not in process.output
        # The daemon that keeps what is in memory has no keys, as any other of its half.
        have = {process_name(pid): key_in(pid) == secret for pid in children_of(process.pid)}
        assert have == {
            "s3front.process.serve": True,
            "s3front.work": True,
            "dmd.metadata": False,
            "dmd.data": False,
        }
    finally:
        installation.stop_all()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def process_name(pid: int) -> str:
    """The module that a process runs."""
    argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return argv[argv.index("-m") + 1]


def key_in(pid: int) -> str:
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(
        (part.partition("=")[2] for part in environ if part.startswith("TWOFOLD_MEMORY_KEY")), ""
    )


def test_without_a_key_nothing_is_stored_that_is_to_be_encrypted(tmp_path: Path) -> None:
    keys = {"keyringFile": str(tmp_path / "keys" / "keyring.json")}
    installation = Installation(tmp_path, {"globalEncryptionEnabled": True, "encryption": keys})
    try:
        _dmd, front = installation.start_both()
        s3 = s3_client(front)
        wait_for(
            lambda: "no object can be stored: all are to be encrypted" in front.process.output,
            "the log to say so",
        )
        bucket = new_name()
        found = error_of(s3.create_bucket, Bucket=bucket)
        assert found["Code"] == "NotImplemented"
        assert "s3front keys create" in found["Message"]
        assert installation.run("s3front", "keys", "create").returncode == 0
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="key", Body=b"body")
        assert s3.head_object(Bucket=bucket, Key="key")["ServerSideEncryption"] == "AES256"
    finally:
        installation.stop_all()
