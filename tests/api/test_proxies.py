"""A front-end behind a proxy: what the client signed is what its proxy says it sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest

from s3front.auth.sigv4 import EMPTY_SHA256, RequestHead, presign, sign_request
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import OWNER, Response, call, exchange, host_of, wire
from tests.servers import Cluster, Front, cluster

BUCKET = "behind-a-proxy"
PUBLIC = "public.example.com:8443"


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A front-end that trusts this machine, and one that does not."""
    trusting = {
        "requests": {
            "viaProxy": True,
            "trustedProxyCIDRs": ["127.0.0.0/8"],
            "publicEndpoints": [PUBLIC],
        },
        "restEndpoints": {"s3.example.com": "us-east-1", "localhost": "us-east-1"},
    }
    with cluster(tmp_path_factory.mktemp("proxied"), fronts=0, memory=True) as running:
        running.add_front(settings=trusting)
        running.add_front()
        assert call(running.fronts[0], "PUT", f"/{BUCKET}").status == 200
        yield running


@pytest.fixture
def trusting(proxied: Cluster) -> Front:
    return proxied.fronts[0]


@pytest.fixture
def strict(proxied: Cluster) -> Front:
    return proxied.fronts[1]


def get(
    front: Front,
    signed_host: str,
    forwarded: Mapping[str, str],
    *,
    path: str = f"/{BUCKET}",
    inner: str | None = None,
) -> Response:
    """A GET, signed for one host, that a proxy sends to another."""
    head = RequestHead("GET", path, "", {"host": signed_host})
    signed = sign_request(head, OWNER, datetime.now(UTC), EMPTY_SHA256)
    headers = {"Host": inner or host_of(front), **signed.headers, **forwarded}
    return exchange(front, wire("GET", path, headers))


@pytest.mark.parametrize(
    ("signed_host", "forwarded"),
    [
        ("s3.example.com", {"X-Forwarded-Host": "s3.example.com"}),
        ("s3.example.com", {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Port": "80"}),
        ("s3.example.com:81", {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Port": "81"}),
        ("s3.example.com", {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Port": "81"}),
        ("s3.example.com:81", {"X-Forwarded-Host": "s3.example.com:81"}),
        (
            "s3.example.com:443",
            {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Proto": "https"},
        ),
        (PUBLIC, {}),
        (PUBLIC, {"X-Forwarded-Host": "other.example.com"}),
    ],
)
def test_the_host_that_a_trusted_proxy_tells(
    trusting: Front, strict: Front, signed_host: str, forwarded: dict[str, str]
) -> None:
    assert get(trusting, signed_host, forwarded).status == 200
    error = get(strict, signed_host, forwarded).error
    assert error["Code"] == "SignatureDoesNotMatch"
    assert f"\nhost:{host_of(strict)}\n" in error["CanonicalRequest"]


def test_the_host_that_reaches_us_is_good_as_well(trusting: Front) -> None:
    forwarded = {"X-Forwarded-Host": "s3.example.com"}
    assert get(trusting, host_of(trusting), forwarded).status == 200


def test_a_host_that_nobody_told(trusting: Front) -> None:
    """What is explained is the most likely one."""
    error = get(trusting, "else.example.com", {"X-Forwarded-Host": "s3.example.com"}).error
    assert error["Code"] == "SignatureDoesNotMatch"
    assert "\nhost:s3.example.com\n" in error["CanonicalRequest"]


def test_a_bucket_in_the_host_that_a_proxy_tells(trusting: Front, strict: Front) -> None:
    host = f"{BUCKET}.s3.example.com"
    forwarded = {"X-Forwarded-Host": host}
    response = get(trusting, host, forwarded, path="/", inner="localhost")
    assert response.xml.findtext("Name") == BUCKET
    assert get(strict, host, forwarded, path="/", inner="localhost").status == 403


def test_a_presigned_url_of_the_public_host(trusting: Front) -> None:
    head = RequestHead("GET", f"/{BUCKET}", "", {"host": PUBLIC})
    target = f"/{BUCKET}?{presign(head, OWNER, datetime.now(UTC), 60)}"
    assert exchange(trusting, wire("GET", target, {"Host": "inner"})).status == 200


def test_the_place_of_what_a_form_stored(trusting: Front) -> None:
    forwarded = {"X-Forwarded-Host": "s3.example.com", "X-Forwarded-Proto": "https"}
    body = form_body(signed_v4({"key": "a"}, BUCKET), b"file")
    response = exchange(trusting, form_request("inner", f"/{BUCKET}", body, forwarded))
    assert response.headers["Location"] == f"https://s3.example.com/{BUCKET}/a"


def test_the_address_of_the_client_is_what_is_logged(trusting: Front, strict: Front) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.5, 192.0.2.77"}
    for front, peer in ((trusting, "192.0.2.77"), (strict, "127.0.0.1")):
        request_id = get(front, host_of(front), forwarded).headers["x-amz-request-id"]
        lines = [line for line in front.process.output.splitlines() if request_id in line]
        assert json.loads(lines[-1])["peer"] == peer


def test_the_health_is_not_for_clients_of_the_proxy(trusting: Front) -> None:
    target = "/_/healthcheck"
    assert exchange(trusting, wire("GET", target, {"Host": "inner"})).status == 200
    headers = {"Host": "inner", "X-Forwarded-For": "192.0.2.77"}
    assert exchange(trusting, wire("GET", target, headers)).status == 403


def test_the_host_that_was_signed_is_the_one_that_was_addressed(trusting: Front) -> None:
    """A proxy that puts a name of its own in the place of Host leaves nothing to guess."""
    head = RequestHead("PUT", "/new-bucket", "", {"host": PUBLIC})
    signed = sign_request(head, OWNER, datetime.now(UTC), EMPTY_SHA256)
    headers = {"Host": "front.internal.example", **signed.headers}
    assert exchange(trusting, wire("PUT", "/new-bucket", headers)).status == 200


def test_buckets_below_a_public_endpoint(trusting: Front) -> None:
    host = f"{BUCKET}.{PUBLIC}"
    forwarded = {"X-Forwarded-Host": host}
    response = get(trusting, host, forwarded, path="/", inner="localhost")
    assert response.xml.findtext("Name") == BUCKET
