"""``GET /_/healthcheck``: may this process be sent requests."""

from __future__ import annotations

import asyncio

import msgspec
import orjson

from s3front.context import Services
from s3front.port.forwarded import in_networks
from s3front.port.request import Reply, Request
from s3front.s3_errors import S3Error
from shared.limits import is_low
from shared.loop.eager import in_a_task

_ASK_SECONDS_MAX = 2.0
HEALTH_PATH = "/_/"
_PATH = "/_/healthcheck"


async def health_reply(request: Request, services: Services) -> Reply:
    """200 when the metadata daemon is connected, 503 when it is not, and why if that is known.

    Disks that are nearly full are told in ``storage``; they do not make it unhealthy, as objects
    can still be read and deleted. ``locations`` has what this process knows of the places that
    others run (``locations.place_counters``): one that is away is no reason to send requests
    elsewhere.

    Only addresses of ``healthChecks.allowFrom`` are answered. A path below ``/_/`` never names a
    bucket: no bucket name has an underscore.
    """
    if request.raw_target.partition("?")[0] != _PATH:
        raise S3Error("InvalidURI", fields={"URI": request.raw_target})
    if request.method not in ("GET", "HEAD", "POST"):
        fields, headers = {"Method": request.method}, {"Allow": "GET, HEAD, POST"}
        raise S3Error("MethodNotAllowed", fields=fields, headers=headers)
    if not in_networks(request.peer, services.health_networks):
        raise S3Error("AccessDenied")
    healthy = services.metadata.available
    code = 200 if healthy else 503
    metadata: dict[str, object] = {"code": code, "connected": healthy}
    if not healthy and services.metadata.problem is not None:
        metadata["reason"] = services.metadata.problem
    document: dict[str, object] = {"metadata": metadata}
    if healthy and (low := await _low_disks(services)):
        document["storage"] = low
    if reports := services.locations.reports():
        document["locations"] = {
            name: msgspec.to_builtins(report) for name, report in reports.items()
        }
    body = orjson.dumps(document)
    return Reply(code, {"Content-Type": "application/json"}, body)


async def _low_disks(services: Services) -> dict[str, object]:
    """The disks that are nearly full, by what is on them; what cannot be asked is not told of."""
    asked = {"metadata": services.metadata.disk_usage, "data": services.locations.disk_usage}
    low: dict[str, object] = {}
    await in_a_task()
    for name, ask in asked.items():
        try:
            available, total = await asyncio.wait_for(ask(), _ASK_SECONDS_MAX)
        except (S3Error, TimeoutError):
            continue
        if is_low(available, total):
            low[name] = {"low": True, "availableBytes": available, "totalBytes": total}
    return low
