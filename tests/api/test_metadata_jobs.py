"""``dmd check``, ``stats``, ``backup``, ``restore``, ``dump`` and ``load``, on a store in use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.jobs import EX_CONFIG, dmd
from tests.clients_boto3 import s3_client
from tests.faults.stores import call_metadata
from tests.load import Load
from tests.raw_http import call
from tests.servers import Cluster, cluster, wait_for

CONTROL = "\x01\x02 control"
KEYS = ["a", "folder/b", "ü\U0001f600", CONTROL, "x" * 1024]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose directories the test may change."""
    yield from filled(tmp_path / "cluster")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that no test changes."""
    yield from filled(tmp_path_factory.mktemp("jobs"))


def filled(folder: Path) -> Iterator[Cluster]:
    with cluster(folder) as started:
        s3 = s3_client(started.fronts[0])
        s3.create_bucket(Bucket="bucket")
        for key in KEYS:
            s3.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"key": "value"})
        s3.create_multipart_upload(Bucket="bucket", Key="upload")
        yield started


def objects_of(running: Cluster) -> dict[str, tuple[bytes, str]]:
    """Bytes and ETag of every object."""
    s3 = s3_client(running.fronts[0])
    found = {}
    for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]:
        reply = s3.get_object(Bucket="bucket", Key=entry["Key"])
        assert reply["Metadata"] == {"key": "value"}
        found[entry["Key"]] = (reply["Body"].read(), entry["ETag"])
    return found


def replace_metadata(running: Cluster, metadata: Path) -> None:
    """Let the cluster's daemon serve another metadata directory."""
    running.dmd_metadata.stop()
    running.dmd_metadata.environ["S3METADATAPATH"] = str(metadata)
    running.start_daemons()
    wait_for(lambda: call(running.fronts[0], "HEAD", "/bucket").status == 200, "the front-end")


def new_folder(tmp_path: Path, name: str = "restored") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_backup_of_a_busy_store_is_whole(own: Cluster, tmp_path: Path) -> None:
    before = objects_of(own)
    with Load("busy", own.fronts) as load:
        load.wait_for_writes(50)
        assert dmd(own, "backup", "--metadata-only", str(tmp_path / "copy")).code == 0
        load.wait_for_writes(50)
        checked = dmd(own, "check")
        assert (checked.code, checked.output) == (0, "no problems\n")
    restored = new_folder(tmp_path)
    finished = dmd(own, "restore", "--metadata-only", str(tmp_path / "copy"), metadata=restored)
    assert (finished.code, finished.output) == (0, "no problems\n")
    uuid = (own.folder / "metadata" / "uuid").read_text()
    assert (restored / "uuid").read_text() == uuid
    replace_metadata(own, restored)
    assert objects_of(own) == before
    # The restored store goes on counting where it stopped.
    s3_client(own.fronts[0]).put_object(Bucket="bucket", Key="new", Body=b"new")
    assert dmd(own, "check").code == 0


def test_a_dump_can_be_loaded(own: Cluster, tmp_path: Path) -> None:
    before = objects_of(own)
    file = tmp_path / "dump"
    assert dmd(own, "dump", str(file)).code == 0
    assert dmd(own, "dump").output.encode() == file.read_bytes()
    restored = new_folder(tmp_path)
    finished = dmd(own, "load", "--keep-uuid", str(file), metadata=restored)
    assert (finished.code, finished.output) == (0, "no problems\n")
    again = dmd(own, "dump", metadata=restored)
    assert again.output.encode() == file.read_bytes()
    replace_metadata(own, restored)
    assert objects_of(own) == before


def test_a_loaded_store_is_not_the_one_that_was_dumped(running: Cluster, tmp_path: Path) -> None:
    """Else garbage collection with a copy of the metadata would judge the original's bytes."""
    file = tmp_path / "dump"
    assert dmd(running, "dump", str(file)).code == 0
    assert dmd(running, "load", str(file), metadata=new_folder(tmp_path)).code == 0
    assert not (tmp_path / "restored" / "uuid").exists()


