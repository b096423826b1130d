"""``dmd scrub`` and ``dmd check`` on blobs that are well, damaged, too short or not there."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from shared.blob_files import directory_number
from shared.segment_records import HEADER_BYTES, place_of
from tests.api.jobs import Finished, dmd
from tests.faults.damage import damage
from tests.faults.stores import blobs_of, stored_records
from tests.load import Load
from tests.multipart import begin_upload, completion, send_part
from tests.raw_http import call
from tests.servers import Cluster, cluster, wait_for

SMALL, LARGE = b"small bytes", b"large bytes" * 40_000
PARTS = {1: b"1" * 5_300_000, 2: b"two"}
KEYS = ("small", "large", "assembled")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with a packed blob, a file, an object of two parts and a part under way."""
    with cluster(tmp_path / "cluster", settings={"deleteDelaySeconds": 0}) as started:
        front = started.fronts[0]
        assert call(front, "PUT", "/bucket").status == 200
        assert call(front, "PUT", "/bucket/small", SMALL).status == 200
        assert call(front, "PUT", "/bucket/large", LARGE).status == 200
        assert call(front, "PUT", "/bucket/empty", b"", {"Content-Length": "0"}).status == 200

        def send(
            method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
        ) -> Any:
            return call(front, method, target, body, headers)

        upload = begin_upload(send, "/bucket/assembled")
        for number, body in PARTS.items():
            assert send_part(send, "/bucket/assembled", upload, number, body).status == 200
        target = f"/bucket/assembled?uploadId={upload}"
        assert send("POST", target, completion(PARTS)).status == 200
        upload = begin_upload(send, "/bucket/under-way")
        assert send_part(send, "/bucket/under-way", upload, 1, SMALL).status == 200
        yield started


def blobs(running: Cluster, key: str) -> list[str]:
    """The blobs of an object."""
    return blobs_of({key: stored_records(running, ["bucket"])["bucket"][key]})


def file_of(running: Cluster, blob: str) -> tuple[Path, int]:
    """Where the bytes of a blob lie: a file, and the offset in it."""
    data = running.folder / "data"
    path = data / str(directory_number(blob)) / blob
    if path.exists():
        return path, 0
    place = place_of(blob)
    return data / "packed" / f"{place.segment:08x}.segment", place.offset + HEADER_BYTES


def flip(running: Cluster, blob: str) -> None:
    """Change one bit of a blob on disk."""
    path, offset = file_of(running, blob)
    with path.open("r+b") as file:
        file.seek(offset + 5)
        byte = file.read(1)[0]
        file.seek(offset + 5)
        file.write(bytes((byte ^ 4,)))


def scrub(running: Cluster, *options: str, **others: Any) -> Finished:
    return dmd(running, "scrub", "--json", "--rate", "1000", *options, **others)


def check(running: Cluster, *options: str) -> list[tuple[str, str]]:
    """Kind and key of what ``dmd check`` reports."""
    finished = dmd(running, "check", "--json", *options)
    problems = finished.document["problems"]
    assert finished.code == (1 if problems else 0)
    return [(problem["kind"], problem["key"]) for problem in problems]


def damaged(finished: Finished) -> list[str]:
    """The keys whose blobs a scrub found damaged."""
    found = finished.document
    assert finished.code == (1 if found["damaged"] else 0), finished.errors
    assert found["damaged"] == len(found["damage"])
    assert found["complete"]
    return [entry["key"] for entry in found["damage"]]


@pytest.mark.parametrize("live", [True, False])
def test_stores_that_are_well(running: Cluster, live: bool) -> None:
    if not live:
        running.stop()
    finished = scrub(running)
    assert damaged(finished) == []
    found = finished.document
    sizes = [SMALL, LARGE, *PARTS.values(), SMALL]
    assert (found["blobs"], found["bytes"], found["unverified"]) == (5, sum(map(len, sizes)), 0)
    assert check(running) == check(running, "--deep") == []
    assert "5 blobs" in dmd(running, "scrub", "--rate", "1000").output


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("live", [True, False])
def test_a_flipped_bit_is_found(running: Cluster, key: str, live: bool) -> None:
    blob = blobs(running, key)[0]
    if not live:
        running.stop()
    flip(running, blob)
    assert check(running, "--deep") == [("damaged-data", key)]
    finished = scrub(running)
    assert damaged(finished) == [key]
    (damage,) = finished.document["damage"]
    assert (damage["sub_level"], damage["version"], damage["blob"]) == (["bucket"], None, blob)
    text = dmd(running, "scrub", "--rate", "1000").output
    assert f"damaged: bucket/{key}: blob {blob}: " in text


