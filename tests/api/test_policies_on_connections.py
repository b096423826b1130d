"""Policies that hang on how a request came: over TLS, from where, and how it was signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3front.auth.sigv4 import RequestHead, presign
from tests.raw_http import OWNER, anonymous, call, exchange, host_of, wire
from tests.servers import Cluster, Front, cluster, make_tls

BUCKET = "by-connection"
TARGET = f"/{BUCKET}/key"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three front-ends: a plain one, one with TLS, and one behind a proxy that it trusts."""
    folder = tmp_path_factory.mktemp("connections")
    proxied = {"requests": {"viaProxy": True, "trustedProxyCIDRs": ["127.0.0.0/8"]}}
    with cluster(folder, fronts=1, memory=True) as started:
        started.add_front(tls=make_tls(folder))
        started.add_front(settings=proxied)
        assert call(started.fronts[0], "PUT", f"/{BUCKET}").status == 200
        assert call(started.fronts[0], "PUT", TARGET, b"body").status == 200
        yield started


@pytest.fixture
def plain(running: Cluster) -> Front:
    return running.fronts[0]


@pytest.fixture
def encrypted(running: Cluster) -> Front:
    return running.fronts[1]


@pytest.fixture
def proxied(running: Cluster) -> Front:
    return running.fronts[2]


def allow(front: Front, condition: Any, effect: str = "Allow") -> None:
    """Let everybody read under a condition, or nobody."""
    statement = {
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        "Condition": condition,
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    assert call(front, "PUT", f"/{BUCKET}?policy", json.dumps(document).encode()).status == 204


def presigned(front: Front, age: timedelta) -> int:
    """What a URL of the owner is answered that was made so long ago."""
    head = RequestHead("GET", TARGET, "", {"host": host_of(front)})
    query = presign(head, OWNER, datetime.now(UTC) - age, 7200)
    return exchange(front, wire("GET", f"{TARGET}?{query}", {"Host": host_of(front)})).status


@pytest.mark.parametrize(
    "condition",
    [
        {"Bool": {"aws:SecureTransport": "true"}},
        {"NumericGreaterThanEquals": {"s3:TlsVersion": "1.2"}},
        {"NumericGreaterThanEquals": {"s3:TlsVersion": 1.3}},
    ],
    ids=str,
)
def test_tls(plain: Front, encrypted: Front, condition: Any) -> None:
    allow(plain, condition)
    assert anonymous(plain, "GET", TARGET).status == 403
    assert anonymous(encrypted, "GET", TARGET).body == b"body"


def test_where_a_request_comes_from(plain: Front, proxied: Front) -> None:
    allow(plain, {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}})
    for address, status in (("203.0.113.9", 200), ("2001:db8::9", 200), ("198.51.100.1", 403)):
        forwarded = {"X-Forwarded-For": address}
        assert anonymous(proxied, "GET", TARGET, headers=forwarded).status == status
        # Whoever is no proxy can say what he likes.
        assert anonymous(plain, "GET", TARGET, headers=forwarded).status == 403


def test_how_a_request_is_signed(plain: Front) -> None:
    allow(plain, {"StringNotEquals": {"s3:authType": "REST-HEADER"}}, "Deny")
    assert call(plain, "GET", TARGET).status == 200
    assert presigned(plain, timedelta()) == 403
    assert anonymous(plain, "GET", TARGET).status == 403


def test_when_a_request_was_signed(plain: Front) -> None:
    allow(plain, {"NumericGreaterThan": {"s3:signatureAge": "600000"}}, "Deny")
    assert presigned(plain, timedelta(minutes=9)) == 200
    assert presigned(plain, timedelta(minutes=11)) == 403
    assert call(plain, "GET", TARGET).status == 200


def test_what_an_address_is_not_compared_with_denies(plain: Front) -> None:
    allow(plain, {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, "Deny")
    assert call(plain, "GET", TARGET).status == 200
    allow(plain, {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "Deny")
    assert call(plain, "GET", TARGET).status == 403