def test_statistics(running: Cluster) -> None:
    total = dmd(running, "stats", "--json").document["total"]
    assert total == {
        "objects": len(KEYS),
        "versions": len(KEYS),
        "delete_markers": 0,
        "bytes": sum(len(key.encode()) for key in KEYS),
        "uploads": 1,
        "parts": 0,
    }
    lines = dmd(running, "stats").output
    assert "bucket" in lines
    assert "deletions queued" in lines


def test_statistics_of_what_others_wrote(own: Cluster) -> None:
    sizes = ["9" * 30, "-5", "1e400", "[]", "true", '"x"', "1.5", str(2**63 - 1), str(2**63 - 1)]
    for number, size in enumerate(sizes):
        record = f'{{"content-length":{size}}}' if size != "1e400" else "no JSON"
        call_metadata(own, "put", [str(number), record, {}], ["[/a name]"])
    finished = dmd(own, "stats", "--json")
    counted = finished.document["buckets"]["[/a name]"]
    assert (counted["objects"], counted["bytes"]) == (len(sizes), 2**64 - 2)
    assert "[/a name]" in dmd(own, "stats").output


@pytest.mark.parametrize("kept", ["", "first line", "half"])
def test_a_dump_that_was_cut_off_is_refused(running: Cluster, tmp_path: Path, kept: str) -> None:
    lines = dmd(running, "dump").output.splitlines(keepends=True)
    rest = {"": [], "first line": lines[:1], "half": lines[: len(lines) // 2]}[kept]
    file = tmp_path / "dump"
    file.write_text("".join(rest))
    restored = new_folder(tmp_path)
    finished = dmd(running, "load", str(file), metadata=restored)
    assert finished.code == EX_CONFIG
    assert "dump" in finished.errors
    assert finished.errors.count("\n") == 1
    assert [path.name for path in restored.iterdir()] in ([], ["lock"])


def test_nothing_is_overwritten(running: Cluster, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert dmd(running, "backup", "--metadata-only", str(target)).code == 0
    refused = dmd(running, "backup", "--metadata-only", str(target))
    assert (refused.code, "exists already" in refused.errors) == (EX_CONFIG, True)
    file = tmp_path / "dump"
    file.write_text("")
    assert dmd(running, "dump", str(file)).code == EX_CONFIG
    assert file.read_text() == ""
    refused = dmd(running, "restore", "--metadata-only", str(target))
    assert (refused.code, "another daemon" in refused.errors) == (EX_CONFIG, True)
    restored = new_folder(tmp_path)
    assert dmd(running, "restore", "--metadata-only", str(target), metadata=restored).code == 0
    refused = dmd(running, "restore", "--metadata-only", str(target), metadata=restored)
    assert (refused.code, "already" in refused.errors) == (EX_CONFIG, True)


@pytest.mark.parametrize("command", ["check", "stats", "dump"])
def test_a_directory_without_a_store(running: Cluster, tmp_path: Path, command: str) -> None:
    finished = dmd(running, command, metadata=new_folder(tmp_path))
    assert finished.code == EX_CONFIG
    assert "there is no metadata store" in finished.errors
    assert finished.errors.count("\n") == 1


def test_what_is_no_backup_is_refused(running: Cluster, tmp_path: Path) -> None:
    finished = dmd(
        running, "restore", "--metadata-only", str(tmp_path), metadata=new_folder(tmp_path)
    )
    assert (finished.code, "this is no backup" in finished.errors) == (EX_CONFIG, True)


def test_problems_show_in_the_exit_code(running: Cluster, tmp_path: Path) -> None:
    lines = dmd(running, "dump").output.splitlines()
    header, *records, trailer = lines
    orphan = {"s": ["nowhere"], "k": CONTROL, "v": "{}", "r": 1}
    counted = json.dumps({"records": json.loads(trailer)["records"] + 1})
    file = tmp_path / "dump"
    file.write_text("\n".join([header, *records, json.dumps(orphan), counted]) + "\n")
    restored = new_folder(tmp_path)
    loaded = dmd(running, "load", str(file), metadata=restored)
    assert loaded.code == 1
    assert "no-bucket: nowhere/: it holds objects of no bucket" in loaded.output
    document = dmd(running, "check", "--json", metadata=restored).document
    assert [problem["kind"] for problem in document["problems"]] == ["no-bucket"]
