"""``GET /_/healthcheck``: may this process be sent requests."""

from __future__ import annotations

import orjson

from s3front.context import Services
from s3front.forwarded import in_networks
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
    if not in_networks(request.peer, services.health_networks):
        raise ServiceError("AccessDenied")
    healthy = services.metadata.available
    code = 200 if healthy else 503
    metadata: dict[str, object] = {"code": code, "connected": healthy}
    if not healthy and services.metadata.problem is not None:
        metadata["reason"] = services.metadata.problem
    body = orjson.dumps({"metadata": metadata})
    return Reply(code, {"Content-Type": "application/json"}, body)
