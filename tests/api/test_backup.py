"""``dmd backup``, ``hold`` and ``restore`` over both halves, under load."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmd.jobs.backup import Blobs, back_up
from dmd.jobs.blob_access import own_data
from dmd.jobs.errors import JobError
from shared.blob_files import directory_number
from shared.process.logs import get_logger
from tests.api.jobs import EX_CONFIG, dmd
from tests.clients_boto3 import s3_client
from tests.faults.damage import damage
from tests.faults.stores import blobs_of, call_metadata, stored_records
from tests.load import Load
from tests.raw_http import call
from tests.servers import Cluster, cluster, wait_for
from tests.unit.dmd.data.harness import keys_in

SETTINGS = {"deleteDelaySeconds": 0}
LARGE = b"large" * 100_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that deletes at once."""
    with cluster(tmp_path / "cluster", settings=SETTINGS) as started:
        assert call(started.fronts[0], "PUT", "/bucket").status == 200
        for number in range(20):
            body = LARGE if number % 2 else b"small"
            assert call(started.fronts[0], "PUT", f"/bucket/{number}", body).status == 200
        yield started


def job(running: Cluster, *arguments: str) -> subprocess.Popen[bytes]:
    """A job that is not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "dmd", *arguments],
        env={**os.environ, **running.dmd_metadata.environ},
        stdout=subprocess.PIPE,
    )


def objects_of(running: Cluster) -> dict[str, bytes]:
    s3 = s3_client(running.fronts[0])
    listed = s3.list_objects_v2(Bucket="bucket").get("Contents", [])
    return {
        entry["Key"]: s3.get_object(Bucket="bucket", Key=entry["Key"])["Body"].read()
        for entry in listed
    }


def test_a_backup_that_takes_longer_than_deletions_has_no_holes(
    running: Cluster, tmp_path: Path
) -> None:
    before = objects_of(running)
    target = tmp_path / "copy"
    unfinished = tmp_path / "copy.unfinished"
    with Load("busy", running.fronts, threads=2) as load:
        load.wait_for_writes(20)
        copying = job(running, "backup", str(target))
        wait_for((unfinished / "data").exists, "the blobs to be copied")
        copying.send_signal(signal.SIGSTOP)
        for key in before:  # what the copied metadata names is owned by nothing any more
            assert call(running.fronts[0], "PUT", f"/bucket/{key}", b"replaced").status == 200
        load.wait_for_writes(200)
        gc = dmd(running, "gc", "--adopt")
        assert (gc.code, "garbage collection is running" in gc.errors) == (EX_CONFIG, True)
        copying.send_signal(signal.SIGCONT)
        output, _ = copying.communicate(timeout=100)
        assert (copying.returncode, output) == (0, f"{target}: backed up\n".encode())
    restored = Cluster(tmp_path / "restored", settings=SETTINGS)
    finished = dmd(restored, "restore", str(target))
    assert (finished.code, finished.errors) == (0, ""), finished.output
    assert "no problems" in finished.output
    try:
        restored.start()
        assert objects_of(restored) == before
        assert dmd(restored, "check").code == 0
    finally:
        restored.stop()


def test_blobs_in_places_of_other_types_are_not_passed_over_in_silence(
    running: Cluster, tmp_path: Path
) -> None:
    """As CloudServer's records name them."""
    record = stored_records(running, ["bucket"])["bucket"]["0"]
    (location,) = record["location"]
    moved = location | {"key": "bucket/0", "dataStoreName": "aws", "dataStoreType": "aws_s3"}
    text = json.dumps(record | {"location": [moved, moved]})
    call_metadata(running, "put", ["moved", text, {}], ["bucket"])
    told = "2 blobs in places of other types (aws_s3): not "
    checked = dmd(running, "check")
    assert (checked.code, checked.output) == (0, f"{told}looked at\nno problems\n")
    assert dmd(running, "check", "--json").document["elsewhere"] == {"aws_s3": 2}
    copied = dmd(running, "backup", str(tmp_path / "copy"))
    assert (copied.code, copied.errors) == (0, f"{told}copied\n")
    again = dmd(running, "backup", "--json", str(tmp_path / "again")).document
    assert (again["lost"], again["elsewhere"]) == (0, {"aws_s3": 2})


