"""Health and metrics under the paths that other servers have them.

Monitors and container engines that were set up for another S3 server ask there. The paths are those
of buckets too: a signed request, or one for a bucket that exists, is none of ours.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import orjson

from s3front.auth.authenticate import is_signed
from s3front.context import Services
from s3front.port.forwarded import in_networks
from s3front.port.request import Reply, Request
from s3front.port.target import Target, Undecided
from s3front.port.unlisted import names_to_look_up
from s3front.s3_errors import S3Error


class _Kind(Enum):
    ALIVE = auto()
    """200 as long as the process answers."""
    READY = auto()
    """200 while the metadata daemon is connected, else 503."""
    METRICS = auto()


_PROBES: Final = {
    **dict.fromkeys(("/minio/health/live", "/health/live", "/live", "/livez"), _Kind.ALIVE),
    **dict.fromkeys(
        (
            "/minio/health/ready",
            "/minio/health/cluster",
            "/minio/health/cluster/read",
            "/health",
            "/health/ready",
            "/healthcheck",
            "/healthz",
            "/ready",
            "/readyz",
            "/status",
        ),
        _Kind.READY,
    ),
    **dict.fromkeys(
        (
            "/metrics",
            "/minio/metrics/v3",
            "/minio/prometheus/metrics",
            "/minio/v2/metrics/bucket",
            "/minio/v2/metrics/cluster",
            "/minio/v2/metrics/node",
        ),
        _Kind.METRICS,
    ),
}
PROBE_PATHS: Final = frozenset(_PROBES)
_METRICS: Final = (
    ("twofold_up", "Whether this process answers."),
    ("twofold_metadata_connected", "Whether this process is connected to the metadata daemon."),
)


async def probe_reply(
    request: Request, target: Target | Undecided, services: Services, request_id: str
) -> Reply | None:
    """The answer to a probe; None when the request is about a bucket.

    ``target`` is that of the request, its path one of PROBE_PATHS. Raises AccessDenied for metrics
    that are asked for from outside of ``healthChecks.allowFrom``.
    """
    if request.method not in ("GET", "HEAD") or is_signed(request, target):
        return None
    available = services.metadata.available
    if isinstance(target, Undecided):
        names = names_to_look_up(target)
    elif target.virtual_host or target.bucket is None:
        return None
    else:
        names = [target.bucket]
    if available and await services.buckets.read_each(names, request_id):
        return None
    match _PROBES[target.raw_path]:
        case _Kind.ALIVE:
            return Reply(200)
        case _Kind.READY:
            code = 200 if available else 503
            body = orjson.dumps({"metadata": {"code": code, "connected": available}})
            return Reply(code, {"Content-Type": "application/json"}, body)
        case _Kind.METRICS:
            if not in_networks(request.peer, services.health_networks):
                raise S3Error("AccessDenied")
            return _metrics((1, int(available)))


def _metrics(values: tuple[int, ...]) -> Reply:
    """Prometheus's text format, version 0.0.4."""
    lines = [
        f"# HELP {name} {text}\n# TYPE {name} gauge\n{name} {value}\n"
        for (name, text), value in zip(_METRICS, values, strict=True)
    ]
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return Reply(200, headers, "".join(lines).encode())
