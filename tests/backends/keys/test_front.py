"""Objects whose keys come from a key service, through front-ends, as S3's clients see them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.api.encrypting import BY_KMS, BY_S3, told
from tests.backends.keys.describing import TIMEOUT_MS
from tests.backends.keys.openbao import openbao
from tests.backends.keys.services import KINDS, Service, hang, refuse
from tests.clients_boto3 import s3_client
from tests.faults.stores import call_metadata, stored_records
from tests.servers import Cluster, cluster, wait_for

SIZES = [0, 1, 65_537, 9_000_000]


@dataclass
class Stage:
    """A key service, and a cluster of two front-ends that have their master keys there."""

    service: Service
    cluster: Cluster

    @property
    def s3(self) -> Any:
        return s3_client(self.cluster.fronts[0])

    @property
    def other(self) -> Any:
        """The same by the other front-end, which knows no keys of the first."""
        return s3_client(self.cluster.fronts[1])

    def new_front(self) -> Any:
        """The same by a front-end that has just started."""
        return s3_client(self.cluster.add_front())

    def bucket(self, name: str) -> str:
        self.s3.create_bucket(Bucket=name)
        return name


@pytest.fixture(params=list(KINDS), scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with ExitStack() as stack:
        service = KINDS[request.param](tmp_path_factory.mktemp(request.param), stack)
        yield stack.enter_context(_staged(service, tmp_path_factory.mktemp("cluster")))


@pytest.fixture(params=["vault", "kmip"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """One whose key is taken away. (moto opens what a disabled key has sealed; test_aws_kms.py has
    what AWS answers.)"""
    folder = tmp_path / "service"
    folder.mkdir()
    with ExitStack() as stack:
        service = KINDS[request.param](folder, stack)
        yield stack.enter_context(_staged(service, tmp_path / "cluster"))


@contextmanager
def _staged(service: Service, folder: Path) -> Iterator[Stage]:
    described = service.settings.get("encryption", {})
    encryption = {**described, "current": service.name, "timeoutMs": TIMEOUT_MS}
    settings = {**service.settings, "encryption": encryption}
    with cluster(folder, fronts=2, settings=settings) as running:
        yield Stage(service, running)


def refused(asking: Any, **parameters: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        asking(**parameters)
    response = caught.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [BY_S3, BY_KMS], ids=["SSE-S3", "SSE-KMS"])
def test_an_object_is_written_and_read(stage: Stage, kind: dict[str, Any], size: int) -> None:
    bucket = stage.bucket(f"round-{kind['ServerSideEncryption'].replace(':', '-').lower()}-{size}")
    body = os.urandom(size)
    put = stage.s3.put_object(Bucket=bucket, Key="a key", Body=body, **kind)

    got = stage.other.get_object(Bucket=bucket, Key="a key")
    assert got["Body"].read() == body
    assert told(put) == told(got)
    if size:
        part = stage.other.get_object(Bucket=bucket, Key="a key", Range=f"bytes={size - 1}-")
        assert part["Body"].read() == body[-1:]
    shown = told(got).get("-aws-kms-key-id")
    assert shown == (stage.service.key_id if kind is BY_KMS else None)


def test_a_key_that_is_named_and_a_context(stage: Stage) -> None:
    bucket = stage.bucket("named")
    context = "eyJ3aG8iOiJLw6R0aGUifQ=="  # {"who":"Käthe"}
    named = {"SSEKMSKeyId": stage.service.named, "SSEKMSEncryptionContext": context}
    stage.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **BY_KMS, **named)

    assert stage.other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"


def test_a_key_that_there_is_not(stage: Stage) -> None:
    bucket = stage.bucket("nobody")
    named = {**BY_KMS, "SSEKMSKeyId": "9999"}

    code, status, message = refused(
        stage.s3.put_object, Bucket=bucket, Key="k", Body=b"hello", **named
    )
    assert (code, status) == ("KMS.NotFoundException", 400)
    assert "9999" in message
    assert refused(stage.s3.head_object, Bucket=bucket, Key="k")[1] == 404


def test_parts_of_an_upload(stage: Stage) -> None:
    bucket = stage.bucket("parts")
    parts = [os.urandom(5 << 20), os.urandom(100_000)]
    upload = stage.s3.create_multipart_upload(Bucket=bucket, Key="k", **BY_KMS)["UploadId"]
    place = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    etags = [
        stage.other.upload_part(PartNumber=number, Body=part, **place)["ETag"]
        for number, part in enumerate(parts, 1)
    ]
    done = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    stage.s3.complete_multipart_upload(MultipartUpload={"Parts": done}, **place)

    assert stage.other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(parts)


def as_cloudserver_stores(data_key: bytes, body: bytes) -> bytes:
    """AES-256-CTR, with a key and a counter that are derived from the data key (CloudServer's
    lib/kms/common.js)."""
    key = hashlib.pbkdf2_hmac("sha1", data_key, b"ItsTasty", 1, 32)
    counter = hashlib.pbkdf2_hmac("sha1", key, b"ItsTasty", 1, 16)
    cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return cipher.update(body) + cipher.finalize()


@pytest.mark.parametrize("stage", ["aws", "kmip"], indirect=True)
@pytest.mark.parametrize("is_arn", [False, True], ids=["its ID", "an ARN of CloudServer's"])
def test_what_cloudserver_has_encrypted_by_the_service(stage: Stage, is_arn: bool) -> None:
    wrap = stage.service.wrap_as_original
    assert wrap is not None
    bucket = stage.bucket(f"original-{is_arn}".lower())
    data_key, body = os.urandom(32), os.urandom(200_000)
    stage.s3.put_object(Bucket=bucket, Key="k", Body=as_cloudserver_stores(data_key, body))
    stored = stored_records(stage.cluster, [bucket])[bucket]["k"]
    # CloudServer keeps no checksum, and that is of what was sent here.
    record = {name: value for name, value in stored.items() if "checksum" not in name.lower()}
    key_id = stage.service.key_id
    if is_arn:
        key_id = f"arn:scality:kms:external:{stage.service.name}_kms:some:key/{key_id}"
    record["x-amz-server-side-encryption"] = "aws:kms"
    record["x-amz-server-side-encryption-aws-kms-key-id"] = key_id
    wrapped = b64encode(wrap(data_key)).decode()
    for each in record["location"]:
        each |= {"cryptoScheme": 1, "cipheredDataKey": wrapped}
    call_metadata(stage.cluster, "put", ["k", json.dumps(record), {}], [bucket])

    got = stage.other.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    part = stage.s3.get_object(Bucket=bucket, Key="k", Range="bytes=70001-140000")
    assert part["Body"].read() == body[70001:140001]


@pytest.mark.parametrize("trouble", [refuse, hang])
def test_the_service_goes_away_and_comes_back(stage: Stage, trouble: Any) -> None:
    known, new = stage.bucket(f"known-{trouble.__name__}"), stage.bucket(f"new-{trouble.__name__}")
    stage.s3.put_object(Bucket=known, Key="k", Body=b"hello", **BY_S3)
    trouble(stage.service.faults)
    try:
        began = time.monotonic()
        code, status, message = refused(
            stage.s3.put_object, Bucket=new, Key="k", Body=b"hello", **BY_S3
        )
        assert time.monotonic() - began < TIMEOUT_MS / 1000 + 3
        assert (code, status) == ("ServiceUnavailable", 503)
        assert "encryption keys is not available" in message
        assert refused(stage.other.get_object, Bucket=known, Key="k")[1] == 503

        # What is known here goes on, and what is not encrypted.
        assert stage.s3.get_object(Bucket=known, Key="k")["Body"].read() == b"hello"
        stage.s3.put_object(Bucket=known, Key="more", Body=b"hello", **BY_S3)
        assert stage.s3.head_object(Bucket=known, Key="more")["ContentLength"] == 5
        stage.s3.put_object(Bucket=new, Key="plain", Body=b"hello")
    finally:
        stage.service.faults.heal()
    log = stage.cluster.fronts[0].process.output
    assert f"RuntimeError('{stage.service.name}: " in log

    def is_back() -> bool:
        try:
            stage.s3.put_object(Bucket=new, Key="k", Body=b"hello", **BY_S3)
            stage.other.get_object(Bucket=known, Key="k")
        except ClientError:
            return False
        return True

    wait_for(is_back, "the key service")


def test_its_state_is_shown(stage: Stage) -> None:
    def look() -> subprocess.CompletedProcess[str]:
        process = stage.cluster.fronts[0].process
        argv = [sys.executable, "-m", "s3front", "keys", "look"]
        return subprocess.run(
            argv, env=process.environ, capture_output=True, text=True, timeout=60, check=False
        )

    def line() -> str:
        return next(
            each for each in look().stdout.splitlines() if each.startswith(stage.service.name)
        )

    assert line().split() == [stage.service.name, "current", "ok"]
    refuse(stage.service.faults)
    try:
        assert "127.0.0.1" in line()
        assert look().returncode == 1
    finally:
        stage.service.faults.heal()


def test_no_secret_is_in_the_log(stage: Stage) -> None:
    logs = "".join(front.process.output for front in stage.cluster.fronts)

    for secret in ("root-token-of-tests", "of-tests", "PRIVATE KEY"):
        assert secret not in logs


def test_a_key_that_is_taken_away(own: Stage) -> None:
    bucket = own.bucket("taken")
    own.s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **BY_KMS)
    own.service.withdraw()

    code, status, message = refused(own.new_front().get_object, Bucket=bucket, Key="k")

    assert (code, status) == ("KMS.DisabledException", 400)
    assert "is disabled" in message


def test_a_token_that_was_revoked_is_the_servers_trouble_until_its_file_has_another(
    tmp_path: Path,
) -> None:
    (tmp_path / "service").mkdir()
    with openbao(tmp_path / "service") as bao:
        file = tmp_path / "token"
        token = bao.token()
        file.write_text(token)
        vault = bao.document(tokenFile=str(file))
        # Each object asks for a key of its own.
        encryption = {"current": "vault", "vault": vault, "cacheSeconds": 0}
        settings = {"encryption": encryption}
        with cluster(tmp_path / "cluster", fronts=1, settings=settings) as running:
            s3 = s3_client(running.fronts[0])
            s3.create_bucket(Bucket="revoked")
            put = {"Bucket": "revoked", "Key": "key", "Body": b"body", **BY_KMS}
            s3.put_object(**put)
            bao.call("POST", "auth/token/revoke", {"token": token})
            code, status, _ = refused(s3.put_object, **put)
            file.write_text(bao.token())

            s3.put_object(**put)

    assert (code, status) == ("ServiceUnavailable", 503)