@pytest.mark.parametrize("options", [[], ["--metadata-only"]], ids=str)
def test_a_record_that_was_damaged_before_is_told(
    running: Cluster, tmp_path: Path, options: list[str]
) -> None:
    mark = {"x-amz-meta-mark": "the mark of this object"}
    assert call(running.fronts[0], "PUT", "/bucket/lost", b"lost", mark).status == 200
    store = running.folder / "metadata" / "metadata.lmdb"
    # Pages that are not in use any more may have it, too.
    for found in re.finditer(b"the mark of this object", store.read_bytes()):
        damage(store, "flip", random.Random(1), within=found.span())
    target = tmp_path / "copy"
    finished = dmd(running, "backup", *options, str(target))
    assert (finished.code, finished.output) == (1, f"{target}: backed up\n")
    assert finished.errors.startswith("lost before this backup: bucket/lost: the value of ")
    assert finished.errors.count("\n") == 1


def test_what_was_lost_before_keeps_nobody_from_a_backup_of_the_rest(
    running: Cluster, tmp_path: Path
) -> None:
    large = bytes(300_000)
    assert call(running.fronts[0], "PUT", "/bucket/lost", large).status == 200
    blobs = blobs_of({"lost": stored_records(running, ["bucket"])["bucket"]["lost"]})
    data = running.folder / "data"
    (blob,) = (data / str(directory_number(key)) / key for key in blobs)
    blob.rename(tmp_path / "elsewhere")
    target = tmp_path / "copy"
    finished = dmd(running, "backup", str(target))
    assert (finished.code, finished.output) == (1, f"{target}: backed up\n")
    assert finished.errors.startswith("lost before this backup: bucket/lost: its blob ")
    restored = Cluster(tmp_path / "restored", settings=SETTINGS)
    checked = dmd(restored, "restore", str(target))
    assert (checked.code, checked.output.count("\n")) == (1, 2), checked.output
    assert "missing-data: bucket/lost" in checked.output
    # A copy that alone lacks something is refused.
    for daemon in (running.dmd_metadata, running.dmd_data):
        daemon.stop()
    whole = tmp_path / "whole"
    shutil.copytree(data, whole)
    shutil.copy(tmp_path / "elsewhere", whole / blob.relative_to(data))
    source = Blobs(data, lambda: own_data(whole, get_logger()))
    with pytest.raises(JobError, match="the copy is not whole"):
        back_up(running.folder / "metadata", source, tmp_path / "again", lambda *_bytes: None)
    assert not (tmp_path / "again").exists()


def test_deletions_go_on_when_nobody_holds_them(running: Cluster, tmp_path: Path) -> None:
    data = running.folder / "data"
    before = keys_in(data)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holding = job(running, "hold", "cat", str(pipe))
    lock = running.folder / "metadata" / "hold"
    wait_for(lock.exists, "the hold")
    s3 = s3_client(running.fronts[0])
    for number in range(20):
        s3.delete_object(Bucket="bucket", Key=str(number))
    assert call(running.fronts[0], "PUT", "/bucket/new", b"new").status == 200
    assert keys_in(data) > before
    pipe.write_bytes(b"done")
    assert holding.communicate(timeout=60)[0] == b"done"
    assert holding.returncode == 0
    wait_for(lambda: len(keys_in(data)) == 1, "deletions to go on")


def test_the_exit_code_of_a_hold_is_the_commands(running: Cluster) -> None:
    assert dmd(running, "hold", "sh", "--", "-c", "exit 7").code == 7
    assert dmd(running, "hold", "sh", "--", "-c", "kill -9 $$").code == 137
    copied = running.folder / "copied"
    inner = f"exec {sys.executable} -m dmd backup --metadata-only {copied}"
    assert dmd(running, "hold", "sh", "--", "-c", inner).code == 0
    assert (copied / "metadata.lmdb").exists()
    missing = dmd(running, "hold", "no-such-program")
    assert (missing.code, "cannot run no-such-program" in missing.errors) == (EX_CONFIG, True)


def test_a_restore_never_writes_over_blobs(running: Cluster, tmp_path: Path) -> None:
    assert dmd(running, "backup", str(tmp_path / "copy")).code == 0
    metadata = tmp_path / "metadata"
    metadata.mkdir()
    running.dmd_data.stop()
    refused = dmd(running, "restore", str(tmp_path / "copy"), metadata=metadata)
    assert refused.code == EX_CONFIG
    assert "there is a data store already" in refused.errors
    assert not (metadata / "metadata.lmdb").exists()
