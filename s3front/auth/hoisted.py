"""Headers that a presigned URL carries in its query. Pure.

SDKs move ``x-amz-*`` headers of a request into the query when they presign it, so that whoever uses
the URL need not know them (Amazon S3 API reference, "Using query parameters"); with Signature
Version 2, ``Content-MD5`` and ``Content-Type``, too, with Version 4 the two conditions of a write.
They count as headers; the signature covers them where they stand, and with Version 4 may name them
among the signed headers as well. A header of the same name that the request itself carries has
precedence: it is signed too, or the request is refused. What no header could be is refused.

``x-amz-trailer`` is no header of a URL: whoever uses it sends a plain body.

Sources: tests that LocalStack runs against AWS (``test_presigned_url_v4_x_amz_in_qs``,
``test_presigned_url_v4_signed_headers_in_qs``, ``test_pre_signed_url_if_none_match``).
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.port.header_text import check_header, line_of
from s3front.port.request import Request
from s3front.port.target import Target

_PREFIX = "x-amz-"
_BY_VERSION_2 = ("content-md5", "content-type")
_BY_VERSION_4 = ("if-match", "if-none-match")
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
    found: dict[str, str] = {}
    for name, value in target.query.items():
        lower = name.lower()
        if (
            _is_header(lower, version_2=version_2)
            and lower not in found
            and lower not in request.headers
        ):
            check_header(name, value)
            found[lower] = line_of(lower, value)
    if not found:
        return request
    headers = CIMultiDict(request.headers)
    headers.extend(found)
    named = target.query.get("X-Amz-SignedHeaders", "").lower().split(";")
    hoisted = frozenset(found).difference(named)
    return replace(request, headers=CIMultiDictProxy(headers), folded=None, hoisted=hoisted)


def carried_headers(target: Target, names: Collection[str]) -> dict[str, str]:
    """Those of the named headers (in lower case) that a query signed in Version 4 carries."""
    carried: dict[str, str] = {}
    for name, value in target.query.items():
        lower = name.lower()
        if lower in names and _is_header(lower, version_2=False):
            carried.setdefault(lower, value)
    return carried


def _is_header(name: str, *, version_2: bool) -> bool:
    others = _BY_VERSION_2 if version_2 else _BY_VERSION_4
    return (name.startswith(_PREFIX) or name in others) and name not in _NO_HEADERS
