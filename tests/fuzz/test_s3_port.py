"""Hundreds of thousands of signed requests, most of them odd in some way, to a live installation.

None is answered 500, no process is surprised or dies, memory comes back, and what nobody may touch
is as it was. A request that fails is printed whole, with the number that makes it again.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.api.encrypting import encrypting_cluster
from tests.clients_boto3 import s3_client
from tests.fuzz.s3_shapes import FURNISHED, World, shape
from tests.fuzz.s3_signing import Attempt, attempt
from tests.fuzz.watch import Watched
from tests.multipart import upload_parts
from tests.raw_http import Connection
from tests.servers import OTHER_ACCESS_KEY, OTHER_SECRET_KEY, Cluster, Front

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
REQUESTS = 300_000 if SOAK else 1_500
SEED = os.environ.get("TWOFOLD_FUZZ_SEED", "s3")
THREADS = 4
REFRESH_REQUESTS = 400
UNAVAILABLE_MAX = REQUESTS // 50
"""Conditional writes of one key that met each other too often are answered 503, or so."""

CONTROL = {f"control/{number}": bytes([number]) * 100_000 * number for number in range(1, 4)}
VIOLATIONS_MAX = 20
FAILURES = frozenset((b"500", b"502", b"504"))
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Campaign:
    """Requests from several threads; ``violations`` says what must not have happened."""

    def __init__(self, running: Cluster, world: World) -> None:
        self.front: Front = running.fronts[0]
        self.world = world
        self.statuses: Counter[bytes] = Counter()
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._s3 = s3_client(self.front)

    def run(self, first: int, count: int) -> None:
        threads = [
            threading.Thread(target=self._work, args=(first + offset, first + count))
            for offset in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.violations, "\n\n".join(self.violations[:5])

    def _work(self, first: int, end: int) -> None:
        connection: Connection | None = None
        for number in range(first, end, THREADS):
            if number % REFRESH_REQUESTS == 0:
                furnish(self._s3, self.front, self.world)
            chance = Random(f"{SEED}/{number}")
            tried: Attempt | None = None
            try:
                wanted = shape(chance, self.world)
                tried = attempt(chance, self.front, self.world, wanted)
                connection = connection or Connection(self.front)
                if tried.plain:
                    connection = self._exchange(connection, tried, wanted.path, number)
                else:
                    self._note(_answers_to(self.front, tried), tried, number)
            except Exception as error:
                sent = b"" if tried is None else bytes(tried.wire)
                self.violations.append(f"{number}: {error!r}\n{sent[:3000]!r}")
                connection = None
            if len(self.violations) >= VIOLATIONS_MAX:
                break
        if connection is not None:
            connection.close()

    def _exchange(
        self, connection: Connection, tried: Attempt, path: str, number: int
    ) -> Connection | None:
        response = connection.exchange(tried.wire)
        self.world.learn(path, response)
        self._note([b"%d" % response.status], tried, number)
        if response.headers.get("Connection", "").lower() != "close":
            return connection
        connection.close()
        return None

    def _note(self, statuses: list[bytes], tried: Attempt, number: int) -> None:
        with self._lock:
            self.statuses.update(statuses)
        if FAILURES.intersection(statuses):
            self.violations.append(f"{number}: {statuses}\n{bytes(tried.wire)[:3000]!r}")


def _answers_to(front: Front, tried: Attempt) -> list[bytes]:
    """The statuses of whatever comes back to a request that may be none, or more than one."""
    with Connection(front) as connection:
        connection.send(tried.wire)
        connection.half_close()
        return _STATUS.findall(connection.rest())


def furnish(s3: Any, front: Front, world: World) -> None:
    """Put back what requests may have deleted."""
    for bucket in world.buckets:
        for key in FURNISHED:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 50, Metadata={"a": "b"})
        for key in ("parts", "a"):
            upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            world.uploads.append((f"/{bucket}/{key}", upload))
    bucket = world.buckets[0]
    s3.put_object(Bucket=bucket, Key="large", Body=b"l" * 1_200_000)
    upload_parts(front, f"/{bucket}/parts", {1: b"1" * 5_300_000, 2: b"2"})


def prepared(front: Front) -> World:
    """Buckets of every kind, and one that is somebody else's."""
    s3, other = s3_client(front), s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY)
    buckets = ["fuzz-plain", "fuzz-versioned", "fuzz-suspended", "fuzz-locked"]
    for name in buckets:
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=name == "fuzz-locked")
    for name, status in (("fuzz-versioned", "Enabled"), ("fuzz-suspended", "Suspended")):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    other.create_bucket(Bucket="fuzz-foreign")
    for key, data in CONTROL.items():
        other.put_object(Bucket="fuzz-foreign", Key=key, Body=data, Metadata={"of": key})
        s3.put_object(Bucket="fuzz-plain", Key=key, Body=data, Metadata={"of": key})
    world = World(buckets, "fuzz-foreign")
    furnish(s3, front, world)
    return world


def assert_control(front: Front) -> None:
    """What nobody named, and what nobody might change, is intact."""
    owner, other = s3_client(front), s3_client(front, OTHER_ACCESS_KEY, OTHER_SECRET_KEY)
    for client, bucket in ((owner, "fuzz-plain"), (other, "fuzz-foreign")):
        for key, data in CONTROL.items():
            found = client.get_object(Bucket=bucket, Key=key)
            assert found["Body"].read() == data
            assert found["Metadata"] == {"of": key}
    assert {
        each["Key"] for each in other.list_objects_v2(Bucket="fuzz-foreign")["Contents"]
    } == set(CONTROL)


@pytest.mark.timeout(7200 if SOAK else 300)
def test_no_request_is_answered_with_500(tmp_path: Path) -> None:
    with encrypting_cluster(tmp_path) as running:
        front = running.fronts[0]
        campaign = Campaign(running, prepared(front))
        campaign.run(0, REQUESTS // 10)  # what is loaded and kept once is no growth
        watched = Watched([front.process, running.dmd_metadata, running.dmd_data])
        campaign.run(REQUESTS // 10, REQUESTS - REQUESTS // 10)
        assert campaign.statuses[b"503"] <= UNAVAILABLE_MAX, campaign.statuses
        assert campaign.statuses[b"200"] > REQUESTS // 10, campaign.statuses
        assert_control(front)
        watched.assert_unharmed()
