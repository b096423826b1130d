"""What a large object costs a front-end that has its bytes at another S3 service, held against what
boto3's own transfer costs its process, in one run; and the memory that it takes."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from s3front.auth.sigv4 import AccessKey, RequestHead, sign_request
from tests.backends.s3_services import Remote, Service, remote
from tests.bench.cost import cpu_seconds, memory_mib
from tests.clients_boto3 import s3_client
from tests.servers import ACCESS_KEY, REGION, REPOSITORY, SECRET_KEY, Cluster, Front, Tls, cluster

MIB = 1024 * 1024
SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
TRANSFER_MIB = 512 if SOAK else 96
LARGE_MIB = 5 * 1024 if SOAK else 256
MEMORY_MIB_MAX = 200
TIMES_MAX = 1.3
BUCKET = "large"


class There(NamedTuple):
    """Both servers: ours, and that which the location is at."""

    here: Cluster
    place: Remote
    url: str
    ca: str


@pytest.fixture(scope="module", params=["http", "https"] if SOAK else ["http"])
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tls: Tls
) -> Iterator[There]:
    folder = tmp_path_factory.mktemp("cost")
    secure = request.param == "https"
    with cluster(folder / "there") as remote_cluster:
        plain = remote_cluster.fronts[0]
        place = remote(Service("twofold", plain.port), versioned=True)
        front = remote_cluster.add_front(tls=tls) if secure else plain
        more = {"caBundle": str(tls.authority)} if secure else {}
        details = place.document(awsEndpoint=f"localhost:{front.port}", https=secure, **more)
        locations = {
            "us-east-1": {"type": "file", "details": {}},
            "there": {"type": "aws_s3", "details": details},
        }
        (folder / "locations.json").write_text(json.dumps(locations))
        environ = {"S3_LOCATION_FILE": str(folder / "locations.json")}
        with cluster(folder / "here", environ=environ) as here:
            s3_client(here.fronts[0]).create_bucket(
                Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "there"}
            )
            yield There(here, place, front.url, str(tls.authority) if secure else "")


def transfer(front: Front, method: str, key: str, mib: int) -> None:
    """Send an object of zeros, or read it."""
    path = f"/{BUCKET}/{key}"
    host = f"127.0.0.1:{front.port}"
    head = RequestHead(method, path, "", {"host": host})
    access = AccessKey(ACCESS_KEY, SECRET_KEY, REGION)
    signed = sign_request(head, access, datetime.now(UTC), "UNSIGNED-PAYLOAD")
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=300)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": host, **signed.headers}.items():
        connection.putheader(name, value)
    if method == "PUT":
        connection.putheader("Content-Length", str(mib * MIB))
    connection.endheaders()
    if method == "PUT":
        for _ in range(mib):
            connection.send(bytes(MIB))
    response = connection.getresponse()
    received = 0
    while block := response.read(MIB):
        received += len(block)
    assert (response.status, received) == (200, mib * MIB if method == "GET" else 0)
    connection.close()


def boto3_seconds(there: There, mib: int) -> tuple[float, float]:
    """Of CPU, to and fro."""
    argv = ["-m", "tests.backends.aws_s3.boto3_transfer", there.url, there.place.bucket]
    done = subprocess.run(
        [sys.executable, *argv, "boto3", str(mib), there.ca],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    written, read = done.stdout.split()
    return float(written), float(read)


@pytest.mark.timeout(900)
def test_a_large_object_costs_hardly_more_than_boto3_takes(
    there: There, record_property: Callable[[str, object], None]
) -> None:
    front = there.here.fronts[0]
    transfer(front, "PUT", "warm", 16)
    transfer(front, "GET", "warm", 16)
    ours, theirs = [0.0, 0.0], [0.0, 0.0]
    for turn in range(2):
        for index, method in enumerate(("PUT", "GET")):
            before = cpu_seconds([front.process])
            transfer(front, method, f"large-{turn}", TRANSFER_MIB)
            ours[index] += cpu_seconds([front.process]) - before
        for index, seconds in enumerate(boto3_seconds(there, TRANSFER_MIB)):
            theirs[index] += seconds
    rates = [seconds / 2 / TRANSFER_MIB * 1000 for seconds in (*ours, *theirs)]
    line = "ours PUT {:.2f} GET {:.2f}, boto3 PUT {:.2f} GET {:.2f} ms/MiB".format(*rates)
    record_property("cost", line)
    print(line)
    assert ours[0] <= TIMES_MAX * theirs[0], line
    assert ours[1] <= TIMES_MAX * theirs[1], line


@pytest.mark.timeout(1800)
def test_a_very_large_object_takes_little_memory(there: There) -> None:
    front = there.here.fronts[0]
    transfer(front, "PUT", "very-large", LARGE_MIB)
    after_put = memory_mib(front.process)
    transfer(front, "GET", "very-large", LARGE_MIB)
    assert max(after_put, memory_mib(front.process), _peak_mib(front)) < MEMORY_MIB_MAX


def _peak_mib(front: Front) -> float:
    for line in Path(f"/proc/{front.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmHWM")
