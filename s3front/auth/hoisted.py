"""Headers that a presigned URL carries in its query. Pure.

SDKs move ``x-amz-*`` headers of a request into the query when they presign it, so that whoever uses
the URL need not know them (Amazon S3 API reference, "Using query parameters"); with Signature
Version 2, ``Content-MD5`` and ``Content-Type``, too. They count as headers; the signature covers
them where they stand. A header of the same name that the request itself carries has precedence: it
is signed too, or the request is refused. What no header could be is refused as well.

``x-amz-trailer`` is no header of a URL: whoever uses it sends a plain body.
"""

from __future__ import annotations

from dataclasses import replace

from multidict import CIMultiDict, CIMultiDictProxy

from s3front.header_text import check_header, line_of
from s3front.request import Request
from s3front.target import Target

_PREFIX = "x-amz-"
_BY_VERSION_2 = ("content-md5", "content-type")
_OF_THE_SIGNATURE = frozenset(
    (
        "x-amz-algorithm",
        "x-amz-content-sha256",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
    )
)
_NO_HEADERS = _OF_THE_SIGNATURE | {"x-amz-trailer"}


def with_hoisted_headers(request: Request, target: Target) -> Request:
    """The request as its sender meant it: with the headers that stand in a presigned query.

    Raises InvalidArgument for one that no header could be.
    """
    version_2 = "Signature" in target.query
    if not version_2 and "X-Amz-Signature" not in target.query:
        return request
    others = _BY_VERSION_2 if version_2 else ()
    hoisted: dict[str, str] = {}
    for name, value in target.query.items():
        lower = name.lower()
        if (
            (lower.startswith(_PREFIX) or lower in others)
            and lower not in _NO_HEADERS
            and lower not in hoisted
            and lower not in request.headers
        ):
            check_header(name, value)
            hoisted[lower] = line_of(lower, value)
    if not hoisted:
        return request
    headers = CIMultiDict(request.headers)
    headers.extend(hoisted)
    return replace(request, headers=CIMultiDictProxy(headers), hoisted=frozenset(hoisted))
