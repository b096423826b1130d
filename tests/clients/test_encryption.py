"""Programs that have options for encryption at rest: what they store is encrypted so, by parts as
well, and they read it again, over HTTPS."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from tests.api.encrypting import FIRST, SECOND, by_customer, encrypting_cluster, told
from tests.api.support import new_name
from tests.clients.awscli import AwsCli
from tests.clients.rclone import REMOTE, Rclone
from tests.clients.s3cmd import S3cmd
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, Front, Tls

KEY = os.urandom(32)
SMALL, LARGE = os.urandom(1000), os.urandom(20 * 1024 * 1024 + 7)

BY_S3 = {"": "AES256"}
BY_FIRST = {"": "aws:kms", "-aws-kms-key-id": FIRST}
BY_SECOND = {"": "aws:kms", "-aws-kms-key-id": SECOND}


@pytest.fixture(scope="module")
def encrypting(tmp_path_factory: pytest.TempPathFactory, tls: Tls) -> Iterator[Cluster]:
    """A server that takes keys of clients over HTTPS alone."""
    with encrypting_cluster(tmp_path_factory.mktemp("encrypting")) as running:
        keyring = running.settings["encryption"]["keyringFile"]
        running.add_front(tls=tls, settings={"encryption": {"keyringFile": keyring}})
        yield running


@pytest.fixture(scope="module")
def front(encrypting: Cluster) -> Front:
    """Over HTTPS."""
    return encrypting.fronts[1]


@pytest.fixture(scope="module")
def s3(front: Front) -> Any:
    return s3_client(front)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "small").write_bytes(SMALL)
    (folder / "large").write_bytes(LARGE)
    return folder


def assert_stored(s3: Any, bucket: str, expected: dict[str, str], **key: str) -> None:
    for name, content in (("small", SMALL), ("large", LARGE)):
        got = s3.get_object(Bucket=bucket, Key=name, **key)
        assert (got["Body"].read(), told(got)) == (content, expected)


def assert_came_back(folder: Path) -> None:
    assert [(folder / name).read_bytes() for name in ("small", "large")] == [SMALL, LARGE]


def told_customer() -> dict[str, str]:
    digest = b64encode(md5(KEY, usedforsecurity=False).digest()).decode()
    return {"-customer-algorithm": "AES256", "-customer-key-md5": digest}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sse"], BY_S3),
        (["--sse", "aws:kms"], BY_FIRST),
        (["--sse", "aws:kms", "--sse-kms-key-id", SECOND], BY_SECOND),
    ],
    ids=["SSE-S3", "SSE-KMS", "SSE-KMS by a key"],
)
def test_aws(
    front: Front,
    s3: Any,
    bucket: str,
    files: Path,
    tmp_path: Path,
    options: list[str],
    expected: Any,
) -> None:
    aws = AwsCli(front, tmp_path)
    aws.s3("cp", "--recursive", str(files), f"s3://{bucket}", *options)
    assert_stored(s3, bucket, expected)
    aws.s3("cp", "--recursive", f"s3://{bucket}", str(tmp_path / "back"))
    assert_came_back(tmp_path / "back")


def test_aws_with_a_key_of_its_own(
    front: Front, s3: Any, bucket: str, files: Path, tmp_path: Path
) -> None:
    """Up, to another bucket, and back."""
    aws, other = AwsCli(front, tmp_path), new_name()
    (tmp_path / "key").write_bytes(KEY)
    key = f"fileb://{tmp_path / 'key'}"
    options = ["--sse-c", "AES256", "--sse-c-key", key]
    aws.s3("mb", f"s3://{other}")
    aws.s3("cp", "--recursive", str(files), f"s3://{bucket}", *options)
    assert_stored(s3, bucket, told_customer(), **by_customer(KEY))
    source = ["--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", key]
    aws.s3("cp", "--recursive", f"s3://{bucket}", f"s3://{other}", *options, *source)
    assert_stored(s3, other, told_customer(), **by_customer(KEY))
    aws.s3("cp", "--recursive", f"s3://{other}", str(tmp_path / "back"), *options)
    assert_came_back(tmp_path / "back")


def test_aws_sets_a_default(front: Front, s3: Any, bucket: str, tmp_path: Path) -> None:
    aws = AwsCli(front, tmp_path)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    text = str({"Rules": [rule]}).replace("'", '"')
    named = ["--bucket", bucket]
    aws.run(
        "s3api", "put-bucket-encryption", *named, "--server-side-encryption-configuration", text
    )
    found = aws.api("get-bucket-encryption", *named)["ServerSideEncryptionConfiguration"]
    assert found == {"Rules": [{**rule, "BucketKeyEnabled": False}]}
    assert told(s3.put_object(Bucket=bucket, Key="key", Body=b"a")) == BY_S3
    aws.run("s3api", "delete-bucket-encryption", *named)
    assert told(s3.put_object(Bucket=bucket, Key="key", Body=b"a")) == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--s3-server-side-encryption", "AES256"], BY_S3),
        (["--s3-server-side-encryption", "aws:kms", "--s3-sse-kms-key-id", SECOND], BY_SECOND),
        (["--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key-base64"], None),
    ],
    ids=["SSE-S3", "SSE-KMS", "SSE-C"],
)
def test_rclone(
    front: Front,
    s3: Any,
    bucket: str,
    files: Path,
    tmp_path: Path,
    options: list[str],
    expected: Any,
) -> None:
    rclone, key = Rclone(front, tmp_path), {}
    if expected is None:
        options = [*options, b64encode(KEY).decode()]
        expected, key = told_customer(), by_customer(KEY)
    rclone.run("sync", str(files), f"{REMOTE}{bucket}", *options)
    assert_stored(s3, bucket, expected, **key)
    rclone.run("check", "--download", str(files), f"{REMOTE}{bucket}", *options)
    rclone.run("sync", f"{REMOTE}{bucket}", str(tmp_path / "back"), *options)
    assert_came_back(tmp_path / "back")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--server-side-encryption"], BY_S3),
        (["--server-side-encryption-kms-id", SECOND], BY_SECOND),
    ],
    ids=["SSE-S3", "SSE-KMS"],
)
def test_s3cmd(
    encrypting: Cluster,
    s3: Any,
    bucket: str,
    files: Path,
    tmp_path: Path,
    options: list[str],
    expected: Any,
) -> None:
    s3cmd = S3cmd(encrypting.fronts[0], tmp_path)
    s3cmd.run("put", str(files / "small"), str(files / "large"), f"s3://{bucket}/", *options)
    assert_stored(s3, bucket, expected)
    back = tmp_path / "back"
    back.mkdir()
    s3cmd.run("get", f"s3://{bucket}/small", f"s3://{bucket}/large", f"{back}/")
    assert_came_back(back)
    s3cmd.run("sync", f"{files}/", f"s3://{bucket}/", *options)
    assert_stored(s3, bucket, expected)
