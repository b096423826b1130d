"""``dmd gc`` beside servers at work, and without them."""

from __future__ import annotations

import json
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.failpoints import FailPoint
from tests.api.jobs import EX_CONFIG, Finished, dmd
from tests.faults.processes import GC_POINTS
from tests.raw_http import call
from tests.servers import Cluster, Tls, cluster, wait_for
from tests.unit.dmd.data.harness import keys_in

SMALL, LARGE = b"small garbage", b"large garbage" * 30_000
SETTINGS = {
    "deleteDelaySeconds": 0,
    "gcGraceSeconds": 1,
    "gcQuarantineSeconds": 1,
    "metadataClient": {"callTimeoutMs": 400},
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with two objects and a part, and with two blobs that no record names."""
    with cluster(tmp_path / "cluster", settings=SETTINGS) as started:
        front = started.fronts[0]
        assert call(front, "PUT", "/bucket").status == 200
        for name, body in (("small", SMALL), ("large", LARGE)):
            assert call(front, "PUT", f"/bucket/{name}", body).status == 200
        yield started


def store(running: Cluster, body: bytes) -> str:
    """Store a blob that no record names."""
    url = f"http://127.0.0.1:{running.data_port}/DataFile/"
    return requests.put(url, data=body, timeout=10).headers["Location"].rpartition("/")[2]


def status_of(running: Cluster, key: str) -> int:
    """What a GET of a blob is answered with; it takes the blob out of quarantine."""
    url = f"http://127.0.0.1:{running.data_port}/DataFile/{key}"
    return requests.get(url, timeout=10).status_code


def gc(running: Cluster, *options: str, **others: Any) -> Finished:
    return dmd(running, "gc", "--json", *options, **others)


def counts(finished: Finished) -> dict[str, int]:
    """How many blobs were judged how."""
    assert finished.code in (0, 1), finished.errors
    document = finished.document
    return {name: tally["blobs"] for name, tally in document.items() if name != "applied"}


def gc_until(running: Cluster, verdict: str, blobs: int) -> Finished:
    """Collect until so many blobs have been judged so: until they are old enough, which one may be
    a run before another. Returns the last run."""
    found: list[Finished] = []

    def collected() -> bool:
        found.append(gc(running, "--apply"))
        return sum(counts(each)[verdict] for each in found) == blobs

    wait_for(collected, f"{blobs} blobs to be judged {verdict}")
    return found[-1]


def gc_until_none(running: Cluster, verdict: str) -> None:
    """Collect until no blob is judged so any more."""
    wait_for(lambda: not counts(gc(running, "--apply"))[verdict], f"no blob to be judged {verdict}")


def everything(running: Cluster) -> set[str]:
    """The keys of all blobs, in use and in quarantine."""
    data = running.folder / "data"
    return keys_in(data) | {path.name for path in (data / "quarantine").iterdir()}


def live_objects_are_whole(running: Cluster) -> None:
    for name, body in (("small", SMALL), ("large", LARGE)):
        assert call(running.fronts[0], "GET", f"/bucket/{name}").body == body


def test_garbage_is_quarantined_and_then_removed(running: Cluster) -> None:
    before = everything(running)
    garbage = {store(running, SMALL), store(running, LARGE)}
    gc(running, "--adopt")
    assert counts(gc(running, "--apply", "--grace", "3600"))["spare"] == 2
    found = gc_until(running, "quarantine", 2).document["quarantine"]
    assert found["bytes"] == len(SMALL) + len(LARGE)
    assert set(found["examples"]) == garbage
    assert everything(running) == before | garbage
    gc_until(running, "purge", 2)
    assert everything(running) == before
    assert counts(gc(running, "--apply")) == {
        "keep": 2,
        "spare": 0,
        "quarantine": 0,
        "wait": 0,
        "purge": 0,
        "restore": 0,
    }
    live_objects_are_whole(running)


def test_a_dry_run_changes_nothing(running: Cluster) -> None:
    store(running, SMALL)
    gc(running, "--adopt")
    wait_for(lambda: counts(gc(running))["quarantine"] == 1, "the grace to be over")
    before = everything(running)
    text = dmd(running, "gc").output
    assert "1 blobs, 13 bytes: garbage, to be put into quarantine" in text
    assert "nothing was changed" in text
    assert (everything(running), list((running.folder / "data" / "quarantine").iterdir())) == (
        before,
        [],
    )
    assert counts(gc(running))["quarantine"] == 1


@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_garbage_that_is_read_comes_back(running: Cluster, body: bytes) -> None:
    key = store(running, body)
    gc(running, "--adopt")
    gc_until(running, "quarantine", 1)
    assert status_of(running, key) == 200
    # Its wait begins again.
    assert counts(gc(running, "--apply")) | {"keep": 0} == {
        "keep": 0,
        "spare": 0,
        "quarantine": 1,
        "wait": 0,
        "purge": 0,
        "restore": 0,
    }
    gc_until(running, "purge", 1)
    assert status_of(running, key) == 404


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_quarantined_blob_that_a_record_names_is_put_back(running: Cluster, name: str) -> None:
    gc(running, "--adopt")
    (wanted,) = (key for key in everything(running) if has_size(running, key, name))
    url = f"http://127.0.0.1:{running.data_port}/DataFile/{wanted}?quarantine"
    assert requests.post(url, timeout=10).status_code == 204
    said = gc(running)
    assert (said.code, counts(said)["restore"]) == (1, 1)
    done = gc(running, "--apply")
    assert (done.code, counts(done)["restore"]) == (1, 1)
    assert done.document["restore"]["examples"] == [wanted]
    assert "named by a record" in done.errors
    assert counts(gc(running))["restore"] == 0
    live_objects_are_whole(running)


def has_size(running: Cluster, key: str, name: str) -> bool:
    size = len({"small": SMALL, "large": LARGE}[name])
    url = f"http://127.0.0.1:{running.data_port}/DataFile/{key}"
    return len(requests.get(url, timeout=10).content) == size


def test_everything_that_is_named_is_kept(running: Cluster) -> None:
    """Parts, deletions that wait, an object that was copied: whoever names it, keeps it."""
    front = running.fronts[0]
    upload = call(front, "POST", "/bucket/upload?uploads").xml.findtext("UploadId", "")
    part = f"/bucket/upload?partNumber=1&uploadId={upload}"
    assert call(front, "PUT", part, LARGE).status == 200
    copied = call(front, "PUT", "/bucket/copy", b"", {"x-amz-copy-source": "/bucket/large"})
    assert copied.status == 200
    gc(running, "--adopt")
    garbage = store(running, SMALL)
    done = gc_until(running, "quarantine", 1)
    assert done.document["quarantine"]["examples"] == [garbage]
    assert counts(done)["keep"] == 4


def test_it_works_on_directories_that_nobody_serves(running: Cluster) -> None:
    garbage = {store(running, SMALL), store(running, LARGE)}
    running.stop()
    gc(running, "--adopt")
    gc_until(running, "quarantine", 2)
    gc_until(running, "purge", 2)
    assert everything(running).isdisjoint(garbage)
    running.start_daemons()
    running.fronts[0].start()
    live_objects_are_whole(running)


def copy_of_metadata(running: Cluster, tmp_path: Path) -> Path:
    """A metadata directory as somebody may have it for tests."""
    restored = tmp_path / "restored"
    restored.mkdir()
    assert dmd(running, "backup", "--metadata-only", str(tmp_path / "backup")).code == 0
    assert (
        dmd(running, "restore", "--metadata-only", str(tmp_path / "backup"), metadata=restored).code
        == 0
    )
    return restored


def refused(finished: Finished, text: str) -> bool:
    assert finished.errors.count("\n") == 1
    return finished.code == EX_CONFIG and text in finished.errors


def test_metadata_that_was_not_adopted_is_refused(running: Cluster, tmp_path: Path) -> None:
    assert refused(gc(running), "--adopt")
    assert refused(gc(running, "--adopt", "--apply"), "look at what would be done")
    assert refused(gc(running), "--adopt")
    assert gc(running, "--adopt").code == 0
    assert gc(running).code == 0
    other = copy_of_metadata(running, tmp_path)
    (other / "uuid").write_text(str(uuid.uuid4()))
    assert refused(gc(running, "--apply", metadata=other), "--adopt")
    about = json.loads((running.folder / "data" / "about.json").read_text())
    assert about["owners"] == [(running.folder / "metadata" / "uuid").read_text()]


def test_all_metadata_must_be_given(running: Cluster, tmp_path: Path) -> None:
    other = copy_of_metadata(running, tmp_path)
    retired = str(uuid.uuid4())
    (other / "uuid").write_text(retired)
    running.stop()
    assert gc(running, "--adopt", "--also-metadata", str(other)).code == 0
    assert refused(gc(running), retired)
    assert gc(running, "--also-metadata", str(other)).code == 0
    assert refused(gc(running, "--disown", "no UUID"), "disown needs a UUID")
    assert gc(running, "--disown", retired).code == 0
    assert gc(running).code == 0


def test_a_copy_of_the_metadata_is_refused_beside_a_running_daemon(
    running: Cluster, tmp_path: Path
) -> None:
    assert gc(running, "--adopt").code == 0
    other = copy_of_metadata(running, tmp_path)
    assert refused(gc(running, metadata=other), "is it a copy?")


def test_a_shorter_grace_than_the_front_ends_know_is_refused(running: Cluster) -> None:
    assert refused(gc(running, "--grace", "0"), "gcGraceSeconds")
    store(running, SMALL)
    gc(running, "--adopt")
    wait_for(lambda: counts(gc(running))["quarantine"] == 1, "the grace to be over")
    assert counts(gc(running, "--grace", "3600"))["spare"] == 1


def test_damaged_metadata_is_refused(running: Cluster) -> None:
    gc(running, "--adopt")
    store(running, SMALL)
    wait_for(lambda: counts(gc(running))["quarantine"] == 1, "the grace to be over")
    running.stop()
    path = running.folder / "metadata" / "metadata.lmdb"
    # Old pages hold old copies, so all are damaged.
    path.write_bytes(path.read_bytes().replace(b"owner-display-name", b"owner-display-nbme"))
    assert refused(gc(running, "--apply"), "checksum")


def test_two_collections_do_not_run_at_once(running: Cluster) -> None:
    import fcntl

    gc(running, "--adopt")
    with (running.folder / "metadata" / "gc.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refused(gc(running), "running already")


@pytest.mark.parametrize("point", sorted(GC_POINTS))
def test_a_collection_that_is_killed_does_no_harm(running: Cluster, point: FailPoint) -> None:
    before = everything(running)
    store(running, SMALL)
    store(running, LARGE)
    gc(running, "--adopt")
    wait_for(lambda: counts(gc(running))["quarantine"] == 2, "the grace to be over")

    def killed() -> bool:
        finished = dmd(running, "gc", "--apply", failpoint=str(point))
        return finished.code == -signal.SIGKILL

    wait_for(killed, f"death at {point}")
    if point is not FailPoint.AFTER_GC_PURGE:
        gc_until_none(running, "quarantine")
    wait_for(lambda: gc(running, "--apply").code == 0 and everything(running) == before, "the end")
    live_objects_are_whole(running)


def test_a_data_daemon_that_dies_is_a_clear_error(running: Cluster) -> None:
    for _ in range(3):
        store(running, SMALL)
    gc(running, "--adopt")
    wait_for(lambda: counts(gc(running))["quarantine"] == 3, "the grace to be over")
    gc_until(running, "quarantine", 3)
    running.dmd_data.kill()
    running.dmd_data.start(str(FailPoint.AFTER_DATA_UNLINK))
    running.wait_for_daemons()
    finished: list[Finished] = []

    def died() -> bool:
        finished[:] = [gc(running, "--apply")]
        return finished[0].code != 0

    wait_for(died, "the data daemon to die")
    assert refused(finished[0], "data daemon at")
    running.dmd_data.kill()
    running.start_daemons()
    gc_until_none(running, "purge")
    live_objects_are_whole(running)


@pytest.mark.parametrize("command", ["gc", "scrub", "check"])
def test_jobs_are_let_in_by_what_is_configured(tmp_path: Path, tls: Tls, command: str) -> None:
    port = {"certFilePaths": {"key": str(tls.key), "cert": str(tls.certificate)}}
    settings = {
        "daemonSecret": "a-secret-of-the-daemons",
        "dataDaemon": port,
        "dataClient": {"tls": {"ca": str(tls.authority)}},
    }
    with cluster(tmp_path / "cluster", fronts=0, settings=settings) as started:
        assert gc(started, "--adopt").code == 0
        assert dmd(started, command).code == 0
        config = started.folder / "config.json"
        document = json.loads(config.read_text())
        config.write_text(json.dumps(document | {"daemonSecret": "another-secret-than-that"}))
        refusal = dmd(started, command)
        assert (refusal.code != 0, "403" in refusal.errors) == (True, True)
        del document["dataClient"]["tls"]
        config.write_text(json.dumps(document))
        refusal = dmd(started, command)
        assert refusal.code != 0
        assert "data daemon at" in refusal.errors
        assert refusal.errors.count("\n") == 1


def test_without_a_daemon_and_a_directory_there_is_nothing_to_do(running: Cluster) -> None:
    running.stop()
    shutil.rmtree(running.folder / "data")
    assert refused(gc(running), "no data daemon listens")
