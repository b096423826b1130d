"""What a browser, a monitor or a container engine gets that asks for no bucket at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.raw_http import anonymous, call
from tests.servers import Front, cluster, wait_for

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
ALIVE = ("/minio/health/live", "/health/live", "/livez")
READY = ("/minio/health/ready", "/minio/health/cluster", "/health", "/healthz", "/readyz")
METRICS = ("/metrics", "/minio/v2/metrics/cluster")


# --- Browsers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost:8000", "nas.lan", "192.0.2.1"])
def test_a_browser_gets_a_page(front: Front, host: str) -> None:
    response = anonymous(front, "GET", "/", headers={**BROWSER, "Host": host})
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    scheme = "https" if front.tls else "http"
    text = response.body.decode()
    assert f"aws --endpoint-url {scheme}://{host} s3 ls" in text
    assert "S3 server" in text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_what_is_no_browser(front: Front, s3: Any, bucket: str) -> None:
    assert anonymous(front, "GET", "/").error["Code"] == "AccessDenied"
    assert anonymous(front, "GET", "/", headers={"Accept": "*/*"}).status == 403
    assert anonymous(front, "PUT", "/", headers=BROWSER).status == 405
    assert anonymous(front, "GET", f"/{bucket}", headers=BROWSER).error["Code"] == "AccessDenied"
    # The page of a bucket is the bucket's.
    headers = {**BROWSER, "Host": f"{bucket}.localhost"}
    assert anonymous(front, "GET", "/", headers=headers).error["Code"] == "AccessDenied"
    listed = call(front, "GET", "/", headers=BROWSER)
    assert listed.xml.tag == "ListAllMyBucketsResult"


# --- Monitors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*ALIVE, *READY, *METRICS])
@pytest.mark.parametrize(
    "host", ["localhost", "10.1.2.3:8000", "s3front.storage.svc.cluster.local"]
)
def test_the_paths_of_other_servers(front: Front, path: str, host: str) -> None:
    for method in ("GET", "HEAD"):
        assert anonymous(front, method, path, headers={"Host": host}).status == 200
    body = anonymous(front, "GET", f"{path}?verbose", headers={"Host": host}).body
    if path in READY:
        assert orjson.loads(body) == {"metadata": {"code": 200, "connected": True}}
    if path in METRICS:
        assert b"\ntwofold_metadata_connected 1\n" in body


def test_requests_that_are_no_probes(front: Front) -> None:
    assert anonymous(front, "PUT", "/metrics").error["Code"] == "AccessDenied"
    assert anonymous(front, "GET", "/metrics/key").error["Code"] == "NoSuchBucket"
    assert call(front, "GET", "/health").error["Code"] == "NoSuchBucket"
    headers = {"Host": "absent.localhost"}
    assert anonymous(front, "GET", "/health", headers=headers).error["Code"] == "NoSuchBucket"


def test_a_bucket_comes_before_a_probe(tmp_path: Path) -> None:
    trusting = {"requests": {"viaProxy": True, "trustedProxyCIDRs": ["127.0.0.0/8"]}}
    with cluster(tmp_path, memory=True, settings=trusting) as running:
        front = running.fronts[0]
        assert anonymous(front, "GET", "/metrics").status == 200
        # Metrics are for those who may ask for the health in all detail.
        far = {"X-Forwarded-For": "192.0.2.1"}
        assert anonymous(front, "GET", "/metrics", headers=far).error["Code"] == "AccessDenied"
        assert anonymous(front, "GET", "/health", headers=far).status == 200
        for name in ("metrics", "minio"):
            assert call(front, "PUT", f"/{name}").status == 200
        for path in ("/metrics", "/minio/health/live"):
            assert anonymous(front, "GET", path).error["Code"] == "AccessDenied"
            hosted = {"Host": f"{path[1:].partition('/')[0]}.nas.lan"}
            assert (
                anonymous(front, "GET", "/health", headers=hosted).error["Code"] == "AccessDenied"
            )
        assert anonymous(front, "GET", "/health").status == 200
        # A process without its metadata is alive, and of no use.
        running.dmd_metadata.kill()
        wait_for(lambda: anonymous(front, "GET", "/readyz").status == 503, "the outage")
        assert anonymous(front, "GET", "/livez").status == 200
        assert anonymous(front, "GET", "/minio/health/live").status == 200
        body = anonymous(front, "GET", "/metrics").body
        assert body.endswith(b"\ntwofold_metadata_connected 0\n")
