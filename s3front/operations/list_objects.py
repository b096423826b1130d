"""ListObjects and ListObjectsV2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from s3front.context import Context
from s3front.metadata.store import ObjectsPage
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
from shared.listing.delimiter import Query
from shared.records.projection import ListedObject


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
        content.add("NextMarker", text(page.next_marker))
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
        content.add("NextContinuationToken", encode_token(page.next_marker))
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


def _add_common(content: _Fields, asked: _Asked, page: ObjectsPage) -> None:
    content.add("MaxKeys", str(asked.keys_max))
    if asked.delimiter:
        content.add("Delimiter", asked.encode(asked.delimiter))
    if asked.url_encoded:
        content.add("EncodingType", "url")
    content.add("IsTruncated", "true" if page.is_truncated else "false")


async def _page(context: Context, asked: _Asked, after: str) -> ObjectsPage:
    query = Query(asked.prefix, asked.delimiter, after, asked.keys_max)
    return await context.services.metadata.list_objects(
        context.bucket.name, query, context.request_id
    )


def _content_row(
    key: str, listed: ListedObject, encode: Callable[[str], str], *, owner: bool
) -> str:
    etag = listed.etag or ""
    return (
        f"<Contents><Key>{escape(encode(key))}</Key>"
        f"<LastModified>{listed.last_modified}</LastModified>"
        f"<ETag>&quot;{etag if etag.isalnum() else escape(etag)}&quot;</ETag>"
        f"{_checksum(listed.checksum_algorithm, listed.checksum_kind)}"
        f"<Size>{listed.content_length or 0}</Size>"
        f"{_owner(listed.owner_id, listed.owner_name) if owner else ''}"
        f"{_storage_class(listed.storage_class)}</Contents>"
    )


# What most objects of a bucket have in common.
@lru_cache(maxsize=64)
def _checksum(algorithm: str | None, kind: str | None) -> str:
    if not algorithm:
        return ""
    return element("ChecksumAlgorithm", algorithm) + element("ChecksumType", kind)


@lru_cache(maxsize=64)
def _owner(owner_id: str | None, name: str | None) -> str:
    return f"<Owner>{element('ID', owner_id)}{element('DisplayName', name)}</Owner>"


@lru_cache(maxsize=64)
def _storage_class(name: str | None) -> str:
    return element("StorageClass", name or "STANDARD")


def _prefix_rows(page: ObjectsPage, encode: Callable[[str], str]) -> str:
    return "".join(
        f"<CommonPrefixes><Prefix>{escape(encode(prefix))}</Prefix></CommonPrefixes>"
        for prefix in page.common_prefixes
    )


LIST_OBJECTS = Operation("ListObjects", Level.BUCKET, list_objects)
LIST_OBJECTS_V2 = Operation("ListObjectsV2", Level.BUCKET, list_objects_v2)
