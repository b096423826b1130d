"""A cluster whose location ``there`` is a bucket of a second instance of this server, behind a
server that misbehaves, and all that clients do with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.records.names import DEAD_LETTERS, DELETIONS, STRAYS
from tests.backends.s3_services import Remote, Service, remote
from tests.faults.http_faults import HttpFaults
from tests.faults.stores import stored_records
from tests.raw_http import call
from tests.servers import ACCESS_KEY, REGION, SECRET_KEY, Cluster, Front, cluster, wait_for

DEADLINE_SECONDS: Final = 2
"""That of the location."""

LONG_SECONDS: Final = DEADLINE_SECONDS * 10
"""What completing an upload and copying may take."""

ANSWERED_SECONDS_MAX: Final = DEADLINE_SECONDS + 5 + 8
"""How long a client may wait for an answer to anything else: several calls of the place belong to
some, such as a part that is copied; and it runs beside other tests."""

GRACE_SECONDS: Final = 8
SMALL: Final = b"a small object" * 100
_TRIES: Final = 5
"""Where a call is not what is tested: the machine may have much else to do."""

LARGE: Final = os.urandom(3 * 1024 * 1024)
PART: Final = os.urandom(5 * 1024 * 1024)

CODES: Final = {"ServiceUnavailable": 503, "SlowDown": 503, "InternalError": 500}
"""What clients may be told of a place that fails."""


@dataclass
class Told:
    """What a client was told: ``code`` is empty for success, and ``broken`` for a reply that did
    not come to its end."""

    name: str
    code: str
    status: int
    seconds: float
    found: Any = None


@dataclass
class OutageStage:
    """See the module."""

    running: Cluster
    remote: Remote
    faults: HttpFaults
    remote_running: Cluster
    credentials: dict[str, str]
    authdata: Path
    """The accounts of the remote service, which it reads again when they change."""
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    """What was answered with success, and is in the bucket ``there``."""
    fixed: dict[str, str] = field(default_factory=dict)

    @property
    def front(self) -> Front:
        return self.running.fronts[0]

    def client(self, tries: int = 1) -> Any:
        """boto3 without retries, unless there are to be some, which waits longer than the server
        should need."""
        return boto3.client(
            "s3",
            endpoint_url=self.front.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(
                retries={"total_max_attempts": tries},
                read_timeout=LONG_SECONDS + 30,
                connect_timeout=10,
                max_pool_connections=64,
                # Replies are held against what was put by the tests themselves.
                response_checksum_validation="when_required",
            ),
        )

    def report(self) -> dict[str, Any]:
        """What the front-end says of the location."""
        document = json.loads(call(self.front, "GET", "/_/healthcheck").body)
        found: dict[str, Any] = document["locations"]["there"]
        return found

    def wait_until_closed(self) -> None:
        """Until the location is asked again, which takes requests."""
        s3 = self.client()

        def works() -> bool:
            with contextlib.suppress(ClientError):
                s3.get_object(Bucket="there", Key="stored")["Body"].read()
            return bool(self.report()["state"] == "closed")

        wait_for(works, lambda: f"the circuit to close: {self.report()}", 60)

    def wait_until_free(self) -> None:
        """Until nothing of the location is in use."""

        def is_free() -> bool:
            report = self.report()
            return not any(report[name] for name in ("running", "waiting", "reading", "writing"))

        wait_for(is_free, lambda: f"slots to be free: {self.report()}")

    def wait_until_settled(self) -> None:
        """Until background work has done all that waits."""
        levels = [STRAYS, DELETIONS]
        wait_for(
            lambda: not any(stored_records(self.running, levels).values()),
            lambda: f"empty queues: {stored_records(self.running, [*levels, DEAD_LETTERS])}",
            90,
        )
        assert not stored_records(self.running, [DEAD_LETTERS])[DEAD_LETTERS]

    def left_at_the_remote(self) -> list[str]:
        """All versions, delete markers and uploads there."""
        s3, bucket = self.remote.s3, self.remote.bucket
        found = s3.list_object_versions(Bucket=bucket)
        uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [
            *(entry["Key"] for entry in found.get("Versions", [])),
            *(f"marker {entry['Key']}" for entry in found.get("DeleteMarkers", [])),
            *(f"upload {entry['Key']}" for entry in uploads),
        ]

    def renew_credentials(self, access_key: str, secret_key: str) -> None:
        """Write them into locationConfig.json, and have it read."""
        self.credentials.update(accessKey=access_key, secretKey=secret_key)
        write_locations(self.running.folder, self.remote, self.faults, self.credentials)
        before = self.front.process.output.count("configuration reloaded")
        os.kill(self.front.process.pid, signal.SIGHUP)
        wait_for(
            lambda: self.front.process.output.count("configuration reloaded") > before,
            "the locations to be read again",
        )

    # -- What clients do --------------------------------------------------------------------------

    def prepare(self) -> None:
        """Put what later calls are about."""
        s3 = self.client(_TRIES)
        self.put(s3, "stored", SMALL)
        self.put(s3, "large", LARGE)
        for name in ("to-delete", "to-delete-too"):
            s3.put_object(Bucket="there", Key=name, Body=SMALL)
        for name in ("part", "complete", "abort", "part-copy"):
            key = f"upload-{name}"
            upload = s3.create_multipart_upload(Bucket="there", Key=key)["UploadId"]
            self.fixed[name] = upload
            if name in ("complete", "abort"):
                part = s3.upload_part(
                    Bucket="there", Key=key, UploadId=upload, PartNumber=1, Body=PART
                )
                self.fixed[f"{name}-etag"] = part["ETag"]

    def put(self, s3: Any, key: str, data: bytes) -> None:
        """Put an object, which counts as acknowledged once that is answered."""
        s3.put_object(Bucket="there", Key=key, Body=data)
        self.acknowledged[key] = data

    def calls(self) -> Mapping[str, Callable[[Any], Any]]:
        """All kinds of calls; each that succeeds is noted as acknowledged."""
        fixed = self.fixed

        def part(s3: Any, name: str) -> dict[str, Any]:
            return {"Bucket": "there", "Key": f"upload-{name}", "UploadId": fixed[name]}

        def complete(s3: Any) -> None:
            parts = [{"PartNumber": 1, "ETag": fixed["complete-etag"]}]
            s3.complete_multipart_upload(**part(s3, "complete"), MultipartUpload={"Parts": parts})
            self.acknowledged["upload-complete"] = PART

        def copy(s3: Any, source: str, data: bytes) -> None:
            key = f"copy-of-{source}"
            s3.copy_object(Bucket="there", Key=key, CopySource={"Bucket": "there", "Key": source})
            self.acknowledged[key] = data

        def get(s3: Any, key: str, **more: Any) -> bytes:
            body: bytes = s3.get_object(Bucket="there", Key=key, **more)["Body"].read()
            return body

        return {
            "put small": lambda s3: self.put(s3, "new-small", SMALL),
            "put large": lambda s3: self.put(s3, "new-large", LARGE),
            "get": lambda s3: get(s3, "stored"),
            "get large": lambda s3: get(s3, "large"),
            "get range": lambda s3: get(s3, "large", Range="bytes=1000000-1999999"),
            "head": lambda s3: s3.head_object(Bucket="there", Key="large")["ContentLength"],
            "delete": lambda s3: s3.delete_object(Bucket="there", Key="to-delete"),
            "create upload": lambda s3: s3.create_multipart_upload(Bucket="there", Key="more"),
            "upload part": lambda s3: s3.upload_part(**part(s3, "part"), PartNumber=1, Body=PART),
            "upload part copy": lambda s3: s3.upload_part_copy(
                **part(s3, "part-copy"),
                PartNumber=1,
                CopySource={"Bucket": "there", "Key": "large"},
            ),
            "complete": complete,
            "abort": lambda s3: s3.abort_multipart_upload(**part(s3, "abort")),
            "copy": lambda s3: copy(s3, "stored", SMALL),
            "copy large": lambda s3: copy(s3, "large", LARGE),
        }

    def call_all(self) -> list[Told]:
        """All of them at once, each with a client of its own."""
        calls = self.calls()
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda name: tell(name, calls[name], self.client()), calls))


EXPECTED: Final[Mapping[str, Any]] = {
    "get": SMALL,
    "get large": LARGE,
    "get range": LARGE[1_000_000:2_000_000],
    "head": len(LARGE),
}
"""What is found by calls that find something."""


def tell(name: str, ask: Callable[[Any], Any], s3: Any) -> Told:
    """Ask once, and say what came of it."""
    began = time.monotonic()
    found: Any = None
    try:
        found = ask(s3)
        code, status = "", 200
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    except BotoCoreError as error:
        code, status = f"broken: {error!r}", 0
    return Told(name, code, status, time.monotonic() - began, found)


def write_locations(
    folder: Path,
    remote: Remote,
    faults: HttpFaults,
    credentials: Mapping[str, str],
    more: Mapping[str, Any] = {},
) -> Path:
    """locationConfig.json of the cluster."""
    path = folder / "locations.json"
    details = remote.document(awsEndpoint=f"127.0.0.1:{faults.port}", credentials=dict(credentials))
    document = {
        "us-east-1": {"type": "file", "legacyAwsBehavior": True},
        "there": {
            "type": "aws_s3",
            "details": details,
            "limits": {"deadlineSeconds": DEADLINE_SECONDS},
        },
        **more,
    }
    path.write_text(json.dumps(document))
    return path


@contextlib.contextmanager
def outage_stage(
    folder: Path,
    *,
    versioned: bool = True,
    supervised: bool = False,
    forked: bool = True,
    grace_seconds: int = GRACE_SECONDS,
) -> Iterator[OutageStage]:
    """It runs until the block ends; its remote bucket keeps versions, or does not. One that is
    ``supervised`` has a location ``memory``; not ``forked``, its processes have all their memory
    for themselves. No upload may take longer than ``grace_seconds``."""
    authdata = folder / "authdata.json"
    accounts = json.loads((Path(__file__).parents[2] / "conf" / "authdata.json").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    authdata.write_text(json.dumps(accounts))
    away = cluster(folder / "remote", environ={"S3AUTH_CONFIG": str(authdata)})
    with away as remote_running, HttpFaults(remote_running.fronts[0].port) as faults:
        place = remote(Service("twofold", remote_running.fronts[0].port), versioned=versioned)
        (folder / "here").mkdir()
        credentials = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        memory = {"memory": {"type": "mem"}} if supervised else {}
        path = write_locations(folder / "here", place, faults, credentials, memory)
        settings = {
            "deleteDelaySeconds": 0,
            "gcGraceSeconds": grace_seconds,
            # Less than half of the grace.
            "metadataClient": {"callTimeoutMs": min(30_000, grace_seconds * 500 - 500)},
        }
        environ = {"S3_LOCATION_FILE": str(path)}
        options: dict[str, Any] = {
            "settings": settings,
            "environ": environ,
            "supervised": supervised,
            "forked": forked,
        }
        with cluster(folder / "here", **options) as running:
            stage = OutageStage(running, place, faults, remote_running, credentials, authdata)
            s3 = stage.client()
            for name in ("there", *memory):
                s3.create_bucket(
                    Bucket=name, CreateBucketConfiguration={"LocationConstraint": name}
                )
            s3.create_bucket(Bucket="here")
            yield stage


def empty(stage: OutageStage) -> None:
    """Delete all that is in the bucket ``there``, and its uploads."""
    s3 = stage.client(_TRIES)
    for entry in s3.list_objects_v2(Bucket="there").get("Contents", []):
        s3.delete_object(Bucket="there", Key=entry["Key"])
    for entry in s3.list_multipart_uploads(Bucket="there").get("Uploads", []):
        s3.abort_multipart_upload(Bucket="there", Key=entry["Key"], UploadId=entry["UploadId"])
    stage.acknowledged.clear()
