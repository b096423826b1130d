"""With encryption on, the bytes of objects are found nowhere but in the requests: in no file of
this server or of the place, open ones without a name among them, nor in the memory of the daemons,
which may be swapped out."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.backends.places import CHOSEN, Place, Server, new_bucket, server
from tests.servers import process_tree

MARKER: Final = b"what-nobody-but-its-owner-reads:"
SIZES: Final = (1000, 40_000, 300_000, 3_000_000, 9_000_000)
PART: Final = 5 * 1024 * 1024


def content(size: int) -> bytes:
    """Bytes that are known wherever they are, and that any compression shrinks to nothing."""
    return (MARKER * (size // len(MARKER) + 1))[:size]


@pytest.mark.parametrize("place", CHOSEN, ids=lambda place: place.name)
def test_nothing_of_an_object_is_readable(place: Place, tmp_path: Path) -> None:
    with server(place, tmp_path, forked=False, is_default=True, encrypted=True) as running:
        bucket = new_bucket(running.client(), "us-east-1")
        stored = dict(_stored_in_every_way(running, bucket))
        _begin_what_does_not_end(running, bucket)
        s3 = running.client(1)
        for key, size in stored.items():
            answer = s3.get_object(Bucket=bucket, Key=key)
            assert answer["Body"].read() == content(size)
            assert answer["ServerSideEncryption"] == "AES256"
        assert [path for path in _files(tmp_path) if _holds(path)] == []
        daemons = (running.cluster.dmd_metadata, running.cluster.dmd_data)
        assert [daemon.name for daemon in daemons if _remembers(daemon.pid)] == []
        # What is found, if it is there: the search itself can fail.
        (tmp_path / "found").write_bytes(content(1000))
        assert [path.name for path in _files(tmp_path) if _holds(path)] == ["found"]
        _require_dense(running)


def _stored_in_every_way(running: Server, bucket: str) -> Iterator[tuple[str, int]]:
    """The keys of objects, and their sizes."""
    s3 = running.client()
    for size in SIZES:
        s3.put_object(Bucket=bucket, Key=f"put-{size}", Body=content(size))
        yield f"put-{size}", size
        source = {"Bucket": bucket, "Key": f"put-{size}"}
        s3.copy_object(Bucket=bucket, Key=f"copy-{size}", CopySource=source)
        yield f"copy-{size}", size
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    named = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    parts = [s3.upload_part(**named, PartNumber=1, Body=content(PART))["ETag"]]
    copied = s3.upload_part_copy(
        **named,
        PartNumber=2,
        CopySource={"Bucket": bucket, "Key": "put-9000000"},
        CopySourceRange=f"bytes=0-{3 * len(MARKER) * 1000 - 1}",
    )
    parts.append(copied["CopyPartResult"]["ETag"])
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, start=1)]
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": listed})
    yield "parts", PART + 3 * len(MARKER) * 1000
    post = s3.generate_presigned_post(bucket, "form")
    form = {"data": post["fields"], "files": {"file": content(400_000)}}
    assert requests.post(post["url"], **form, timeout=60).status_code == 204
    yield "form", 400_000


def _begin_what_does_not_end(running: Server, bucket: str) -> None:
    """A part of an upload that stays as it is, and an upload whose client goes away half-way."""
    s3 = running.client()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="begun")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="begun", UploadId=upload, PartNumber=1, Body=content(PART))
    url = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "half"})
    target = re.sub("^https?://[^/]*", "", url)
    with socket.create_connection(("127.0.0.1", running.front.port)) as connection:
        head = f"PUT {target} HTTP/1.1\r\nHost: {re.split('/', url)[2]}\r\nContent-Length: 9000000"
        connection.sendall(head.encode() + b"\r\n\r\n" + content(4_000_000))


def _files(folder: Path) -> Iterator[Path]:
    """All files below it, and those that the processes of this machine's server have open without
    a name."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            yield path
    for pid in process_tree(os.getpid()):
        for opened in Path(f"/proc/{pid}/fd").iterdir() if pid != os.getpid() else ():
            with contextlib.suppress(OSError):
                name = os.readlink(opened)
                if name.endswith("(deleted)") and opened.is_file() and opened.stat().st_size:
                    yield opened


def _holds(path: Path) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(MARKER) != -1
    except (OSError, ValueError):
        return False


def _remembers(pid: int) -> bool:
    """Whether a process has it in its memory."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(text, 16) for text in span.split("-"))
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                if MARKER in memory.read(end - start):
                    return True
    return False


def _require_dense(running: Server) -> None:
    """Nothing of the pattern is left in what is stored: it cannot be compressed."""
    for path in (running.cluster.folder / "data").rglob("*"):
        if path.is_file() and path.stat().st_size > 100_000 and path.suffix != ".segment":
            data = path.read_bytes()
            assert len(zlib.compress(data, 1)) > 0.99 * len(data.rstrip(b"\0"))
