"""Objects that CloudServer itself has encrypted, as a fixture for the tests of who reads them.

    python -m tests.interop.written_by_cloudserver OUT NAME=S3_PORT,DEBUGGING_PORT,DATA_PORT...

writes one anew of installations of CloudServer on this machine, each with the KMS of that name and
nothing stored. The ports are those of its S3 server, of the debugging interface of its metadata
daemon (``metadataDaemon.restEnabled``) and of its data daemon.

Records and stored bytes are as they were found. Plain bytes follow from a seed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, ResponseStreamingError

from tests.servers import ACCESS_KEY, REGION, SECRET_KEY

FIXTURE: Final = Path(__file__).parent / "fixtures" / "encrypted_by_cloudserver.json"
SIZES: Final = (0, 1, 15, 16, 17, 1000, 65_543)
PART_SIZES: Final = (1000, 333, 17)
HEX_KEY: Final = "0123456789abcdef" * 4
"""The ``file`` KMS takes the ID of a master key for the key in hex."""
NAMED_KEY: Final = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
"""No hex in front, so to that KMS a key of no bytes at all."""
_SHOWN: Final = "x-amz-server-side-encryption"
_KEY_OF_DATA_BYTES: Final = 20
_SECONDS: Final = 20


def plain_bytes(seed: str, size: int) -> bytes:
    """The bytes of an object or part: SHA-256 of ``seed:0``, ``seed:1``…"""
    blocks = (hashlib.sha256(f"{seed}:{n}".encode()).digest() for n in range(-(-size // 32)))
    return b"".join(blocks)[:size]


@dataclass
class Written:
    """An object. ``pieces`` has a seed and a size for each stretch of its plain bytes. ``headers``
    are those of HEAD about encryption; ``reading`` says what CloudServer answers to GET: "plain",
    "garbled" for 200 with other bytes, "cut off" for an answer that ends early, or the code of its
    error."""

    bucket: str
    key: str
    pieces: Sequence[tuple[str, int]]
    version_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    reading: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(plain_bytes(seed, size) for seed, size in self.pieces)


@dataclass
class Upload:
    """An upload of parts that is not complete; its parts are numbered from 1."""

    bucket: str
    key: str
    upload_id: str
    pieces: Sequence[tuple[str, int]]


@dataclass
class Fixture:
    """What was found in one installation: rows of the metadata as (sub-level, key, value), the
    stored bytes by their key, what GetBucketEncryption answered of each bucket."""

    rows: list[tuple[str, str, str]]
    blobs: dict[str, bytes]
    bucket_answers: dict[str, str]
    objects: list[Written]
    uploads: list[Upload]


def fixture(kms: str) -> Fixture:
    """What the installation with this KMS, ``file`` or ``mem``, had."""
    found = json.loads(FIXTURE.read_text())[kms]
    return Fixture(
        [(level, key, value) for level, key, value in found["rows"]],
        {key: b64decode(stored) for key, stored in found["blobs"].items()},
        found["bucket_answers"],
        [Written(**described) for described in found["objects"]],
        [Upload(**described) for described in found["uploads"]],
    )


class Maker:
    """Writes to one installation, and takes what became of it."""

    def __init__(self, s3_port: int, debugging_port: int, data_port: int) -> None:
        self.s3 = boto3.client(
            "s3",
            endpoint_url=f"http://localhost:{s3_port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self._debugging = f"http://localhost:{debugging_port}/MDFile/metadata"
        self._data = f"http://localhost:{data_port}/DataFile/"
        self.buckets: list[str] = []
        self.objects: list[Written] = []
        self.uploads: list[Upload] = []

    def bucket(self, name: str, **headers: str) -> str:
        """A new bucket; ``headers`` stand for ``x-amz-scal-server-side-encryption…``."""

        def add(request: Any, **_: Any) -> None:
            for suffix, value in headers.items():
                name = "x-amz-scal-server-side-encryption" + suffix.replace("_", "-").rstrip("-")
                request.headers[name] = value

        self.s3.meta.events.register_first("before-sign.s3.CreateBucket", add, name)
        self.s3.create_bucket(Bucket=name)
        self.s3.meta.events.unregister("before-sign.s3.CreateBucket", unique_id=name)
        self.buckets.append(name)
        return name

    def encrypt(self, bucket: str, algorithm: str, key_id: str | None = None) -> None:
        chosen = {"SSEAlgorithm": algorithm}
        if key_id is not None:
            chosen["KMSMasterKeyID"] = key_id
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": chosen}]}
        self.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)

    def put(self, bucket: str, key: str, size: int = 100, seed: str = "", **settings: Any) -> None:
        pieces = [(seed or f"{bucket}/{key}", size)]
        body = plain_bytes(*pieces[0])
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=body, **settings)
        self.objects.append(Written(bucket, key, pieces, answer.get("VersionId")))

    def copy(self, source: tuple[str, str], bucket: str, key: str, **settings: Any) -> None:
        """Copy an object; onto itself, it takes the place of what it was."""
        of = next(known for known in self.objects if (known.bucket, known.key) == source)
        name = {"Bucket": source[0], "Key": source[1]}
        self.s3.copy_object(CopySource=name, Bucket=bucket, Key=key, **settings)
        if source != (bucket, key):
            self.objects.append(Written(bucket, key, of.pieces))

    def parts(self, bucket: str, key: str, sizes: Sequence[int] = PART_SIZES, **named: Any) -> None:
        upload = self.started(bucket, key, sizes, **named)
        self.complete(upload)

    def started(self, bucket: str, key: str, sizes: Sequence[int], **settings: Any) -> Upload:
        """A new upload with these parts."""
        made = self.s3.create_multipart_upload(Bucket=bucket, Key=key, **settings)
        pieces = [(f"{bucket}/{key}/{number}", size) for number, size in enumerate(sizes, 1)]
        upload = Upload(bucket, key, made["UploadId"], [])
        for piece in pieces:
            self.add_part(upload, piece)
        return upload

    def add_part(self, upload: Upload, piece: tuple[str, int]) -> None:
        upload.pieces = [*upload.pieces, piece]
        where = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
        number = len(upload.pieces)
        self.s3.upload_part(**where, PartNumber=number, Body=plain_bytes(*piece))

    def complete(self, upload: Upload) -> None:
        where = {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.upload_id}
        listed = self.s3.list_parts(**where)["Parts"]
        parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]
        self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        self.objects.append(Written(upload.bucket, upload.key, upload.pieces))

    def found(self) -> dict[str, Any]:
        """All of it, for JSON."""
        for written in self.objects:
            self._look_at(written)
        rows = list(self._rows())
        blobs = {key: self._stored(key) for key in sorted(set(_data_keys(rows)))}
        return {
            "rows": rows,
            "blobs": {key: b64encode(stored).decode() for key, stored in blobs.items()},
            "bucket_answers": {bucket: self._encryption_of(bucket) for bucket in self.buckets},
            "objects": [asdict(written) for written in self.objects],
            "uploads": [asdict(upload) for upload in self.uploads],
        }

    def _look_at(self, written: Written) -> None:
        which = {"Bucket": written.bucket, "Key": written.key}
        if written.version_id is not None:
            which["VersionId"] = written.version_id
        headers = self.s3.head_object(**which)["ResponseMetadata"]["HTTPHeaders"]
        written.headers = {name: headers[name] for name in headers if name.startswith(_SHOWN)}
        try:
            read = self.s3.get_object(**which)["Body"].read()
        except ClientError as error:
            written.reading = error.response["Error"]["Code"]
        except (HTTPClientError, ResponseStreamingError):
            written.reading = "cut off"
        else:
            written.reading = "plain" if read == written.body else "garbled"

    def _encryption_of(self, bucket: str) -> str:
        """The document that GetBucketEncryption answers, or the code of its error."""
        seen: list[bytes] = []
        events = self.s3.meta.events
        name = "before-parse.s3.GetBucketEncryption"
        events.register(name, lambda response_dict, **_: seen.append(response_dict["body"]), name)
        try:
            self.s3.get_bucket_encryption(Bucket=bucket)
        except ClientError as error:
            code: str = error.response["Error"]["Code"]
            return code
        finally:
            events.unregister(name, unique_id=name)
        return seen[0].decode()

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        shadows = [f"mpuShadowBucket{bucket}" for bucket in self.buckets]
        for level in ("__metastore", "users..bucket", *self.buckets, *shadows):
            call = {"call": "createReadStream", "args": {"rpcArgs": [{}], "subLevel": [level]}}
            answer = requests.post(self._debugging, json=call, timeout=_SECONDS)
            answer.raise_for_status()
            for row in answer.json()["result"]:
                yield level, row["key"], row["value"]

    def _stored(self, key: str) -> bytes:
        answer = requests.get(self._data + key, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.content


def _data_keys(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Keys of stored bytes that records name."""
    for _, _, value in rows:
        record = json.loads(value)
        for location in itertools.chain(
            record.get("location") or (), record.get("partLocations") or ()
        ):
            if len(location["key"]) == 2 * _KEY_OF_DATA_BYTES:
                yield location["key"]


