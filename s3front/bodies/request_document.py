"""Documents that requests carry: read whole, verified, and made sense of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from s3front.bodies.digested_body import DigestedBody
from s3front.bodies.upload_body import UploadBody
from s3front.context import Context
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from shared import limits

_Document = TypeVar("_Document")


async def read_document(
    context: Context,
    request: Request,
    bytes_max: int,
    *,
    digest_required: bool = False,
    may_be_empty: bool = False,
) -> bytes:
    """The body of a request that carries a document, verified, at most ``bytes_max`` long.

    ``digest_required``: S3 wants Content-MD5 or a checksum on DeleteObjects, and on what changes
    locks, but not on PutObjectTagging (versity/versitygw#1662). Raises MissingRequestBodyError
    for none, unless it ``may_be_empty``.
    """
    body = UploadBody(context.identity, request, document=True)
    if body.size > bytes_max:
        raise S3Error("MaxMessageLengthExceeded", fields={"MaxMessageLengthBytes": str(bytes_max)})
    if body.size == 0 and not may_be_empty:
        raise S3Error("MissingRequestBodyError")
    expected = body.expected
    if digest_required and expected.content_md5 is None and expected.checksum is None:
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    return await DigestedBody(body).read()


async def interpreted(
    body: bytes,
    parse: Callable[[bytes], _Document],
    inline_bytes_max: int = limits.XML_INLINE_BYTES_MAX,
) -> _Document:
    """What ``parse`` makes of a document, in a thread if it is large; raises what it raises."""
    if len(body) <= inline_bytes_max:
        return parse(body)
    return await asyncio.to_thread(parse, body)
