"""What a reply says because of its target and who asked, whatever was asked: the last thing that
happens to it, errors included. Pure.

Called by ``app`` for replies that depend on that at all; the others cost nothing. A stage is given
the reply of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from s3front.configurations.cors import CORS, allowed, answer_headers
from s3front.port.reply import error_page
from s3front.port.request import Reply, Request
from s3front.port.target import Kind, Target
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord


class Answered(msgspec.Struct, frozen=True):
    """A request that has a reply. ``bucket`` is None where there is none or it was not read;
    ``error`` is what the reply says, if it is one."""

    request: Request
    request_id: str
    target: Target
    bucket: BucketRecord | None
    error: S3Error | None


Stage = Callable[[Answered, Reply], Reply]


def website_errors(answered: Answered, reply: Reply) -> Reply:
    """Show an error of a website to people."""
    if answered.error is None or answered.target.kind is not Kind.WEBSITE:
        return reply
    return error_page(answered.error, answered.request_id)


def cors_headers(answered: Answered, reply: Reply) -> Reply:
    """Let the page that sent the request read the reply, where the bucket's rules say so.

    A request that they do not allow is answered all the same: the browser keeps the reply from the
    page. A preflight is an operation of its own.
    """
    request, bucket = answered.request, answered.bucket
    if "Origin" not in request.headers or request.method == "OPTIONS":
        return reply
    if bucket is None or not CORS.is_set(bucket):
        return reply
    rule = allowed(bucket, request)
    if rule is None:
        return reply
    return replace(reply, headers={**reply.headers, **answer_headers(rule, request)})


STAGES: Final[Sequence[Stage]] = (website_errors, cors_headers)
"""In their order."""

_WEBSITE: Final = Kind.WEBSITE
_MEMBERS: Final = ("cors",)
"""Of a bucket's record: those that stages look at."""


def is_staged(target: Target, bucket: BucketRecord | None) -> bool:
    """Whether a reply depends on anything that stages look at; of most it does not."""
    if target.kind is _WEBSITE:
        return True
    if bucket is not None:
        for member in _MEMBERS:
            if bucket.document.get(member):
                return True
    return False


def staged(answered: Answered, reply: Reply) -> Reply:
    """The reply as it is sent."""
    for stage in STAGES:
        reply = stage(answered, reply)
    return reply