def write_by_file_kms(maker: Maker) -> None:
    """Every way to have something encrypted, with a KMS whose keys are in the records."""
    _of_bucket_headers(maker)
    _of_versions(maker)
    _of_bucket_configurations(maker)
    _of_object_headers(maker)
    _of_changes(maker)


def write_by_mem_kms(maker: Maker) -> None:
    """Keys that nobody has any more."""
    bucket = maker.bucket("mem-header", _="AES256")
    for size in (0, 17, 1000):
        maker.put(bucket, f"size-{size}", size)
    maker.parts(bucket, "parts")
    bucket = maker.bucket("mem-put")
    maker.encrypt(bucket, "AES256")
    maker.put(bucket, "object")


def _of_bucket_headers(maker: Maker) -> None:
    bucket = maker.bucket("header-aes256", _="AES256")
    for size in SIZES:
        maker.put(bucket, f"size-{size}", size)
    maker.copy((bucket, "size-1000"), bucket, "copy")
    maker.copy((bucket, "size-0"), bucket, "copy-of-nothing")
    maker.put(bucket, "copied-onto-itself")
    maker.copy((bucket, "copied-onto-itself"), bucket, "copied-onto-itself", **_REPLACED)
    maker.parts(bucket, "parts")
    upload = maker.started(bucket, "parts-and-copied-part", PART_SIZES[:1])
    upload.pieces = [*upload.pieces, (f"{bucket}/size-1000", 1000)]
    maker.s3.upload_part_copy(
        Bucket=bucket,
        Key=upload.key,
        UploadId=upload.upload_id,
        PartNumber=2,
        CopySource={"Bucket": bucket, "Key": "size-1000"},
    )
    maker.complete(upload)
    maker.uploads.append(maker.started(bucket, "unfinished", PART_SIZES[:2]))
    bucket = maker.bucket("header-kms", _="aws:kms")
    maker.put(bucket, "object")
    bucket = maker.bucket("header-kms-key", _="aws:kms", _aws_kms_key_id=HEX_KEY)
    maker.put(bucket, "object")


