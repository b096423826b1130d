"""A flipped byte on disk: never served to its end, never copied, and other objects are well."""

from __future__ import annotations

import http.client
import random
from pathlib import Path

import pytest

from shared.limits import PACKED_BLOB_BYTES
from tests.faults.damage import damage
from tests.faults.processes import stopped
from tests.multipart import begin_upload, upload_parts
from tests.raw_http import call, connected, sign
from tests.servers import Cluster, Front

SIZE = 3 * 1024 * 1024 + 17
REFUSED = (500, 503)
"""What was sent of a large blob before its damage showed ends with its connection, and that says
no more than that the daemon could not go on."""

PARTS = {1: b"a" * ((5 << 20) + 1), 2: b"b" * 300_000}


def place_of(cluster: Cluster, content: bytes) -> tuple[Path, int]:
    """The file that has the blob with this content, its own or a segment, and where it begins."""
    data = cluster.folder / "data"
    files = [
        path
        for folder in data.iterdir()
        if folder.name.isdigit() or folder.name == "packed"
        for path in folder.iterdir()
        if path.stat().st_size >= len(content)
    ]
    found = [(path, path.read_bytes().find(content)) for path in files]
    ((path, offset),) = [(path, offset) for path, offset in found if offset >= 0]
    return path, offset


def flip(place: tuple[Path, int], offset: int) -> None:
    path, start = place
    offset += start
    damage(path, "flip", random.Random(offset), within=(offset, offset + 1))


def whole(front: Front, target: str) -> bytes | None:
    """The body of a GET with 200; None when it does not come to its end."""
    try:
        response = call(front, "GET", target)
    except (http.client.HTTPException, OSError):
        return None
    return response.body if response.status == 200 else None


@pytest.mark.parametrize("size", [100_000, 300_000, SIZE])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_a_flipped_byte_is_neither_served_nor_copied(
    front: Front, shared_cluster: Cluster, bucket: str, size: int, at: float
) -> None:
    content, other = (random.Random(f"{size}{at}{name}").randbytes(size) for name in ("1", "2"))
    for key, body in (("key", content), ("other", other)):
        assert call(front, "PUT", f"/{bucket}/{key}", body).status == 200
    flip(place_of(shared_cluster, content), round(at * (size - 1)))
    assert whole(front, f"/{bucket}/key") is None
    source = {"x-amz-copy-source": f"/{bucket}/key"}
    assert call(front, "PUT", f"/{bucket}/copy", b"", source).status in REFUSED
    assert call(front, "HEAD", f"/{bucket}/copy").status == 404
    upload = begin_upload(lambda *request: call(front, *request), f"/{bucket}/parts")
    for number, part in enumerate([None, "bytes=0-9", f"bytes={size - 10}-{size - 1}"], start=1):
        wanted = source if part is None else {**source, "x-amz-copy-source-range": part}
        target = f"/{bucket}/parts?partNumber={number}&uploadId={upload}"
        assert call(front, "PUT", target, b"", wanted).status in REFUSED
    listed = call(front, "GET", f"/{bucket}/parts?uploadId={upload}")
    assert b"<Part>" not in listed.body
    assert whole(front, f"/{bucket}/other") == other
    # To where it is damaged, a file is there to be saved by whoever asks for a range.
    saved = call(front, "GET", f"/{bucket}/key", headers={"Range": f"bytes=10-{size // 2 - 10}"})
    assert saved.status == (206 if size > PACKED_BLOB_BYTES else 500)
    assert '"event":"a blob is damaged"' in shared_cluster.dmd_data.output
    assert call(front, "DELETE", f"/{bucket}/parts?uploadId={upload}").status == 204


def test_an_object_whose_blob_is_not_found_is_there(
    front: Front, shared_cluster: Cluster, bucket: str
) -> None:
    """The head of its record is damaged: bytes are lost, which is no word on the key."""
    content = random.Random("head").randbytes(1000)
    assert call(front, "PUT", f"/{bucket}/key", content).status == 200
    flip(place_of(shared_cluster, content), -1)
    assert call(front, "GET", f"/{bucket}/key").status == 500
    source = {"x-amz-copy-source": f"/{bucket}/key"}
    copied = call(front, "PUT", f"/{bucket}/copy", b"", source)
    assert (copied.status, copied.error["Code"]) == (500, "InternalError")
    upload = begin_upload(lambda *request: call(front, *request), f"/{bucket}/parts")
    target = f"/{bucket}/parts?partNumber=1&uploadId={upload}"
    assert call(front, "PUT", target, b"", source).status == 500
    assert call(front, "HEAD", f"/{bucket}/copy").status == 404
    assert call(front, "DELETE", f"/{bucket}/parts?uploadId={upload}").status == 204


def test_a_source_that_is_replaced_before_its_bytes_are_opened(
    front: Front, shared_cluster: Cluster, bucket: str
) -> None:
    content = random.Random("replaced").randbytes(SIZE)
    assert call(front, "PUT", f"/{bucket}/key", content).status == 200
    path, _ = place_of(shared_cluster, content)
    source = {"x-amz-copy-source": f"/{bucket}/key", "Content-Length": "0"}
    with connected(front) as connection:
        assert connection.exchange(sign(front, "HEAD", f"/{bucket}/key")).status == 200
        with stopped(shared_cluster.dmd_data):
            connection.send(sign(front, "PUT", f"/{bucket}/copy", b"", source))
            for _ in range(3):  # behind which the record of the source has been read
                assert call(front, "HEAD", f"/{bucket}/key").status == 200
            assert call(front, "PUT", f"/{bucket}/key", b"new").status == 200
            path.unlink()
        assert connection.receive().status == 200
    assert call(front, "GET", f"/{bucket}/copy").body == b"new"


def test_a_damaged_part_of_an_object(front: Front, shared_cluster: Cluster, bucket: str) -> None:
    bodies = {number: random.Random(number).randbytes(len(body)) for number, body in PARTS.items()}
    upload_parts(front, f"/{bucket}/key", bodies)
    flip(place_of(shared_cluster, bodies[2]), 299_999)
    assert whole(front, f"/{bucket}/key") is None
    source = {"x-amz-copy-source": f"/{bucket}/key"}
    assert call(front, "PUT", f"/{bucket}/copy", b"", source).status in REFUSED
    first = call(front, "GET", f"/{bucket}/key?partNumber=1")
    assert (first.status, first.body) == (206, bodies[1])
