"""A tree of files goes up with boto3, is listed, comes back, and is removed."""

from __future__ import annotations

import filecmp
import io
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1, sha256, sha512
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import requests
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.clients import tree
from tests.clients.stored import Bucket
from tests.clients_boto3 import s3_client
from tests.servers import Front

# Uploads in one piece; downloads in several, as ranges.
IN_ONE_PIECE = TransferConfig(multipart_threshold=64 * tree.MIB)
IN_RANGES = TransferConfig(
    multipart_threshold=tree.MIB, multipart_chunksize=tree.MIB, max_concurrency=4
)
BY_PARTS = TransferConfig(
    multipart_threshold=tree.PART_SIZE_MIB * tree.MIB,
    multipart_chunksize=tree.PART_SIZE_MIB * tree.MIB,
)
HEADERS = {
    "ContentType": "text/x-twofold; charset=utf-8",
    "CacheControl": "max-age=60, must-revalidate",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "x-test",
    "ContentLanguage": "de, en",
}
METADATA = {"colour": "blue", "dashed-name": "a, b; c=d", "empty": ""}


@dataclass(frozen=True)
class Uploaded:
    """A bucket that holds ``tree.objects()``."""

    s3: Any
    bucket: str
    etags: dict[str, str]


def fresh_name() -> str:
    return f"boto3-{uuid.uuid4().hex[:16]}"


def put_object(s3: Any, bucket: str, key: str, data: bytes) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata=METADATA, **HEADERS)


def upload_fileobj(s3: Any, bucket: str, key: str, data: bytes) -> None:
    arguments = {**HEADERS, "Metadata": METADATA}
    s3.upload_fileobj(io.BytesIO(data), bucket, key, ExtraArgs=arguments, Config=IN_ONE_PIECE)


def upload_file(s3: Any, bucket: str, key: str, data: bytes, folder: Path) -> None:
    path = folder / "upload"
    path.write_bytes(data)
    arguments = {**HEADERS, "Metadata": METADATA}
    s3.upload_file(str(path), bucket, key, ExtraArgs=arguments, Config=IN_ONE_PIECE)


@pytest.fixture(scope="module")
def uploaded(endpoint: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uploaded]:
    """The whole tree, uploaded with each of boto3's ways in turn, and removed at the end."""
    s3, bucket = s3_client(endpoint), fresh_name()
    folder = tmp_path_factory.mktemp("upload")
    s3.create_bucket(Bucket=bucket)
    for index, (key, data) in enumerate(tree.objects().items()):
        if index % 3 == 0:
            put_object(s3, bucket, key, data)
        elif index % 3 == 1:
            upload_fileobj(s3, bucket, key, data)
        else:
            upload_file(s3, bucket, key, data, folder)
    etags = {key: tree.etag(data) for key, data in tree.objects().items()}
    yield Uploaded(s3, bucket, etags)
    keys = [{"Key": key} for key in etags]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)


def test_every_object_comes_back_as_it_went_up(uploaded: Uploaded) -> None:
    for key, data in tree.objects().items():
        reply = uploaded.s3.get_object(Bucket=uploaded.bucket, Key=key)
        assert reply["Body"].read() == data, key
        assert reply["ContentLength"] == len(data)
        assert reply["ETag"] == uploaded.etags[key]
        assert reply["Metadata"] == METADATA
        assert {name: reply[name] for name in HEADERS} == HEADERS


def test_head_says_what_get_says(uploaded: Uploaded) -> None:
    for key, data in tree.objects().items():
        reply = uploaded.s3.head_object(Bucket=uploaded.bucket, Key=key)
        assert reply["ContentLength"] == len(data), key
        assert reply["ETag"] == uploaded.etags[key]
        assert reply["Metadata"] == METADATA
        assert {name: reply[name] for name in HEADERS} == HEADERS


def test_downloads_in_ranges_are_whole(uploaded: Uploaded, tmp_path: Path) -> None:
    key = "five MiB.bin"
    uploaded.s3.download_file(uploaded.bucket, key, str(tmp_path / "download"), Config=IN_RANGES)
    assert (tmp_path / "download").read_bytes() == tree.objects()[key]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_the_listing_has_every_key_in_order(uploaded: Uploaded, operation: str) -> None:
    reply = getattr(uploaded.s3, operation)(Bucket=uploaded.bucket)
    assert not reply["IsTruncated"]
    listed = {entry["Key"]: (entry["ETag"], entry["Size"]) for entry in reply["Contents"]}
    expected = {key: (uploaded.etags[key], len(data)) for key, data in tree.objects().items()}
    assert listed == expected
    assert list(listed) == sorted(listed, key=str.encode)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("page_size", [1, 7])
def test_pages_add_up_to_the_listing(uploaded: Uploaded, operation: str, page_size: int) -> None:
    pages = uploaded.s3.get_paginator(operation).paginate(
        Bucket=uploaded.bucket, PaginationConfig={"PageSize": page_size}
    )
    keys = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert keys == sorted(tree.objects(), key=str.encode)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("prefix", ["", "a/", "a/b/", "日本語/", "emoji 🎉🚀/", "none"])
@pytest.mark.parametrize("page_size", [1, 1000])
def test_a_delimiter_parts_folders_from_files(
    uploaded: Uploaded, operation: str, prefix: str, page_size: int
) -> None:
    pages = uploaded.s3.get_paginator(operation).paginate(
        Bucket=uploaded.bucket,
        Prefix=prefix,
        Delimiter="/",
        PaginationConfig={"PageSize": page_size},
    )
    files: list[str] = []
    folders: list[str] = []
    for page in pages:
        files += [entry["Key"] for entry in page.get("Contents", [])]
        folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    rests = [key[len(prefix) :] for key in tree.objects() if key.startswith(prefix)]
    expected_files = {prefix + rest for rest in rests if "/" not in rest}
    expected_folders = {prefix + rest.partition("/")[0] + "/" for rest in rests if "/" in rest}
    assert files == sorted(expected_files, key=str.encode)
    assert folders == sorted(expected_folders, key=str.encode)