def _of_versions(maker: Maker) -> None:
    bucket = maker.bucket("versioned", _="AES256")
    maker.put(bucket, "null-and-version", seed="null")
    maker.objects[-1].version_id = "null"
    enabled = {"Status": "Enabled"}
    maker.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    maker.put(bucket, "null-and-version", seed="not null")
    for seed in ("first", "second"):
        maker.put(bucket, "two-versions", seed=seed)
    maker.put(bucket, "deleted")
    maker.s3.delete_object(Bucket=bucket, Key="deleted")


def _of_bucket_configurations(maker: Maker) -> None:
    for name, *chosen in (
        ("put-aes256", "AES256"),
        ("put-kms", "aws:kms"),
        ("put-kms-hex-key", "aws:kms", HEX_KEY),
        ("put-kms-named-key", "aws:kms", NAMED_KEY),
    ):
        bucket = maker.bucket(name)
        maker.put(bucket, "before")
        maker.encrypt(bucket, *chosen)
        maker.put(bucket, "object")
        maker.copy((bucket, "before"), bucket, "copy")
        maker.parts(bucket, "parts")
        maker.uploads.append(maker.started(bucket, "unfinished", PART_SIZES[:2]))


def _of_object_headers(maker: Maker) -> None:
    aes256: dict[str, Any] = {"ServerSideEncryption": "AES256"}
    kms: dict[str, Any] = {"ServerSideEncryption": "aws:kms"}
    bucket = maker.bucket("object-headers")
    maker.put(bucket, "before")
    maker.put(bucket, "key-first", **kms, SSEKMSKeyId=HEX_KEY)
    maker.put(bucket, "aes256", **aes256)
    maker.put(bucket, "kms", **kms)
    maker.put(bucket, "kms-key", **kms, SSEKMSKeyId=HEX_KEY)
    maker.put(bucket, "kms-named-key", **kms, SSEKMSKeyId=NAMED_KEY)
    maker.put(bucket, "plain")
    maker.copy((bucket, "aes256"), bucket, "copy-of-encrypted")
    maker.copy((bucket, "plain"), bucket, "copy-encrypted", **aes256)
    maker.parts(bucket, "parts")
    maker.parts(bucket, "parts-by-header", **aes256)
    maker.parts(bucket, "parts-by-key", **kms, SSEKMSKeyId=HEX_KEY)
    maker.uploads.append(maker.started(bucket, "unfinished", PART_SIZES[:2], **aes256))
    bucket = maker.bucket("only-plain")
    maker.put(bucket, "object")
    maker.copy(("header-aes256", "size-1000"), bucket, "copied-out")


