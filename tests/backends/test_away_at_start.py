"""A place that is away when the server starts is a warning, and comes when it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.support import body_of, code_of
from tests.backends.places import new_bucket
from tests.backends.s3_services import Service, remote
from tests.clients_boto3 import s3_client
from tests.raw_http import call
from tests.servers import Cluster, cluster, wait_for


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "remote") as running:
        yield running


def test_others_are_served_and_it_comes(service: Cluster, tmp_path: Path) -> None:
    there = service.fronts[0]
    place = remote(Service("twofold", there.port), versioned=True)
    there.process.stop()
    locations = {
        "us-east-1": {"type": "file", "details": {}},
        "cloud": {"type": "aws_s3", "details": place.document()},
    }
    path = tmp_path / "locations.json"
    path.write_text(json.dumps(locations))
    environ = {"S3_LOCATION_FILE": str(path)}
    with cluster(tmp_path / "here", environ=environ) as running:
        front = running.fronts[0]
        s3 = s3_client(front)
        near, far = new_bucket(s3, "us-east-1"), new_bucket(s3, "cloud")
        wait_for(lambda: "a location cannot be used at present" in front.process.output, "it")
        began = time.monotonic()
        s3.put_object(Bucket=near, Key="key", Body=b"body")
        assert body_of(s3, near, "key") == b"body"
        assert time.monotonic() - began < 1
        refused = code_of(s3.put_object, Bucket=far, Key="key", Body=b"x" * 70_000)
        assert refused == (503, "ServiceUnavailable")
        there.start()

        def stores() -> bool:
            answer = call(front, "PUT", f"/{far}/key", b"x" * 70_000)
            return answer.status == 200 or answer.error["Code"] != "ServiceUnavailable"

        wait_for(stores, "the place to be used again", 60)
        assert body_of(s3, far, "key") == b"x" * 70_000
        assert place.keys() == ["key"]
