"""ListObjects and ListObjectsV2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3front.authz.ownership import sole_owner
from s3front.context import Context
from s3front.metadata.listing_store import ObjectsPage
from s3front.operations.honoured import LISTING
from s3front.operations.listed import (
    checksum_elements,
    owner_element,
    printed_keys,
    storage_class_element,
)
from s3front.operations.parameters import (
    check_optional_attributes,
    decode_token,
    encode_token,
    encoding_parameter,
    integer_parameter,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import (
    element,
    is_representable,
    shown_all,
    url_encode,
)
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.listing.delimiter import Query
from shared.records.listed_rows import Run
from shared.records.members import shown_sizes, shown_times

_WITHIN = "\0"
"""Begins a token that names no entry of its page, but where in a common prefix that was not listed
yet the page ended. No key contains it."""


async def list_objects(context: Context, request: Request) -> Reply:
    """ListObjects (Amazon S3 API reference). NextMarker is only given with a delimiter, and when no
    key of the page is where the next one begins."""
    query = context.target.query
    check_optional_attributes(request.headers)
    asked = _Asked.read(context)
    marker = query.get("marker", "")
    page = await _page(context, Query(asked.prefix, asked.delimiter, marker, asked.keys_max))
    text = asked.encode
    content = _Fields()
    content.add("Name", context.bucket.name)
    # This listing encodes every key but the prefix, and clients decode accordingly.
    content.add("Prefix", asked.prefix if is_representable(asked.prefix) else text(asked.prefix))
    content.add("Marker", text(marker))
    if page.is_truncated and (asked.delimiter or page.next_marker != page.last_key):
        content.add("NextMarker", text(page.next_marker))
    _add_common(content, asked, page)
    rows = _content_rows(page, asked, _owners(context, shown=True)) + _prefix_rows(page, asked)
    return xml_reply("ListBucketResult", content.text() + rows)


async def list_objects_v2(context: Context, request: Request) -> Reply:
    """ListObjectsV2 (Amazon S3 API reference). The token holds the last entry of the page."""
    query = context.target.query
    if query["list-type"] != "2":
        raise S3Error(
            "InvalidArgument",
            "Invalid List Type specified in Request",
            {"ArgumentName": "list-type", "ArgumentValue": query["list-type"]},
        )
    check_optional_attributes(request.headers)
    asked = _Asked.read(context)
    token = query.get("continuation-token")
    start_after = query.get("start-after", "")
    # An empty token is that of the first page (it is echoed all the same).
    after, within = _position(token) if token else (start_after, False)
    owner = query.get("fetch-owner", "").lower() == "true"
    page = await _page(context, Query(asked.prefix, asked.delimiter, after, asked.keys_max, within))
    text = asked.encode
    content = _Fields()
    content.add("Name", context.bucket.name)
    content.add("Prefix", text(asked.prefix))
    if start_after:
        content.add("StartAfter", text(start_after))
    if token is not None:
        content.add("ContinuationToken", token)
    if page.is_truncated:
        content.add("NextContinuationToken", _token(page))
    content.add("KeyCount", str(page.keys + len(page.common_prefixes)))
    _add_common(content, asked, page)
    rows = _content_rows(page, asked, _owners(context, shown=owner)) + _prefix_rows(page, asked)
    return xml_reply("ListBucketResult", content.text() + rows)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters that both listings share."""

    prefix: str
    delimiter: str
    keys_max: int
    url_encoded: bool

    @classmethod
    def read(cls, context: Context) -> _Asked:
        query = context.target.query
        return cls(
            query.get("prefix", ""),
            query.get("delimiter", ""),
            integer_parameter(query, "max-keys", limits.LIST_KEYS_MAX),
            encoding_parameter(query),
        )

    def encode(self, text: str) -> str:
        """A key or part of one as this listing prints it, unescaped."""
        return url_encode(text) if self.url_encoded else text

    def printed(self, texts: Sequence[str]) -> Sequence[str]:
        """Keys as this listing prints them, escaped."""
        return printed_keys(texts, url_encoded=self.url_encoded)


class _Fields:
    """Elements of the answer's head, in order."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, name: str, value: str) -> None:
        self._parts.append(element(name, value))

    def text(self) -> str:
        return "".join(self._parts)


def _add_common(content: _Fields, asked: _Asked, page: ObjectsPage) -> None:
    content.add("MaxKeys", str(asked.keys_max))
    if asked.delimiter:
        content.add("Delimiter", asked.encode(asked.delimiter))
    if asked.url_encoded:
        content.add("EncodingType", "url")
    content.add("IsTruncated", "true" if page.is_truncated else "false")


def _token(page: ObjectsPage) -> str:
    """What names the end of a page."""
    return encode_token((_WITHIN if page.within else "") + page.next_marker)


def _position(token: str) -> tuple[str, bool]:
    """Behind what a page begins, and whether that is within a common prefix that was not listed."""
    text = decode_token(token)
    return text.removeprefix(_WITHIN), text.startswith(_WITHIN)


async def _page(context: Context, query: Query) -> ObjectsPage:
    return await context.services.listings.objects(context.bucket.name, query, context.request_id)


def _owners(context: Context, *, shown: bool) -> Callable[[str | None, str | None], str]:
    """How a listing prints an owner, given what the records say."""
    if not shown:
        return lambda _id, _name: ""
    sole = sole_owner(context.bucket.record)
    return owner_element if sole is None else lambda _id, _name: owner_element(*sole)


def _content_rows(
    page: ObjectsPage, asked: _Asked, owner: Callable[[str | None, str | None], str]
) -> str:
    """The objects of a page. There may be a thousand, so what a row costs, counts."""
    return "".join([_run_rows(run, asked, owner) for run in page.runs])


def _run_rows(run: Run, asked: _Asked, owner: Callable[[str | None, str | None], str]) -> str:
    common = run.common
    checksum = checksum_elements(common.checksum_algorithm, common.checksum_kind)
    end = owner(common.owner_id, common.owner_name)
    end += storage_class_element(common.storage_class)
    times, lengths, etags = run.columns
    rows = [
        f"<Contents><Key>{key}</Key><LastModified>{time}</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag>{checksum}<Size>{size}</Size>{end}</Contents>"
        for key, time, etag, size in zip(
            asked.printed(run.keys),
            shown_times(times),
            shown_all(etags),
            shown_sizes(lengths),
            strict=True,
        )
    ]
    return "".join(rows)


def _prefix_rows(page: ObjectsPage, asked: _Asked) -> str:
    return "".join(
        [
            f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"
            for prefix in asked.printed(page.common_prefixes)
        ]
    )


LIST_OBJECTS = Operation(
    "ListObjects",
    Level.BUCKET,
    list_objects,
    ("s3:ListBucket",),
    headers=frozenset(("x-amz-optional-object-attributes",)),
    parameters=LISTING | {"marker", "max-keys"},
)
LIST_OBJECTS_V2 = Operation(
    "ListObjectsV2",
    Level.BUCKET,
    list_objects_v2,
    ("s3:ListBucket",),
    headers=frozenset(("x-amz-optional-object-attributes",)),
    parameters=LISTING | {"continuation-token", "fetch-owner", "max-keys", "start-after"},
)
