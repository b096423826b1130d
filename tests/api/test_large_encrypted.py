"""Large encrypted objects, whose blobs a front-end reads itself where it is beside the daemon."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from s3front.encryption.segments import HEADER_BYTES, SEGMENT_BYTES, TAG_BYTES, stored_size
from tests.api.encrypting import ALGORITHM, encrypting_cluster
from tests.faults.damage import damage
from tests.memory_watch import memory_watched
from tests.raw_http import Connection, call, sign
from tests.servers import Cluster, Front, make_tls, process_tree, wait_for

MIB = 1024 * 1024
SIZE = 20 * MIB + 17
CONTENT = random.Random(1).randbytes(SIZE)
STORED_BYTES = SEGMENT_BYTES + TAG_BYTES
FRONTS = ("beside", "away", "over TLS")
TO_HERE = 9 * SEGMENT_BYTES + 5
READERS = 80
"""More of them than may have a file open at once."""

READER_BYTES_MAX = 3 * MIB // 4
KEPT_BYTES_MAX = 24 * MIB
"""What a process keeps of what it took, so as to have it at hand."""


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("large-encrypted")
    with encrypting_cluster(folder) as running:
        running.add_front(beside=False)
        running.add_front(tls=make_tls(folder))
        yield running


@pytest.fixture(scope="module")
def front(encrypting: Cluster) -> Front:
    """The one beside the daemons, which by now knows that it is."""
    found = encrypting.fronts[0]
    assert call(found, "PUT", "/first").status == 200
    path = put(encrypting, "/first/key")

    def is_known() -> bool:
        with reading(found, "/first/key"):
            return path in opened(found)

    wait_for(is_known, "blobs to be read without the daemon")
    return found


@pytest.fixture(params=FRONTS)
def each_front(request: pytest.FixtureRequest, encrypting: Cluster, front: Front) -> Front:
    assert front is encrypting.fronts[0]
    return encrypting.fronts[FRONTS.index(request.param)]


@pytest.fixture
def target(front: Front, encrypting: Cluster) -> str:
    """Of an object that is not there yet."""
    bucket = f"bucket-{os.urandom(6).hex()}"
    assert call(front, "PUT", f"/{bucket}").status == 200
    return f"/{bucket}/key"


def put(encrypting: Cluster, target: str) -> Path:
    """Store the content; returns the file of its blob."""
    before = files(encrypting)
    response = call(encrypting.fronts[0], "PUT", target, CONTENT, {ALGORITHM: "AES256"})
    assert response.status == 200, response.body
    (found,) = files(encrypting) - before
    return found


def files(encrypting: Cluster) -> set[Path]:
    """Those of such blobs."""
    return {
        path
        for path in (encrypting.folder / "data").glob("[0-9]*/*")
        if path.stat().st_size == stored_size(SIZE)
    }


def opened(front: Front) -> set[Path]:
    """The files that a front-end has open."""
    found = set()
    for pid in (front.process.pid, *process_tree(front.process.pid)):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed meanwhile
                found.add(link.readlink())
    return found


@contextmanager
def reading(front: Front, target: str, receive_buffer_bytes: int = 4096) -> Iterator[Connection]:
    """A client to whom an answer has begun to come, and who takes no more of it."""
    with Connection(front, receive_buffer_bytes=receive_buffer_bytes) as connection:
        connection.send(sign(front, "GET", target))
        connection.wait_for_bytes(b"HTTP/1.1 200")
        yield connection


def body_of(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[2]


def spoil(path: Path, at: int) -> None:
    """Change the stored byte that belongs to a plain one."""
    segment, offset = divmod(at, SEGMENT_BYTES)
    stored = HEADER_BYTES + segment * STORED_BYTES + offset
    damage(path, "flip", random.Random(at), within=(stored, stored + 1))


def test_all_of_it_and_parts(each_front: Front, encrypting: Cluster, target: str) -> None:
    put(encrypting, target)
    whole = call(each_front, "GET", target)
    assert (whole.status, whole.body) == (200, CONTENT)
    for start, end in (
        (0, SIZE - 1),
        (1, SIZE - 2),
        (SEGMENT_BYTES - 1, 3 * MIB),
        (5 * MIB - 3, 7 * MIB + 2),
        (SIZE - 2 * MIB, SIZE - 1),
        (SIZE - 1, SIZE - 1),
    ):
        part = call(each_front, "GET", target, headers={"Range": f"bytes={start}-{end}"})
        assert (part.status, part.body == CONTENT[start : end + 1]) == (206, True), (start, end)


def test_a_blob_that_is_deleted_meanwhile_is_read_to_its_end(
    front: Front, encrypting: Cluster, target: str
) -> None:
    path = put(encrypting, target)
    with reading(front, target, 256 * 1024) as connection:
        assert path in opened(front)
        path.unlink()
        assert connection.receive().body == CONTENT
    wait_for(lambda: not any(path.name in each.name for each in opened(front)), "it to be closed")


@pytest.mark.parametrize("cut", [HEADER_BYTES, HEADER_BYTES + 160 * STORED_BYTES, SIZE // 2, SIZE])
def test_a_blob_that_is_cut_off_meanwhile(
    front: Front, encrypting: Cluster, target: str, cut: int
) -> None:
    """At the end of a segment, and in one. Some of it is on its way by then. Only where it is read
    beside the data service: that has the blobs mapped which it sends, and ends when one of them
    gets shorter under it."""
    path = put(encrypting, target)
    with reading(front, target, 64 * 1024) as connection:
        os.truncate(path, cut)
        came = body_of(connection.rest())
    assert len(came) < SIZE
    assert CONTENT.startswith(came)
    assert call(front, "GET", target).status in (500, 503)


@pytest.mark.parametrize("at", [TO_HERE, SIZE // 2, SIZE - 1])
def test_a_byte_that_was_altered(
    each_front: Front, encrypting: Cluster, target: str, at: int
) -> None:
    """The answer ends before its segment; parts without it are well."""
    spoil(put(encrypting, target), at)
    with reading(each_front, target, 256 * 1024) as connection:
        came = body_of(connection.rest())
    assert len(came) <= at // SEGMENT_BYTES * SEGMENT_BYTES
    assert CONTENT.startswith(came)
    before = {"Range": f"bytes=5-{at // SEGMENT_BYTES * SEGMENT_BYTES - 1}"}
    part = call(each_front, "GET", target, headers=before)
    assert part.body == CONTENT[5 : at // SEGMENT_BYTES * SEGMENT_BYTES]
    touching = {"Range": f"bytes={at - 3}-{at}"}
    refused = call(each_front, "GET", target, headers=touching)
    assert (refused.status, refused.error["Code"]) == (500, "InternalError")
    source = {"x-amz-copy-source": target}
    assert call(each_front, "PUT", f"{target}-copy", headers=source).status in (500, 503)


def test_the_first_byte_that_was_altered(
    each_front: Front, encrypting: Cluster, target: str
) -> None:
    spoil(put(encrypting, target), 0)
    refused = call(each_front, "GET", target)
    assert (refused.status, refused.error["Code"]) == (500, "InternalError")


def test_a_blob_that_is_missing_is_no_object(
    each_front: Front, encrypting: Cluster, target: str
) -> None:
    put(encrypting, target).unlink()
    refused = call(each_front, "GET", target)
    assert (refused.status, refused.error["Code"]) == (500, "InternalError")


def test_slow_readers_cost_little(front: Front, encrypting: Cluster, target: str) -> None:
    """Those for whom there is no room get the bytes from the daemon; and all of it comes back."""
    path = put(encrypting, target)
    before = len(opened(front))
    with memory_watched(encrypting) as peaks, ExitStack() as clients:
        with reading(front, target):
            wait_for(lambda: f"{front.process.name} {front.process.pid}" in peaks, "a first look")
        at_first = max(size for name, size in peaks.items() if "s3front-1" in name)
        for _ in range(READERS):
            clients.enter_context(reading(front, target))
        assert call(front, "GET", target).body == CONTENT
        at_most = max(size for name, size in peaks.items() if "s3front-1" in name)
        grown = (at_most - at_first) / MIB
        print(f"{grown:.0f} MiB for {READERS} readers")
        assert at_most - at_first < READERS * READER_BYTES_MAX + KEPT_BYTES_MAX, peaks
    wait_for(lambda: path not in opened(front), "the file to be closed")
    assert len(opened(front)) <= before + 2
