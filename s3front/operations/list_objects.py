"""ListObjects and ListObjectsV2."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from s3front.context import Context
from s3front.operations.parameters import (
    decode_token,
    encode_token,
    encoding_parameter,
    integer_parameter,
)
from s3front.reply import xml_reply
from s3front.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.xml import element, escape, is_representable, url_encode
from shared import limits
from shared.errors import ServiceError
from shared.listing.delimiter import DelimiterMaster, Query, Verdict
from shared.records.projection import ObjectProjection

_decode = msgspec.json.Decoder(ObjectProjection).decode


async def list_objects(context: Context, _request: Request) -> Reply:
    """ListObjects (Amazon S3 API reference). NextMarker is only given with a delimiter."""
    query = context.target.query
    asked = _Asked.read(context)
    marker = query.get("marker", "")
    page = await _page(context, asked, marker)
    text = asked.encode
    content = _Fields()
    content.add("Name", context.bucket.name)
    # This listing encodes every key but the prefix, and clients decode accordingly.
    content.add("Prefix", asked.prefix if is_representable(asked.prefix) else text(asked.prefix))
    content.add("Marker", text(marker))
    if page.is_truncated and asked.delimiter:
        content.add("NextMarker", text(page.last_entry))
    _add_common(content, asked, page)
    rows = "".join(_content_row(key, value, text, owner=True) for key, value in page.contents)
    return xml_reply("ListBucketResult", content.text() + rows + _prefix_rows(page, text))


async def list_objects_v2(context: Context, _request: Request) -> Reply:
    """ListObjectsV2 (Amazon S3 API reference). The token holds the last entry of the page."""
    query = context.target.query
    if query["list-type"] != "2":
        raise ServiceError(
            "InvalidArgument",
            "Invalid List Type specified in Request",
            {"ArgumentName": "list-type", "ArgumentValue": query["list-type"]},
        )
    asked = _Asked.read(context)
    token = query.get("continuation-token")
    start_after = query.get("start-after", "")
    # An empty token is that of the first page (it is echoed all the same).
    after = decode_token(token) if token else start_after
    owner = query.get("fetch-owner", "").lower() == "true"
    page = await _page(context, asked, after)
    text = asked.encode
    content = _Fields()
    content.add("Name", context.bucket.name)
    content.add("Prefix", text(asked.prefix))
    if start_after:
        content.add("StartAfter", text(start_after))
    if token is not None:
        content.add("ContinuationToken", token)
    if page.is_truncated:
        content.add("NextContinuationToken", encode_token(page.last_entry))
    content.add("KeyCount", str(len(page.contents) + len(page.common_prefixes)))
    _add_common(content, asked, page)
    rows = "".join(_content_row(key, value, text, owner=owner) for key, value in page.contents)
    return xml_reply("ListBucketResult", content.text() + rows + _prefix_rows(page, text))


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


class _Fields:
    """Elements of the answer's head, in order."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, name: str, value: str) -> None:
        self._parts.append(element(name, value))

    def text(self) -> str:
        return "".join(self._parts)


def _add_common(content: _Fields, asked: _Asked, page: DelimiterMaster) -> None:
    content.add("MaxKeys", str(asked.keys_max))
    if asked.delimiter:
        content.add("Delimiter", asked.encode(asked.delimiter))
    if asked.url_encoded:
        content.add("EncodingType", "url")
    content.add("IsTruncated", "true" if page.is_truncated else "false")


async def _page(context: Context, asked: _Asked, after: str) -> DelimiterMaster:
    """One page of the listing, read from the daemon.

    The range is asked for in stretches: a stretch ends when the daemon has sent as many keys as
    the page can need, or when the rest of a long common prefix is better skipped than read.
    """
    query = Query(asked.prefix, asked.delimiter, after, asked.keys_max)
    page = DelimiterMaster(query, _is_hidden)
    if asked.keys_max == 0:
        return page
    start: str | None = page.first_key
    while start is not None:
        options: dict[str, Any] = {"gte": start, "limit": asked.keys_max + 1}
        if page.end_key is not None:
            options["lt"] = page.end_key
        start = await _stretch(context, page, options)
    return page


async def _stretch(context: Context, page: DelimiterMaster, options: dict[str, Any]) -> str | None:
    """Feed a range to the listing; where to go on, None when the page is complete."""
    count = 0
    last = ""
    stream = context.services.metadata.list_objects(
        context.bucket.name, options, context.request_id
    )
    async with aclosing(stream) as pages:
        async for items in pages:
            for key, text in items:
                if page.offer(key, text) is Verdict.FINISHED:
                    return None
            count += len(items)
            last = items[-1][0]
            if page.skip_to is not None and page.skip_to > last:
                return page.skip_to
    return last + "\0" if count == options["limit"] else None


def _is_hidden(text: Any) -> bool:
    """Whether a record is a delete marker or a placeholder for a deletion."""
    if '"isDeleteMarker":true' not in text and '"isPHD"' not in text:
        return False
    record = _decode(text)
    return bool(record.is_delete_marker or record.is_placeholder)


def _content_row(key: str, text: Any, encode: Callable[[str], str], *, owner: bool) -> str:
    record = _decode(text)
    parts = [
        f"<Contents><Key>{escape(encode(key))}</Key>"
        f"<LastModified>{record.last_modified}</LastModified>"
        f"<ETag>&quot;{escape(record.etag or '')}&quot;</ETag>"
    ]
    if record.checksum is not None and record.checksum.algorithm:
        parts.append(element("ChecksumAlgorithm", record.checksum.algorithm))
        parts.append(element("ChecksumType", record.checksum.kind))
    parts.append(f"<Size>{record.content_length or 0}</Size>")
    if owner:
        parts.append(
            f"<Owner>{element('ID', record.owner_id)}"
            f"{element('DisplayName', record.owner_name)}</Owner>"
        )
    parts.append(f"<StorageClass>{record.storage_class or 'STANDARD'}</StorageClass></Contents>")
    return "".join(parts)


def _prefix_rows(page: DelimiterMaster, encode: Callable[[str], str]) -> str:
    return "".join(
        f"<CommonPrefixes><Prefix>{escape(encode(prefix))}</Prefix></CommonPrefixes>"
        for prefix in page.common_prefixes
    )


LIST_OBJECTS = Operation("ListObjects", Level.BUCKET, list_objects)
LIST_OBJECTS_V2 = Operation("ListObjectsV2", Level.BUCKET, list_objects_v2)
