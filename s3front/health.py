"""``GET /_/healthcheck``: may this process be sent requests."""

from __future__ import annotations

import ipaddress

import orjson

from s3front.context import Services
from s3front.request import Reply, Request
from shared.errors import ServiceError

HEALTH_PATH = "/_/"
_PATH = "/_/healthcheck"


def health_reply(request: Request, services: Services) -> Reply:
    """200 when the metadata daemon is connected, 503 when it is not, and why if that is known.

    Only addresses of ``healthChecks.allowFrom`` are answered. A path below ``/_/`` never names a
    bucket: no bucket name has an underscore.
    """
    if request.raw_target.partition("?")[0] != _PATH:
        raise ServiceError("InvalidURI", fields={"URI": request.raw_target})
    if request.method not in ("GET", "HEAD", "POST"):
        raise ServiceError("MethodNotAllowed", fields={"Method": request.method})
    if not _allowed(request.peer, services):
        raise ServiceError("AccessDenied")
    healthy = services.metadata.available
    code = 200 if healthy else 503
    metadata: dict[str, object] = {"code": code, "connected": healthy}
    if not healthy and services.metadata.problem is not None:
        metadata["reason"] = services.metadata.problem
    body = orjson.dumps({"metadata": metadata})
    return Reply(code, {"Content-Type": "application/json"}, body)


def _allowed(peer: str, services: Services) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in services.health_networks)
