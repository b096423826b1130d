"""Who may ask for a front-end's health."""

from __future__ import annotations

from typing import Any, cast

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.context import Services
from s3front.health import health_reply
from s3front.metadata.store import MetadataStore
from s3front.request import Request
from shared.config.values import parse_networks
from shared.errors import ServiceError


class _Connected:
    """The metadata store, as far as health asks."""

    available = True


def status_for(peer: str, *networks: str) -> int:
    nothing: Any = None
    services = Services(
        metadata=cast(MetadataStore, _Connected()),
        uploads=nothing,
        locations=nothing,
        accounts=nothing,
        endpoints={},
        health_networks=parse_networks(networks),
        log=nothing,
    )
    headers = CIMultiDictProxy(CIMultiDict[str]())
    request = Request("GET", "/_/healthcheck", headers, nothing, peer, secure=False)
    try:
        return health_reply(request, services).status
    except ServiceError as error:
        return error.status


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        ("127.0.0.1", 200),
        ("127.9.9.9", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("fe80::1%eth0", 200),
        ("11.1.2.3", 403),
        ("::ffff:11.1.2.3", 403),
        ("2001:db8::1", 403),
        ("", 403),
        ("unix socket", 403),
    ],
)
def test_addresses(peer: str, status: int) -> None:
    assert status_for(peer, "10.0.0.0/8", "fe80::/10") == status
