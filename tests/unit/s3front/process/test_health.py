"""Who may ask for a front-end's health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.context import Services
from s3front.locations.place_counters import PlaceReport
from s3front.locations.registry import LocationRegistry
from s3front.metadata.gateway import MetadataGateway
from s3front.operations.health import health_reply
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from shared.config.values import parse_networks

REPORT = PlaceReport(
    state="open",
    reason="connection refused",
    requests=12,
    retries=1,
    failures={"UNREACHED": 7},
    opened=1,
    closed=0,
    running=0,
    waiting=0,
    limit=64,
    reading=2,
    writing=0,
    latency_seconds=0.5,
    latencies=(12, 0),
)


class _Connected:
    """The metadata store, as far as health asks."""

    available = True

    def __init__(self, usage: tuple[int, int] = (50, 100)) -> None:
        self._usage = usage
        self.known: dict[str, PlaceReport] = {}

    async def disk_usage(self) -> tuple[int, int]:
        return self._usage

    def reports(self) -> Mapping[str, PlaceReport]:
        return self.known


async def body_for(metadata: tuple[int, int], data: tuple[int, int]) -> dict[str, Any]:
    """What is told of disks with so many bytes available, of so many."""
    reply = await health_reply(*asked("127.0.0.1", metadata, data))
    assert reply.status == 200
    assert isinstance(reply.body, bytes)
    found: dict[str, Any] = orjson.loads(reply.body)
    return found


def asked(
    peer: str, metadata: tuple[int, int], data: tuple[int, int], *networks: str
) -> tuple[Request, Services]:
    nothing: Any = None
    services = Services(
        metadata=cast(MetadataGateway, _Connected(metadata)),
        buckets=nothing,
        objects=nothing,
        listings=nothing,
        uploads=nothing,
        locations=cast(LocationRegistry, _Connected(data)),
        credentials=nothing,
        endpoints={},
        health_networks=parse_networks(networks),
        log=nothing,
    )
    headers = CIMultiDictProxy(CIMultiDict[str]())
    request = Request("GET", "/_/healthcheck", headers, nothing, peer, secure=False)
    return request, services


async def status_for(peer: str, *networks: str) -> int:
    plenty = (50, 100)
    try:
        return (await health_reply(*asked(peer, plenty, plenty, *networks))).status
    except S3Error as error:
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
async def test_addresses(peer: str, status: int) -> None:
    assert await status_for(peer, "10.0.0.0/8", "fe80::/10") == status


async def test_disks_that_are_nearly_full_are_told() -> None:
    metadata = {"code": 200, "connected": True}
    assert await body_for((50, 100), (5, 100)) == {"metadata": metadata}
    low = {"low": True, "availableBytes": 4, "totalBytes": 100}
    assert await body_for((50, 100), (4, 100)) == {"metadata": metadata, "storage": {"data": low}}
    told = await body_for((4, 100), (4, 100))
    assert told["storage"] == {"metadata": low, "data": low}


async def test_what_is_known_of_places_that_others_run_is_told() -> None:
    request, services = asked("127.0.0.1", (50, 100), (50, 100))
    cast(_Connected, services.locations).known["cloud"] = REPORT
    reply = await health_reply(request, services)
    assert reply.status == 200
    assert isinstance(reply.body, bytes)
    told = orjson.loads(reply.body)["locations"]
    assert told["cloud"]["state"] == "open"
    assert told["cloud"]["reason"] == "connection refused"
    assert told["cloud"]["failures"] == {"UNREACHED": 7}
    assert told["cloud"]["latencySeconds"] == 0.5
