"""What a reply says because of its bucket and its request, whatever was asked: the last thing that
happens to it, errors included. Pure.

Called by ``app`` for replies that depend on their bucket at all; the others cost nothing. A stage
is given the reply of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from s3front.configurations.cors import CORS, allowed, answer_headers
from s3front.port.request import Reply, Request
from shared.records.bucket import BucketRecord

Stage = Callable[[Request, BucketRecord, Reply], Reply]
"""What becomes of a reply to a request for this bucket."""


def cors_headers(request: Request, bucket: BucketRecord, reply: Reply) -> Reply:
    """Let the page that sent the request read the reply, where the bucket's rules say so.

    A request that they do not allow is answered all the same: the browser keeps the reply from the
    page. A preflight is an operation of its own.
    """
    origin = request.headers.get("Origin")
    if origin is None or request.method == "OPTIONS" or not CORS.is_set(bucket):
        return reply
    rule = allowed(bucket, request)
    if rule is None:
        return reply
    return replace(reply, headers={**reply.headers, **answer_headers(rule, request)})


STAGES: Final[Sequence[tuple[str, Stage]]] = (("cors", cors_headers),)
"""In their order, with the member of a bucket's record that each of them is about."""


def staged(request: Request, bucket: BucketRecord, reply: Reply) -> Reply:
    """The reply as it is sent."""
    for member, stage in STAGES:
        if bucket.document.get(member):
            reply = stage(request, bucket, reply)
    return reply