def _of_changes(maker: Maker) -> None:
    bucket = maker.bucket("configuration-removed")
    maker.encrypt(bucket, "AES256")
    for key in ("object", "copied-onto-itself"):
        maker.put(bucket, key)
    removed = maker.started(bucket, "parts-before-removal", PART_SIZES)
    maker.s3.delete_bucket_encryption(Bucket=bucket)
    maker.complete(removed)
    maker.put(bucket, "plain")
    maker.parts(bucket, "plain-parts")
    maker.copy((bucket, "copied-onto-itself"), bucket, "copied-onto-itself", **_REPLACED)
    bucket = maker.bucket("key-changed")
    maker.put(bucket, "plain-onto-itself")
    maker.encrypt(bucket, "AES256")
    for key in ("object", "copied-onto-itself"):
        maker.put(bucket, key)
    changed = maker.started(bucket, "parts-before-change", PART_SIZES)
    several = maker.started(bucket, "parts-of-two-keys", PART_SIZES[:1])
    maker.encrypt(bucket, "aws:kms", HEX_KEY)
    maker.complete(changed)
    maker.add_part(several, (f"{bucket}/{several.key}/2", PART_SIZES[1]))
    maker.complete(several)
    maker.put(bucket, "by-new-key")
    maker.parts(bucket, "parts-by-new-key")
    for key in ("copied-onto-itself", "plain-onto-itself"):
        maker.copy((bucket, key), bucket, key, **_REPLACED)


_REPLACED: Final[Mapping[str, Any]] = {"MetadataDirective": "REPLACE", "Metadata": {"a": "b"}}
_WRITERS: Final = {"file": write_by_file_kms, "mem": write_by_mem_kms}


def main(out: str, *installations: str) -> None:
    """See the module."""
    found = {}
    for described in installations:
        kms, _, ports = described.partition("=")
        maker = Maker(*map(int, ports.split(",")))
        _WRITERS[kms](maker)
        found[kms] = maker.found()
    Path(out).write_text(json.dumps(found, indent=0, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
