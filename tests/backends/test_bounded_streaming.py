"""Objects of many bytes pass through every type of locations in little memory, in both directions,
however slow a client is, or a place that others run.

The processes that are looked at are the server's own, but for the daemon that keeps locations of
type ``mem`` where they are meant to be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path

import pytest

from s3front.auth.sigv4 import PayloadForm
from tests.backends.outage_stage import OutageStage, outage_stage
from tests.backends.places import CHOSEN, PLACE, Place, Server, new_bucket, server
from tests.clients_boto3 import s3_client
from tests.memory_watch import memory_watched
from tests.raw_http import Connection, Response, sign
from tests.servers import Front, process_tree

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))
MIB = 1024**2
BYTES = 5 * 1024 * MIB if SOAK else 512 * MIB
SLOW_BYTES = 512 * MIB if SOAK else 96 * MIB
MEMORY_BYTES_MAX = 200 * MIB
BLOCK = os.urandom(MIB)
SLOW_PAUSE_SECONDS = 0.002
"""For each 64 KiB: some 25 MiB/s."""


def digest_of(size: int) -> str:
    digest = md5(usedforsecurity=False)
    for _ in range(size // MIB):
        digest.update(BLOCK)
    return digest.hexdigest()


def put(front: Front, target: str, size: int, pause_seconds: float = 0.0) -> Response:
    """Send so many bytes as fast as they are taken, or with a pause after each MiB."""
    with Connection(front) as connection:
        headers = {"Content-Length": str(size)}
        payload = PayloadForm.UNSIGNED.value
        connection.send(sign(front, "PUT", target, headers=headers, payload=payload))
        for _ in range(size // MIB):
            connection.send(BLOCK)
            time.sleep(pause_seconds)  # how slow the client is
        return connection.receive()


def digest_read(front: Front, bucket: str, key: str, pause_seconds: float = 0.0) -> str:
    """The MD5 of an object, read with a pause after each MiB."""
    digest = md5(usedforsecurity=False)
    s3 = s3_client(front, read_timeout=120)
    for block in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(MIB):
        digest.update(block)
        time.sleep(pause_seconds)  # how slow the client is
    return digest.hexdigest()


def assert_little(peaks: dict[str, int], but: frozenset[int] = frozenset()) -> None:
    watched = {name: peak for name, peak in peaks.items() if int(name.split()[-1]) not in but}
    assert watched
    print({name: f"{peak / MIB:.0f} MiB" for name, peak in watched.items()})
    assert max(watched.values()) < MEMORY_BYTES_MAX, watched


@pytest.fixture(scope="module", params=CHOSEN, ids=[place.type for place in CHOSEN])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of one type, whose processes share no memory with the tests'."""
    place: Place = request.param
    with server(place, tmp_path_factory.mktemp(place.type), forked=False) as running:
        yield running


def keepers(whole: Server) -> frozenset[int]:
    """The processes that have to keep all bytes in memory."""
    tree = process_tree(whole.front.process.pid)
    return frozenset(tree[:1] if whole.place.type == "mem" else ())


@pytest.mark.timeout(1800 if SOAK else 240)
def test_a_large_object_needs_little_memory(whole: Server) -> None:
    front = whole.front
    bucket = new_bucket(whole.client(), PLACE)
    with memory_watched(whole.cluster) as peaks:
        response = put(front, f"/{bucket}/large", BYTES)
        assert (response.status, response.headers["ETag"]) == (200, f'"{digest_of(BYTES)}"')
        assert digest_read(front, bucket, "large") == digest_of(BYTES)
    assert_little(peaks, keepers(whole))


@pytest.mark.timeout(900 if SOAK else 240)
def test_nothing_is_gathered_for_a_slow_client(whole: Server) -> None:
    front = whole.front
    bucket = new_bucket(whole.client(), PLACE)
    pause = SLOW_PAUSE_SECONDS * 16
    with memory_watched(whole.cluster) as peaks:
        assert put(front, f"/{bucket}/slow", SLOW_BYTES, pause).status == 200
        assert digest_read(front, bucket, "slow", pause) == digest_of(SLOW_BYTES)
    assert_little(peaks, keepers(whole))


@pytest.mark.timeout(1800 if SOAK else 240)
@pytest.mark.parametrize("place", CHOSEN if SOAK else CHOSEN[:1], ids=lambda place: place.name)
def test_an_encrypted_object_needs_little_memory(place: Place, tmp_path: Path) -> None:
    """Whole, and by ranges that end within segments."""
    size = BYTES if SOAK else 128 * MIB
    with server(place, tmp_path, forked=False, is_default=True, encrypted=True) as running:
        front, s3 = running.front, running.client()
        bucket = new_bucket(s3, PLACE)
        with memory_watched(running.cluster) as peaks:
            response = put(front, f"/{bucket}/large", size)
            assert response.headers["ETag"] == f'"{digest_of(size)}"'
            assert response.headers["x-amz-server-side-encryption"] == "AES256"
            assert digest_read(front, bucket, "large") == digest_of(size)
            step = size // 4 + 12_345
            for start in range(0, size, step):
                end = min(start + step, size) - 1
                asked = {"Bucket": bucket, "Key": "large", "Range": f"bytes={start}-{end}"}
                at = start
                for block in s3.get_object(**asked)["Body"].iter_chunks(MIB):
                    offset = at % MIB
                    assert block == (BLOCK + BLOCK)[offset : offset + len(block)]
                    at += len(block)
                assert at == end + 1
        assert_little(peaks, keepers(running))


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStage]:
    """A location whose place is slow."""
    folder = tmp_path_factory.mktemp("slow")
    with outage_stage(folder, forked=False, grace_seconds=3600) as running:
        running.faults.pause_seconds = SLOW_PAUSE_SECONDS
        yield running


@pytest.mark.timeout(900 if SOAK else 240)
@pytest.mark.parametrize("clients", [1, 4])
def test_nothing_is_gathered_for_a_slow_place(slow: OutageStage, clients: int) -> None:
    size = SLOW_BYTES // clients
    keys = [f"slow-{number}" for number in range(clients)]
    with memory_watched(slow.running) as peaks, ThreadPoolExecutor(clients) as pool:
        puts = pool.map(lambda key: put(slow.front, f"/there/{key}", size).status, keys)
        assert set(puts) == {200}
        digests = pool.map(lambda key: digest_read(slow.front, "there", key), keys)
        assert set(digests) == {digest_of(size)}
    assert_little(peaks)
