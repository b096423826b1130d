"""A disk that is full: a clean error, nothing left behind, reads go on, and it passes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.disk import SmallDisk, small_disk
from tests.multipart import Send, begin_upload, send_part
from tests.raw_http import Response, call
from tests.servers import Cluster, wait_for

_MIB = 1 << 20
DISK_MIB = 24


def start(running: Cluster) -> Send:
    """Start a cluster with a bucket and an object; returns what sends requests to it."""
    running.start()
    send = partial(call, running.fronts[0])
    assert send("PUT", "/bucket").status == 200
    assert send("PUT", "/bucket/before", b"before" * 100_000).status == 200
    return send


def assert_full(response: Response) -> None:
    assert (response.status, response.error["Code"]) == (507, "InsufficientStorage")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that has not started yet."""
    cluster = Cluster(tmp_path, settings={"deleteDelaySeconds": 0})
    yield cluster
    cluster.stop()


@pytest.fixture
def data_disk(running: Cluster) -> Iterator[SmallDisk]:
    with small_disk(running.dmd_data, "S3DATAPATH", DISK_MIB) as disk:
        yield disk


@pytest.fixture
def metadata_disk(running: Cluster) -> Iterator[SmallDisk]:
    with small_disk(running.dmd_metadata, "S3METADATAPATH", DISK_MIB) as disk:
        yield disk


def files_of_blobs(disk: SmallDisk) -> set[str]:
    """Every file of the data directory that holds bytes of objects, complete or not."""
    return {str(path) for path in disk.root.glob("*/*") if _holds_bytes(path)}


def _holds_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def test_a_full_disk_of_the_data_daemon(running: Cluster, data_disk: SmallDisk) -> None:
    send = start(running)
    upload_id = begin_upload(send, "/bucket/parts")
    before = files_of_blobs(data_disk)
    data_disk.fill()
    for size in (10, 300_000, 2 * _MIB):
        assert_full(send("PUT", "/bucket/new", bytes(size)))
        assert_full(send("PUT", "/bucket/before", bytes(size)))
        assert_full(send_part(send, "/bucket/parts", upload_id, 1, bytes(size)))
    source = {"x-amz-copy-source": "/bucket/before"}
    assert_full(send("PUT", "/bucket/copy", b"", source))
    assert_full(send_part(send, "/bucket/parts", upload_id, 1, b"", source))
    assert files_of_blobs(data_disk) == before
    assert send("GET", "/bucket/new").status == 404
    assert send("GET", "/bucket/copy").status == 404
    assert send("GET", "/bucket/before").body == b"before" * 100_000
    assert not list(send("GET", f"/bucket/parts?uploadId={upload_id}").xml.iter("Part"))
    assert send("PUT", "/bucket/empty", b"", {"Content-Length": "0"}).status == 200
    assert send("DELETE", "/bucket/empty").status == 204
    data_disk.free()
    assert send("PUT", "/bucket/new", bytes(2 * _MIB)).status == 200
    assert send_part(send, "/bucket/parts", upload_id, 1, b"part").status == 200
    assert send("PUT", "/bucket/copy", b"", source).status == 200
    assert send("GET", "/bucket/copy").body == b"before" * 100_000


def test_a_disk_that_is_full_in_the_middle_of_an_upload(
    running: Cluster, data_disk: SmallDisk
) -> None:
    send = start(running)
    before = files_of_blobs(data_disk)
    assert_full(send("PUT", "/bucket/large", bytes((DISK_MIB + 8) * _MIB)))
    assert files_of_blobs(data_disk) == before
    assert send("GET", "/bucket/large").status == 404
    # What it had taken can be used again at once.
    assert send("PUT", "/bucket/large", bytes(DISK_MIB * _MIB // 2)).status == 200


def test_a_full_disk_of_the_metadata_daemon(running: Cluster, metadata_disk: SmallDisk) -> None:
    send = start(running)
    daemon = running.dmd_metadata.pid
    metadata_disk.fill()
    described = {"x-amz-meta-text": "x" * 1500}
    stored = 0
    # The file has pages to use again: some writes still fit.
    while (response := send("PUT", f"/bucket/{stored}", b"data", described)).status == 200:
        stored += 1
    assert_full(response)
    assert_full(send("PUT", "/bucket/new", b"data", described))
    for key in range(stored):
        assert send("GET", f"/bucket/{key}").body == b"data"
    assert send("GET", f"/bucket/{stored}").status == 404
    listed = send("GET", "/bucket?list-type=2").xml
    assert listed.findtext("KeyCount") == str(min(stored + 1, 1000))
    # Clients can make room by themselves: all their deletions are done, and then there is some.
    for key in range(stored):
        assert send("DELETE", f"/bucket/{key}").status == 204
        assert send("PUT", "/bucket/new", b"data", described).status in (200, 507)
    assert send("GET", "/bucket/0").status == 404
    metadata_disk.free()
    wait_for(
        lambda: send("PUT", "/bucket/new", b"data", described).status == 200, "room for metadata"
    )
    assert send("DELETE", "/bucket/before").status == 204
    assert send("GET", "/bucket/new").body == b"data"
    assert running.dmd_metadata.pid == daemon
    assert running.dmd_metadata.handle is not None
    assert running.dmd_metadata.handle.poll() is None, "it died of the full disk"