def test_a_flipped_bit_of_a_packed_blob_is_never_served(running: Cluster) -> None:
    """It has a checksum of its own, which the daemon verifies."""
    (blob,) = blobs(running, "small")
    flip(running, blob)
    url = f"http://127.0.0.1:{running.data_port}/DataFile/{blob}"
    response = requests.get(url, timeout=10)
    assert (response.status_code, b"damaged" in response.content) == (500, True)
    assert call(running.fronts[0], "GET", "/bucket/small").status == 500


def test_a_damaged_record_is_found_and_told_once(running: Cluster) -> None:
    mark = {"x-amz-meta-mark": "the mark of this object"}
    assert call(running.fronts[0], "PUT", "/bucket/marked", b"marked", mark).status == 200
    store = running.folder / "metadata" / "metadata.lmdb"
    # Pages that are not in use any more may have it, too.
    for found in re.finditer(b"the mark of this object", store.read_bytes()):
        damage(store, "flip", random.Random(1), within=found.span())
    assert damaged(scrub(running)) == ["marked"]
    told = dmd(running, "scrub", "--rate", "1000")
    assert "damaged: bucket/marked: the record does not match its checksum\n" in told.output
    assert check(running, "--deep") == [("damaged", "marked")]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("key", KEYS)
def test_a_missing_blob_is_found(running: Cluster, key: str, live: bool) -> None:
    url = f"http://127.0.0.1:{running.data_port}/DataFile/{blobs(running, key)[-1]}"
    assert requests.delete(url, timeout=10).status_code == 204
    if not live:
        running.stop()
    assert check(running) == [("missing-data", key)]
    assert check(running, "--metadata-only") == []
    assert damaged(scrub(running)) == [key]


def test_a_blob_that_was_cut_off_is_found(running: Cluster) -> None:
    path, _ = file_of(running, blobs(running, "large")[0])
    os.truncate(path, len(LARGE) - 1)
    path, _ = file_of(running, blobs(running, "assembled")[0])
    os.truncate(path, len(PARTS[1]) - 1)
    assert check(running) == [("data-length", "assembled"), ("damaged-data", "large")]
    assert damaged(scrub(running)) == ["assembled", "large"]


def test_blobs_that_are_nobodys_are_counted(running: Cluster) -> None:
    url = f"http://127.0.0.1:{running.data_port}/DataFile/"
    key = requests.put(url, data=SMALL, timeout=10).headers["Location"].rpartition("/")[2]
    assert "belong to nobody" not in dmd(running, "check").output
    running.stop()
    config = running.folder / "config.json"
    short = {"gcGraceSeconds": 1, "metadataClient": {"host": "127.0.0.1", "callTimeoutMs": 400}}
    config.write_text(json.dumps(json.loads(config.read_text()) | short))

    def told() -> bool:
        return "1 blobs of 11 bytes belong to nobody: see `dmd gc`" in dmd(running, "check").output

    wait_for(told, "the grace to be over")
    assert dmd(running, "check", "--json").document["garbage"]["examples"] == [key]


def test_a_scrub_goes_on_where_it_was_killed(running: Cluster, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    flip(running, blobs(running, "assembled")[0])
    assert call(running.fronts[0], "PUT", "/bucket/the-last", PARTS[1]).status == 200
    # Some seconds for each of the two that are large.
    slow = [sys.executable, "-m", "dmd", "scrub", "--rate", "1", "--state", str(state)]
    with subprocess.Popen(slow, env={**os.environ, **running.dmd_metadata.environ}) as process:
        wait_for(lambda: state.exists() and saved(state)["blobs"] >= 2, "some progress", 60)
        process.send_signal(signal.SIGKILL)
    before = saved(state)
    assert (before["complete"], before["damaged"]) == (False, 1)
    finished = scrub(running, "--state", str(state))
    assert damaged(finished) == ["assembled"]
    assert finished.document["blobs"] == 6
    assert saved(state)["complete"]
    # Now it begins anew.
    assert scrub(running, "--state", str(state)).document["blobs"] == 6


def saved(state: Path) -> Any:
    return json.loads(state.read_text())


def test_a_scrub_that_cannot_run_says_so(running: Cluster, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text("{}")
    finished = scrub(running, "--state", str(state))
    assert (finished.code, finished.errors.count("\n")) == (2, 1)
    assert str(state) in finished.errors
    finished = scrub(running, metadata=tmp_path)
    assert (finished.code, "there is no metadata store" in finished.errors) == (2, True)


def test_under_load_nothing_is_reported(running: Cluster) -> None:
    """Objects come and go, and their bytes at once with them."""
    with Load("busy", running.fronts) as load:
        for _ in range(3):
            load.wait_for_writes(20)
            assert check(running) == []
            assert damaged(scrub(running)) == []
        load.end()
