"""Which bucket and key a request addresses, whatever host it was sent to.

For a configured host, an IP address or a name of one label that is in the request itself. Other
hosts cost one more read of metadata, and are decided by ``s3front.port.unlisted``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from s3front.auth.authenticate import authenticate, is_version_2
from s3front.auth.identity import Identity
from s3front.context import Services
from s3front.port.request import Request
from s3front.port.target import Target, Undecided, parse_target
from s3front.port.unlisted import decide, names_to_look_up
from s3front.s3_errors import S3Error


async def settle(
    undecided: Undecided,
    request: Request,
    services: Services,
    now: datetime,
    request_id: str,
    sub_resources: Collection[str],
) -> Target:
    """The target of a request to a host that is not configured.

    ``sub_resources`` are the query parameters that select operations. Raises what
    ``authenticate``, ``decide`` and reads of metadata do.
    """
    if is_version_2(request, undecided.query):
        return await _signed_target(undecided, request, services, now, sub_resources)
    unread = undecided.unread()
    identity = await authenticate(request, unread, services.credentials, now, sub_resources)
    if identity.host is not None and identity.host != request.host:
        # Proxies changed the host; what the client signed is what it addressed.
        parsed = parse_target(
            request.raw_target, identity.host, services.endpoints, services.websites
        )
        if isinstance(parsed, Target):
            return parsed
        undecided = parsed
    buckets = await _buckets(undecided, identity, services, request_id)
    anonymous = identity.principal.is_anonymous
    return decide(undecided, request.method, buckets, sub_resources, anonymous=anonymous)


async def _buckets(
    undecided: Undecided, identity: Identity, services: Services, request_id: str
) -> dict[str, bool]:
    names = names_to_look_up(undecided)
    return {
        bucket.name: bucket.record.owner_id == identity.principal.canonical_id
        for bucket in await services.buckets.read_each(names, request_id)
    }


async def _signed_target(
    undecided: Undecided,
    request: Request,
    services: Services,
    now: datetime,
    sub_resources: Collection[str],
) -> Target:
    """The target that a signature of Version 2 is good for, as it covers the bucket.

    Raises SignatureDoesNotMatch, of the path, when it is good for none.
    """
    refusal: S3Error | None = None
    for candidate in (None, *undecided.candidates):
        try:
            target = undecided.by_path() if candidate is None else undecided.by_host(candidate)
            await authenticate(request, target, services.credentials, now, sub_resources)
        except S3Error as error:
            if error.code not in ("SignatureDoesNotMatch", "InvalidBucketName"):
                raise
            refusal = refusal or error
        else:
            return target
    assert refusal is not None
    raise refusal
