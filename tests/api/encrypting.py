"""Servers that have master keys, and what clients send and are told of encryption."""

from __future__ import annotations

import secrets
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from s3front.auth.sigv4 import PayloadForm
from s3front.keys.keyring_file import (
    FOLDER_MODE,
    Keyring,
    MasterKey,
    locked,
    moment,
    replace_keyring,
)
from tests.raw_http import Connection, Wire, sign_chunked
from tests.servers import Cluster, Front, cluster

FIRST, SECOND = "key-1", "key-2"
"""The master keys; the first is current."""

ALGORITHM: Final = "x-amz-server-side-encryption"
KEY_ID: Final = f"{ALGORITHM}-aws-kms-key-id"
BUCKET_KEY: Final = f"{ALGORITHM}-bucket-key-enabled"
CONTEXT: Final = f"{ALGORITHM}-context"
CUSTOMER: Final = f"{ALGORITHM}-customer-algorithm"
CRC: Final = "x-amz-checksum-crc32"
CUSTOMER_MD5: Final = f"{ALGORITHM}-customer-key-md5"

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))

BY_S3: Final[Mapping[str, Any]] = {"ServerSideEncryption": "AES256"}
BY_KMS: Final[Mapping[str, Any]] = {"ServerSideEncryption": "aws:kms"}
BY_SECOND: Final[Mapping[str, Any]] = {**BY_KMS, "SSEKMSKeyId": SECOND}


def by_customer(key: bytes = KEY, prefix: str = "") -> dict[str, Any]:
    """The parameters of a client that has a key of its own; ``prefix`` is CopySource for one of the
    source."""
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": b64encode(key).decode(),
        f"{prefix}SSECustomerKeyMD5": md5_of(key),
    }


def customer_headers(key: bytes = KEY) -> dict[str, str]:
    """The same as headers."""
    return {
        CUSTOMER: "AES256",
        f"{ALGORITHM}-customer-key": b64encode(key).decode(),
        CUSTOMER_MD5: md5_of(key),
    }


def md5_of(key: bytes) -> str:
    return b64encode(md5(key, usedforsecurity=False).digest()).decode()


def told(response: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a reply that speak of encryption, without their common prefix."""
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    return {
        name.removeprefix(ALGORITHM): text
        for name, text in headers.items()
        if name.startswith(ALGORITHM)
    }


BY_FIRST: Final = {"": "aws:kms", "-aws-kms-key-id": FIRST}
TOLD_S3: Final = {"": "AES256"}


def told_customer(key: bytes = KEY) -> dict[str, str]:
    return {"-customer-algorithm": "AES256", "-customer-key-md5": md5_of(key)}


def rule(algorithm: str = "AES256", key_id: str | None = None, **more: Any) -> dict[str, Any]:
    """A rule of a default encryption."""
    applied = {"SSEAlgorithm": algorithm} | ({} if key_id is None else {"KMSMasterKeyID": key_id})
    return {"ApplyServerSideEncryptionByDefault": applied, **more}


def put_default(s3: Any, bucket: str, *rules: dict[str, Any]) -> None:
    """Set the default encryption of a bucket, to SSE-S3 unless it is said."""
    configuration = {"Rules": list(rules) or [rule()]}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=configuration)


def write_keyring(path: Path) -> None:
    """A key file with both keys."""
    keys = {
        key_id: MasterKey(id=key_id, created=moment(), secret=secrets.token_bytes(32))
        for key_id in (FIRST, SECOND)
    }
    path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
    with locked(path):
        replace_keyring(path, Keyring(current=FIRST, keys=MappingProxyType(keys)))


def encryption_settings(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of a server whose keys are in a folder; clients may send theirs over HTTP."""
    path = folder / "keys" / "keyring.json"
    write_keyring(path)
    return {"encryption": {"keyringFile": str(path), "customerKeysOverHttp": True, **more}}


@contextmanager
def encrypting_cluster(folder: Path, fronts: int = 1, **options: Any) -> Iterator[Cluster]:
    """A running cluster that has master keys."""
    settings = {**encryption_settings(folder), **options.pop("settings", {})}
    with cluster(folder, fronts, settings=settings, **options) as running:
        yield running


def part_under_way(front: Front, upload: Mapping[str, Any], body: bytes) -> tuple[Connection, Wire]:
    """A part whose upload was read, and none of its bytes."""
    crc = b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    request = sign_chunked(
        front,
        f"/{upload['Bucket']}/{upload['Key']}",
        body,
        PayloadForm.STREAMING_UNSIGNED_TRAILER,
        {CRC: crc},
        {"Expect": "100-continue"},
        query=f"partNumber=1&uploadId={upload['UploadId']}",
    )
    connection = Connection(front)
    connection.send(request.head)
    assert connection.receive_interim() == 100
    return connection, request
