"""A master key of a service is replaced, and what was under it is wrapped anew, by commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from s3front.keys.retired_keys import RETIRED
from s3front.work.key_rotation import ROTATION
from shared.records.encrypted import protections
from shared.records.names import KEY_JOBS
from tests.api.encrypting import BY_KMS, BY_S3
from tests.api.support import body_of, set_versioning
from tests.backends.keys.describing import TIMEOUT_MS
from tests.backends.keys.services import KINDS, Service
from tests.clients_boto3 import s3_client
from tests.faults.stores import call_metadata, stored_records
from tests.servers import Cluster, cluster, wait_for


@dataclass
class Stage:
    service: Service
    cluster: Cluster

    @property
    def s3(self) -> Any:
        return s3_client(self.cluster.fronts[-1])

    def keys(self, *argv: str, code: int = 0) -> str:
        """``s3front keys``, as the operator of the front-end types it."""
        done = subprocess.run(
            [sys.executable, "-m", "s3front", "keys", *argv],
            env=self.cluster.work.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def names(self, bucket: str) -> set[str]:
        """The master keys that the records of a bucket name."""
        records = stored_records(self.cluster, [bucket])[bucket]
        return {each.key for record in records.values() for each in protections(record) if each}


@pytest.fixture(params=list(KINDS))
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / "service"
    folder.mkdir()
    with ExitStack() as stack:
        service = KINDS[request.param](folder, stack)
        described = service.settings.get("encryption", {})
        encryption = {
            **described, "current": service.name, "timeoutMs": TIMEOUT_MS, "cacheSeconds": 1,
        }  # fmt: skip
        settings = {**service.settings, "encryption": encryption, "deleteDelaySeconds": 0}
        running = stack.enter_context(cluster(tmp_path / "c", settings=settings))
        yield Stage(service, running)


def test_a_master_key_of_a_service_is_replaced(stage: Stage) -> None:
    s3, name = stage.s3, stage.service.name
    s3.create_bucket(Bucket="bucket")
    set_versioning(s3, "bucket", "Enabled")
    s3.put_object(Bucket="bucket", Key="small", Body=b"one", **BY_S3)
    s3.put_object(Bucket="bucket", Key="small", Body=b"two", **BY_KMS)
    s3.put_object(Bucket="bucket", Key="large", Body=bytes(200_000), **BY_S3)
    old = f"{name}:{stage.service.key_id}"
    assert stage.names("bucket") == {old}
    assert "is the current key" in stage.keys("retire", old, code=1)
    assert "is the current key" in stage.keys("remove", old, code=1)

    said = stage.keys("rotate")
    if name == "kmip":
        # There the configuration says which key is current.
        assert f"then: s3front keys retire {old}" in said
        new = said.split("made the master key ")[1].split(",")[0]
        stage.cluster.settings["kmip"]["keyId"] = new.partition(":")[2]
        stage.cluster._write_config("config.json", {})
        stage.cluster.work.stop()
        stage.cluster.work.start()
        stage.cluster.add_front()
        assert "is retired" in stage.keys("retire", old)
    else:
        new = said.split("the current master key is ")[1].split(";")[0]
        assert f"{old} is retired" in said
    assert new != old
    stage.s3.put_object(Bucket="bucket", Key="later", Body=b"later", **BY_S3)

    def is_over() -> bool:
        return stage.names("bucket") == {new}

    wait_for(
        is_over,
        lambda: f"{stage.names('bucket')}: {stage.cluster.work.output[-3000:]}",
        120,
    )
    progress = stored_records(stage.cluster, [KEY_JOBS])[KEY_JOBS][ROTATION]
    assert progress["keys"] == [old]
    assert not progress.get("failed")
    fresh = s3_client(stage.cluster.add_front())
    assert body_of(fresh, "bucket", "small") == b"two"
    assert body_of(fresh, "bucket", "large") == bytes(200_000)

    listed = json.loads(stage.keys("list", "--json", "--count"))
    assert listed["retired"] == [old]
    assert set(listed["records"]) == {new}
    assert "was retired less than" in stage.keys("remove", old, code=1)
    long_ago = {"keys": {old: "2026-01-01T00:00:00.000Z"}}
    call_metadata(stage.cluster, "put", [RETIRED, json.dumps(long_ago), {}], [KEY_JOBS])
    assert f"no record names {old}" in stage.keys("remove", old)
    listed = json.loads(stage.keys("list", "--json"))
    assert listed["retired"] == []
    assert listed["used"] == [new]


def test_what_cannot_be_retired(stage: Stage) -> None:
    for key in ("file:a", "vault:", "other:key", "nothing", f"{stage.service.name}:never-used"):
        said = stage.keys("retire", key, code=1)
        assert "is no key of a service" in said or "no record was ever under" in said
    assert "and not --to" in stage.keys("rotate", "--to", "x", code=1)