def _crc32(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("CRC32", _crc32),
        ("SHA1", lambda data: sha1(data, usedforsecurity=False).digest()),
        ("SHA256", lambda data: sha256(data).digest()),
        ("SHA512", lambda data: sha512(data).digest()),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 5 * tree.MIB])
def test_checksums_are_kept(
    uploaded: Uploaded, algorithm: str, digest: Callable[[bytes], bytes], size: int
) -> None:
    key, data = f"plain.txt-{algorithm}-{size}", tree.content("checksum", size)
    expected = b64encode(digest(data)).decode()
    member = f"Checksum{algorithm}"
    address = {"Bucket": uploaded.bucket, "Key": key}
    stored = uploaded.s3.put_object(**address, Body=data, ChecksumAlgorithm=algorithm)
    try:
        assert stored[member] == expected
        reply = uploaded.s3.get_object(**address, ChecksumMode="ENABLED")
        assert reply[member] == expected
        # Reading makes boto3 verify the checksum.
        assert reply["Body"].read() == data
    finally:
        uploaded.s3.delete_object(**address)


@pytest.mark.parametrize(
    ("setting", "small", "large"),
    [
        ("when_supported", "ChecksumCRC32", ("ChecksumCRC32", "COMPOSITE")),
        # Nothing is sent, and what S3 computes itself comes back.
        ("when_required", "ChecksumCRC64NVME", ("ChecksumCRC64NVME", "FULL_OBJECT")),
    ],
)
def test_every_object_has_a_checksum(
    front: Front, uploaded: Uploaded, setting: str, small: str, large: tuple[str, str]
) -> None:
    s3 = s3_client(
        front, request_checksum_calculation=setting, response_checksum_validation=setting
    )
    address = {"Bucket": uploaded.bucket, "Key": f"checksum-{setting}"}
    data = tree.content("checksum", 2 * tree.PART_SIZE_MIB * tree.MIB + 1)
    try:
        stored = s3.put_object(**address, Body=b"body")
        found = s3.head_object(**address, ChecksumMode="ENABLED")
        assert found[small] == stored[small]
        assert found["ChecksumType"] == "FULL_OBJECT"
        s3.upload_fileobj(io.BytesIO(data), *address.values(), Config=BY_PARTS)
        found = s3.head_object(**address, ChecksumMode="ENABLED")
        assert found[large[0]]
        assert found["ChecksumType"] == large[1]
        received = io.BytesIO()
        s3.download_fileobj(*address.values(), received, Config=IN_RANGES)
        assert received.getvalue() == data
    finally:
        s3.delete_object(**address)


def test_a_presigned_url_serves_without_credentials(endpoint: Front, uploaded: Uploaded) -> None:
    s3 = s3_client(endpoint, signature_version="s3v4")
    for key in ("plain.txt", "percent%20encoded%2Fslash%", "emoji 🎉🚀/👩‍👩‍👧.png", "plus+plus"):
        url = s3.generate_presigned_url(
            "get_object", Params={"Bucket": uploaded.bucket, "Key": key}, ExpiresIn=60
        )
        verify = str(endpoint.tls.authority) if endpoint.tls else True
        reply = requests.get(url, timeout=10, verify=verify)
        assert (reply.status_code, reply.content) == (200, tree.objects()[key])


def test_deleted_objects_are_gone_and_the_bucket_goes_last(endpoint: Front) -> None:
    s3, bucket = s3_client(endpoint), fresh_name()
    s3.create_bucket(Bucket=bucket)
    for key in ("a//b", "a/b", "plus+plus"):
        put_object(s3, bucket, key, b"data")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="a//b")
    s3.delete_object(Bucket=bucket, Key="never existed")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="a//b")
    remaining = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert remaining == ["a/b", "plus+plus"]
    keys = [{"Key": key} for key in remaining]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})["Deleted"]
    assert [entry["Key"] for entry in deleted] == remaining
    s3.delete_bucket(Bucket=bucket)
    assert bucket not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


@pytest.mark.timeout(300)
def test_a_big_file_goes_up_and_is_copied_by_parts(
    program_bucket: Bucket, big_file: tree.BigFile, tmp_path: Path
) -> None:
    s3, bucket, key = program_bucket.s3, program_bucket.name, big_file.path.name
    described: dict[str, Any] = {**HEADERS, "Metadata": METADATA}
    s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(big_file.path), bucket, key, ExtraArgs=described, Config=BY_PARTS)
    s3.download_file(bucket, key, str(tmp_path / "back"), Config=BY_PARTS)
    assert filecmp.cmp(tmp_path / "back", big_file.path, shallow=False)
    s3.copy({"Bucket": bucket, "Key": key}, bucket, "copied", Config=BY_PARTS)
    s3.copy_object(Bucket=bucket, Key="moved/it", CopySource={"Bucket": bucket, "Key": "copied"})
    s3.delete_object(Bucket=bucket, Key="copied")
    assert program_bucket.listing() == {
        key: (big_file.multipart_etag, big_file.size_bytes),
        "moved/it": (big_file.etag, big_file.size_bytes),
    }
    assert program_bucket.sha256("moved/it") == big_file.sha256
    for name in (key, "moved/it"):
        reply = s3.head_object(Bucket=bucket, Key=name)
        assert {header: reply[header] for header in described} == described
        s3.delete_object(Bucket=bucket, Key=name)
    s3.delete_bucket(Bucket=bucket)
    assert not program_bucket.exists()
