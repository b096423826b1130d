"""S3 services for the tests of ``aws_s3``, as processes on this machine, and buckets in them."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from s3front.locations.location_config import Written
from s3front.locations.remote_store import MARK_METADATA
from s3front.locations.s3_details import S3Details, read_details, read_google_details
from tests.bench import seaweedfs as bench_seaweedfs
from tests.servers import (
    ACCESS_KEY,
    REGION,
    REPOSITORY,
    SECRET_KEY,
    Process,
    accepts_connections,
    cluster,
    free_port,
    wait_for,
)

_BUILD: Final = REPOSITORY / ".build"
_START_SECONDS_MAX: Final = 60.0
_SEAWEEDFS_LACKS: Final = frozenset({"sizes of parts", "versions at once"})
_MOTO_LACKS: Final = frozenset({
    "signatures", "memory of uploads", "dates of uploads", "versions when suspended",
})  # fmt: skip
"""Where versions are suspended, it overwrites the newest one, whichever that is."""


@dataclass(frozen=True)
class Service:
    """An S3 service that listens on a port of this machine. ``lacks``: what it does not do as S3,
    and what no client could make up for."""

    name: str
    port: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    lacks: frozenset[str] = frozenset()
    behind: int = 0
    """The port of the S3 service behind it, if it is none itself."""

    def needs(self, *what: str) -> None:
        """Leave a test out that the service cannot pass."""
        if missing := self.lacks & set(what):
            pytest.skip(f"{self.name} lacks {', '.join(missing)}")

    def client(self) -> Any:
        """boto3's client of it, to look from the other side."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.behind or self.port}",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


@dataclass
class Remote:
    """A bucket of a service that is a location's."""

    service: Service
    bucket: str
    s3: Any
    versioned: bool
    more: dict[str, Any] = field(default_factory=dict)

    def document(self, **details: Any) -> dict[str, Any]:
        """Its details in locationConfig.json."""
        return {
            self.endpoint_key: f"127.0.0.1:{self.service.port}",
            "https": False,
            "bucketName": self.bucket,
            "bucketMatch": True,
            "credentials": {
                "accessKey": self.service.access_key,
                "secretKey": self.service.secret_key,
            },
            **self.more,
            **details,
        }

    @property
    def is_google(self) -> bool:
        return self.service.name == "google"

    @property
    def is_natural(self) -> bool:
        """Whether the first blob of an object has its name."""
        return self.versioned or "create-only" not in self.service.lacks

    @property
    def endpoint_key(self) -> str:
        """The member of its details that says where it is."""
        return "gcpEndpoint" if self.is_google else "awsEndpoint"

    def details(self, **changed: Any) -> S3Details:
        written = Written("locationConfig.json", "there.details", "there", {}, Path("/"))
        read = read_google_details if self.is_google else read_details
        return read(self.document(**changed), written)

    def keys(self) -> list[str]:
        """The names of all objects, without what is hidden by a delete marker."""
        found = self.s3.list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def versions(self, name: str) -> list[str]:
        """The versions of a name, the newest first, without delete markers."""
        found = self.s3.list_object_versions(Bucket=self.bucket, Prefix=name)
        return [entry["VersionId"] for entry in found.get("Versions", []) if entry["Key"] == name]

    def everything(self) -> set[str]:
        """All versions of all objects, and all uploads, each behind its name."""
        found = set()
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
            found |= {f"{each['Key']}\0{each['VersionId']}" for each in page.get("Versions", [])}
        uploads = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket)
        for page in uploads:
            found |= {f"{each['Key']}\0{each['UploadId']}" for each in page.get("Uploads", [])}
        return found

    def described(self, entry: str) -> tuple[dict[str, str], dict[str, str]]:
        """User metadata and tags of what ``everything`` has, without the mark."""
        name = entry.partition("\0")[0]
        metadata = dict(self.head(name)["Metadata"])
        metadata.pop(MARK_METADATA, None)
        found = self.s3.get_object_tagging(Bucket=self.bucket, Key=name)["TagSet"]
        return metadata, {tag["Key"]: tag["Value"] for tag in found}

    def content(self, name: str, **more: Any) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=name, **more)["Body"].read()
        return body

    def head(self, name: str, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.s3.head_object(Bucket=self.bucket, Key=name, **more)
        return found


def remote(service: Service, *, versioned: bool) -> Remote:
    """A new bucket."""
    s3, name = service.client(), f"remote-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    if versioned:
        status = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)
    return Remote(service, name, s3, versioned)


@contextlib.contextmanager
def twofold(folder: Path) -> Iterator[Service]:
    """A second instance of this server."""
    with cluster(folder) as running:
        yield Service("twofold", running.fronts[0].port)


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[Service]:
    """SeaweedFS (``make soak`` installs it)."""
    program = bench_seaweedfs.PROGRAM
    with bench_seaweedfs.running(program, folder, 16, syncs=False) as running:
        yield Service("seaweedfs", running.endpoint.port, lacks=_SEAWEEDFS_LACKS)


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[Service]:
    """moto's server (``make soak`` installs it), which looks at no signature."""
    port = free_port()
    program = _BUILD / "moto" / "bin" / "moto_server"
    with _program("moto", [str(program), "-p", str(port)], {}, folder, port):
        yield Service("moto", port, lacks=_MOTO_LACKS)


@contextlib.contextmanager
def google(folder: Path) -> Iterator[Service]:
    """What has Google's ways (``google_front``), before a second instance of this server, which is
    looked at from the other side."""
    port = free_port()
    with cluster(folder) as running:
        behind = running.fronts[0].port
        argv = ["-m", "tests.backends.google_front", str(port), str(behind)]
        environ = {"PYTHONPATH": str(REPOSITORY)}
        lacks = frozenset({"tags", "create-only"})
        with _program("google", [sys.executable, *argv], environ, folder, port):
            yield Service("google", port, lacks=lacks, behind=behind)


@contextlib.contextmanager
def minio(folder: Path) -> Iterator[Service]:
    """MinIO, whose program TWOFOLD_MINIO names: it is not among those that ``make`` installs."""
    port = free_port()
    program = Path(os.environ["TWOFOLD_MINIO"])
    environ = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
    argv = [str(program), "server", str(folder / "disk"), "--address", f"127.0.0.1:{port}"]
    with _program("minio", argv, environ, folder, port):
        yield Service("minio", port)


@contextlib.contextmanager
def _program(
    name: str, argv: list[str], environ: dict[str, str], folder: Path, port: int
) -> Iterator[None]:
    """A program that listens on a port until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(name, argv, {**os.environ, **environ}, folder / f"{name}.log")
    try:
        process.start()
        wait_for(
            lambda: accepts_connections(port),
            lambda: f"{name}:\n{process.output[-2000:]}",
            _START_SECONDS_MAX,
        )
        yield
    finally:
        process.kill()


SERVICES: Final[dict[str, Callable[[Path], AbstractContextManager[Service]]]] = {
    "twofold": twofold,
    "moto": moto,
    "seaweedfs": seaweedfs,
    "google": google,
    "minio": minio,
}


def chosen() -> list[str]:
    """The services that this run of the tests is about: TWOFOLD_S3_SERVICES names them, or in the
    long campaigns all that are installed."""
    named = os.environ.get("TWOFOLD_S3_SERVICES")
    if named:
        return named.split(",")
    soak = os.environ.get("TWOFOLD_SOAK") == "1"
    return ["twofold", "google", *(["moto", "seaweedfs"] if soak else [])]
