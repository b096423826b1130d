"""Objects of many parts and of many bytes: whole, unharmed by what happens meanwhile, and in
little memory. ``make soak`` has them at S3's limits."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5

import pytest

from s3front.auth.sigv4 import PayloadForm
from shared import limits
from tests.clients_boto3 import s3_client
from tests.etags import etag_of
from tests.load_requests import ObjectClient
from tests.memory_watch import memory_watched
from tests.raw_http import Connection, call, sign
from tests.servers import Cluster, Front, cluster

SOAK = bool(os.environ.get("TWOFOLD_SOAK"))
PARTS = limits.PARTS_MAX if SOAK else 3000
PART_BYTES = 6000
"""So that the object is larger than what the connections between two processes take in."""

MIB = 1024**2
LARGE_BYTES = limits.OBJECT_BYTES_MAX if SOAK else 300 * MIB
MEMORY_BYTES_MAX = 200 * MIB
BLOCK = os.urandom(MIB)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    settings = {"multipartMinPartSizeBytes": 1}
    with cluster(tmp_path_factory.mktemp("large"), settings=settings, forked=False) as servers:
        s3_client(servers.fronts[0]).create_bucket(Bucket="bucket")
        yield servers


# --- Many parts -----------------------------------------------------------------------------------


def part(number: int) -> bytes:
    """The bytes of a part, different from those of all others."""
    return b"%08d" % number * (PART_BYTES // 8)


def whole() -> bytes:
    return b"".join(part(number) for number in range(1, PARTS + 1))


def upload_in_parts(front: Front, key: str) -> str:
    """Make an object of so many parts, several at a time; its ETag."""
    s3 = s3_client(front)
    upload_id = s3.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
    numbers = itertools.count(1)

    def send_parts() -> None:
        client = ObjectClient(front)
        while (number := next(numbers)) <= PARTS:
            target = f"/bucket/{key}?partNumber={number}&uploadId={upload_id}"
            response = client.request("PUT", target, part(number))
            assert response.headers["ETag"] == etag_of(part(number))
        client.close()

    with ThreadPoolExecutor(8) as pool:
        for sender in [pool.submit(send_parts) for _ in range(8)]:
            sender.result()
    listed = list(
        itertools.chain.from_iterable(
            page["Parts"]
            for page in s3.get_paginator("list_parts").paginate(
                Bucket="bucket", Key=key, UploadId=upload_id
            )
        )
    )
    assert [entry["PartNumber"] for entry in listed] == list(range(1, PARTS + 1))
    parts = [{"PartNumber": entry["PartNumber"], "ETag": entry["ETag"]} for entry in listed]
    completed = s3.complete_multipart_upload(
        Bucket="bucket", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )
    etag: str = completed["ETag"]
    return etag


@pytest.mark.timeout(900)
def test_an_object_of_many_parts_outlives_its_deletion_while_it_is_read(running: Cluster) -> None:
    front = running.fronts[0]
    etag = upload_in_parts(front, "parts")
    digests = b"".join(
        md5(part(number), usedforsecurity=False).digest() for number in range(1, PARTS + 1)
    )
    assert etag == f'"{md5(digests, usedforsecurity=False).hexdigest()}-{PARTS}"'
    middle = PARTS // 2 * PART_BYTES
    headers = {"Range": f"bytes={middle - 4}-{middle + 3}"}
    ranged = call(front, "GET", "/bucket/parts", headers=headers)
    assert ranged.body == whole()[middle - 4 : middle + 4]
    with Connection(front, receive_buffer_bytes=64 * 1024) as reader:
        reader.send(sign(front, "GET", "/bucket/parts", headers={"Connection": "close"}))
        assert reader.receive_interim() == 200
        assert call(front, "PUT", "/bucket/parts", b"new").status == 200
        assert call(front, "DELETE", "/bucket/parts").status == 204
        assert call(front, "GET", "/bucket/parts").status == 404
        assert reader.rest() == whole()


# --- Many bytes -----------------------------------------------------------------------------------


def digest_of_blocks(size: int) -> str:
    digest = md5(usedforsecurity=False)
    for _ in range(size // MIB):
        digest.update(BLOCK)
    return digest.hexdigest()


@pytest.mark.timeout(900)
def test_a_large_object_needs_little_memory(running: Cluster) -> None:
    front = running.fronts[0]
    expected = digest_of_blocks(LARGE_BYTES)
    with memory_watched(running) as peaks:
        with Connection(front) as connection:
            headers = {"Content-Length": str(LARGE_BYTES)}
            unsigned = PayloadForm.UNSIGNED.value
            connection.send(sign(front, "PUT", "/bucket/large", headers=headers, payload=unsigned))
            for _ in range(LARGE_BYTES // MIB):
                connection.send(BLOCK)
            response = connection.receive()
            assert (response.status, response.headers["ETag"]) == (200, f'"{expected}"')
        s3 = s3_client(front, read_timeout=60)
        source = {"Bucket": "bucket", "Key": "large"}
        copied = s3.copy_object(Bucket="bucket", Key="copy", CopySource=source)
        assert copied["CopyObjectResult"]["ETag"] == f'"{expected}"'
        digest = md5(usedforsecurity=False)
        for block in s3.get_object(Bucket="bucket", Key="copy")["Body"].iter_chunks(MIB):
            digest.update(block)
        assert digest.hexdigest() == expected
    assert max(peaks.values()) < MEMORY_BYTES_MAX, peaks
