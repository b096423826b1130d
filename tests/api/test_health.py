"""``/_/healthcheck``, and what S3 clients are told while a daemon is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from tests.api.support import code_of, error_of, new_name
from tests.clients_boto3 import s3_client
from tests.raw_http import Response, anonymous, call
from tests.servers import Cluster, Front, cluster, wait_for

PATH = "/_/healthcheck"


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_connected_front_end_is_healthy(front: Front, method: str) -> None:
    response = anonymous(front, method, PATH)
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    if method != "HEAD":
        assert orjson.loads(response.body) == {"metadata": {"code": 200, "connected": True}}


def test_over_https(tls_front: Front) -> None:
    assert anonymous(tls_front, "GET", PATH + "?query=ignored").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("PUT", PATH, 405, "MethodNotAllowed"),
        ("DELETE", PATH, 405, "MethodNotAllowed"),
        ("GET", "/_/", 400, "InvalidURI"),
        ("GET", "/_/other", 400, "InvalidURI"),
        ("GET", PATH + "/", 400, "InvalidURI"),
        ("GET", "/_/../bucket", 400, "InvalidURI"),
    ],
)
def test_what_is_no_health_check(
    front: Front, method: str, path: str, status: int, code: str
) -> None:
    response = anonymous(front, method, path)
    assert (response.status, response.error["Code"]) == (status, code)


@dataclass
class Outage:
    """A cluster whose daemons a test may end."""

    running: Cluster

    @property
    def front(self) -> Front:
        return self.running.fronts[0]

    @property
    def health(self) -> Response:
        return anonymous(self.front, "GET", PATH)

    @property
    def client(self) -> Any:
        return s3_client(self.front)


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    with cluster(tmp_path_factory.mktemp("outage")) as running:
        yield Outage(running)


def test_without_the_metadata_daemon(outage: Outage) -> None:
    name = new_name()
    outage.client.create_bucket(Bucket=name)
    outage.running.dmd_metadata.kill()
    try:
        wait_for(lambda: outage.health.status == 503, "the front-end to notice")
        document = orjson.loads(outage.health.body)
        assert document == {"metadata": {"code": 503, "connected": False}}
        assert code_of(outage.client.list_objects_v2, Bucket=name) == (503, "ServiceUnavailable")
        assert call(outage.front, "GET", f"/{name}").headers["Retry-After"] == "1"
    finally:
        outage.running.start_daemons()
    wait_for(lambda: outage.health.status == 200, "the front-end to be healthy again")
    assert outage.client.list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_without_the_data_daemon(outage: Outage) -> None:
    """Metadata still answers; bytes do not, and nothing names what was not stored."""
    name = new_name()
    outage.client.create_bucket(Bucket=name)
    outage.client.put_object(Bucket=name, Key="before", Body=b"kept")
    outage.running.dmd_data.kill()
    try:
        client = outage.client
        put = error_of(client.put_object, Bucket=name, Key="during", Body=b"lost")
        get = error_of(client.get_object, Bucket=name, Key="before")
        assert (put["status"], put["Code"]) == (503, "ServiceUnavailable")
        assert (get["status"], get["Code"]) == (503, "ServiceUnavailable")
        assert client.head_object(Bucket=name, Key="before")["ContentLength"] == 4
        assert outage.health.status == 200
    finally:
        outage.running.start_daemons()
    assert outage.client.get_object(Bucket=name, Key="before")["Body"].read() == b"kept"
    assert code_of(outage.client.head_object, Bucket=name, Key="during") == (404, "404")
