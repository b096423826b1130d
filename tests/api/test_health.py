"""``/_/healthcheck`` of a front-end whose daemons are there; ``test_outages`` has the others."""

from __future__ import annotations

import orjson
import pytest

from tests.raw_http import anonymous
from tests.servers import Front

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
