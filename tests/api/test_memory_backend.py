"""``S3BACKEND=mem s3front start``, and what else keeps objects in memory."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.process.supervisor import EX_CONFIG
from tests.api.installation import Installation
from tests.api.support import code_of
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Front, Process, accepts_connections, has_ended, process_tree, wait_for

BODY = bytes(range(256)) * 1200


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path)
    yield installation
    installation.stop_all()


def started(installation: Installation, *options: str, **environ: str) -> Front:
    installation.environ |= environ
    process = installation.program("s3front", "start", *options)
    process.start()
    front = Front(process, installation.port)
    front.wait()
    return front


def with_locations(installation: Installation, **more: Any) -> None:
    document = {"us-east-1": {"type": "file", "legacyAwsBehavior": True, "details": {}}, **more}
    (installation.folder / "locationConfig.json").write_text(json.dumps(document))
    installation.environ["S3_LOCATION_FILE"] = str(installation.folder / "locationConfig.json")


MEMORY = {"type": "mem", "legacyAwsBehavior": False, "details": {}}


def child(process: Process, name: str) -> int:
    """The process ID of the last start of a child."""
    lines = [json.loads(line) for line in process.output.splitlines() if "child started" in line]
    pid: int = [line["child_pid"] for line in lines if line["child"] == name][-1]
    return pid


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"}


def test_it_needs_no_dmd_and_leaves_nothing(installation: Installation) -> None:
    before = files(installation.folder)
    front = started(installation, "--workers", "2", S3BACKEND="mem")
    s3 = s3_client(front)
    s3.create_bucket(Bucket="bucket")
    for size in (0, 1, len(BODY), 6 * 1024 * 1024):
        body = (BODY * 20)[:size]
        s3.put_object(Bucket="bucket", Key=str(size), Body=body)
        for _ in range(4):  # whichever process it is
            found = s3_client(front).get_object(Bucket="bucket", Key=str(size))
            assert found["Body"].read() == body
    # What a client sees is the location of any server (manual, 2.7.1).
    assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] is None
    assert not accepts_connections(installation.metadata_port)
    assert not accepts_connections(installation.data_port)
    tree = process_tree(front.process.pid)
    assert front.process.stop() == 0
    assert all(map(has_ended, tree))
    assert files(installation.folder) == before


def test_nobody_else_on_the_machine_can_use_it(installation: Installation) -> None:
    front = started(installation, S3BACKEND="mem")
    lines = [json.loads(line) for line in front.process.output.splitlines() if line[:1] == "{"]
    (served,) = [line for line in lines if line["event"] == "serving data"]
    assert served["host"] == "127.0.0.1"
    private = Front(front.process, served["port"])
    assert call(private, "GET", "/DataFile?diskUsage").status in {401, 403}
    for pid in process_tree(front.process.pid):
        assert "secret" not in Path(f"/proc/{pid}/cmdline").read_text()


def test_it_ends_when_its_supervisor_is_killed(installation: Installation) -> None:
    front = started(installation, S3BACKEND="mem")
    tree = process_tree(front.process.pid)
    assert front.process.handle is not None
    front.process.handle.send_signal(signal.SIGKILL)
    wait_for(lambda: all(map(has_ended, tree)), "the daemon to end")


def test_what_is_lost_by_a_crash_is_said(installation: Installation) -> None:
    front = started(installation, S3BACKEND="mem")
    s3 = s3_client(front)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=BODY)
    for name, lost in (("dmd-data", "the bytes of all objects"), ("dmd-metadata", "all buckets")):
        os.kill(child(front.process, name), signal.SIGKILL)
        wait_for(lambda lost=lost: f'"lost": "{lost}' in front.process.output, "the log to say it")  # type: ignore[misc]

    def answers() -> bool:
        return call(front, "GET", "/").status == 200

    wait_for(answers, "the metadata to be back")
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=BODY)
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == BODY


def test_a_location_in_memory_beside_one_on_disk(installation: Installation) -> None:
    with_locations(installation, memory=MEMORY)
    installation.start("dmd", "start")
    front = started(installation, "--workers", "2")
    s3 = s3_client(front)
    s3.create_bucket(Bucket="in-memory", CreateBucketConfiguration={"LocationConstraint": "memory"})
    s3.create_bucket(Bucket="on-disk")
    for bucket in ("in-memory", "on-disk"):
        s3.put_object(Bucket=bucket, Key="key", Body=BODY)
        s3.put_object(
            Bucket=bucket, Key="there", Body=b"m", Metadata={"scal-location-constraint": "memory"}
        )
    assert s3.get_bucket_location(Bucket="in-memory")["LocationConstraint"] == "memory"
    for bucket in ("in-memory", "on-disk"):
        for _ in range(4):
            assert s3_client(front).get_object(Bucket=bucket, Key="key")["Body"].read() == BODY
    front.process.stop()
    front.start()
    # As any object whose bytes are lost.
    lost = {"Bucket": "in-memory", "Key": "key"}
    assert code_of(s3.get_object, **lost) == (500, "InternalError")
    assert '"event":"the data of an object is missing"' in front.process.output_of_this_run
    assert code_of(s3.get_object, Bucket="on-disk", Key="there") == (500, "InternalError")
    assert s3.get_object(Bucket="on-disk", Key="key")["Body"].read() == BODY
    s3.put_object(**lost, Body=b"again")
    assert s3.get_object(**lost)["Body"].read() == b"again"
    s3.delete_object(**lost)


def test_all_data_in_memory_with_metadata_on_disk(installation: Installation) -> None:
    """S3DATA=mem: whatever the location of a bucket is."""
    before = files(installation.data)
    installation.start("dmd", "start", "metadata")
    front = started(installation, S3DATA="mem")
    s3 = s3_client(front)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=BODY)
    assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == BODY
    assert files(installation.data) == before


def test_several_locations_with_metadata_in_memory(installation: Installation) -> None:
    """Manual, 5.3: S3DATA=multiple with S3BACKEND=mem, for continuous integration."""
    with_locations(installation, **{"us-east-1": MEMORY, "kept": {"type": "file", "details": {}}})
    installation.environ |= {"S3BACKEND": "mem", "S3DATA": "multiple"}
    installation.start("dmd", "start", "data")
    front = started(installation)
    assert "location 'kept': its bytes stay on disk" in front.process.output
    s3 = s3_client(front)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="memory", Body=BODY)
    before = files(installation.data)
    kept = {"Metadata": {"scal-location-constraint": "kept"}}
    s3.put_object(Bucket="bucket", Key="disk", Body=BODY * 8, **kept)
    assert len(files(installation.data) - before) == 1
    for key, body in (("memory", BODY), ("disk", BODY * 8)):
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == body


def test_only_its_own_processes_have_the_memory(installation: Installation) -> None:
    with_locations(installation, memory=MEMORY)
    work = installation.program("s3front", "work")
    installation.environ["S3BACKEND"] = "mem"
    alone = installation.run("s3front", "work")
    assert alone.returncode == EX_CONFIG
    assert alone.stderr.endswith(
        "environment: S3BACKEND: the metadata is in the memory of `s3front start`, where nobody "
        "else can reach it\n"
    )
    asked = installation.run("s3front", "work", "status")
    assert asked.returncode == 2
    assert "S3BACKEND" in asked.stderr
    work.environ.pop("S3BACKEND", None)
    work.start()
    wait_for(lambda: "location 'memory': its bytes are in the memory" in work.output, "a warning")


def test_a_daemon_that_nobody_would_ask_does_not_start(installation: Installation) -> None:
    installation.environ["S3BACKEND"] = "mem"
    refused = installation.run("dmd", "start")
    assert (refused.returncode, refused.stderr) == (
        EX_CONFIG,
        "dmd: the metadata is in memory, as S3BACKEND or S3METADATA says, and `s3front start` "
        "keeps it itself: leave this service out\n",
    )
