"""ListObjectVersions: all versions and delete markers of a bucket's objects."""

from __future__ import annotations

from collections.abc import Callable

from s3front.authz.ownership import Owner, sole_owner
from s3front.context import Context
from s3front.metadata.listing_store import VersionsPage
from s3front.objects.versioning import NULL_ID, Version
from s3front.operations.honoured import LISTING
from s3front.operations.listed import (
    checksum_elements,
    owner_element,
    printed_keys,
    storage_class_element,
)
from s3front.operations.parameters import (
    check_optional_attributes,
    encoding_parameter,
    integer_parameter,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Reply, Request
from s3front.port.xml import element, shown_all, url_encode
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits, version_id
from shared.listing.delimiter_versions import VersionsQuery
from shared.records.members import shown_times, whole_number
from shared.records.projection_fields import ListedObject


async def list_object_versions(context: Context, request: Request) -> Reply:
    """A page of versions, by key and the newest first (Amazon S3 API reference)."""
    query = context.target.query
    check_optional_attributes(request.headers)
    encode = url_encode if encoding_parameter(query) else str
    asked = VersionsQuery(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        query.get("key-marker", ""),
        _version_id_marker(context),
        integer_parameter(query, "max-keys", limits.LIST_KEYS_MAX),
    )
    page = await context.services.listings.versions(context.bucket.name, asked, context.request_id)
    content = [
        element("Name", context.bucket.name),
        element("Prefix", encode(asked.prefix)),
        element("KeyMarker", encode(asked.key_marker)),
        element("VersionIdMarker", query.get("version-id-marker", "")),
        *_next_markers(page, encode),
        element("MaxKeys", asked.keys_max),
        element("Delimiter", encode(asked.delimiter) if asked.delimiter else None),
        element("EncodingType", "url" if encode is url_encode else None),
        element("IsTruncated", "true" if page.is_truncated else "false"),
        *_rows(page, sole_owner(context.bucket.record), url_encoded=encode is url_encode),
        *(
            f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>"
            for prefix in page.common_prefixes
        ),
    ]
    return xml_reply("ListVersionsResult", "".join(content))


def _version_id_marker(context: Context) -> str | None:
    """The internal ID behind which the page begins, ``null``, or None; raises InvalidArgument."""
    query, name = context.target.query, "version-id-marker"
    text = query.get(name)
    if text is None:
        return None
    fields = {"ArgumentName": name, "ArgumentValue": text}
    if not text:
        raise S3Error("InvalidArgument", "A version-id marker cannot be empty.", fields)
    if not query.get("key-marker"):
        raise S3Error(
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker.",
            fields,
        )
    return Version.parse(text, name).id


def _next_markers(page: VersionsPage, encode: Callable[[str], str]) -> list[str]:
    if not page.is_truncated:
        return []
    marker = page.next_version_id_marker
    if marker is not None and marker != NULL_ID:
        # That of the null version too: the page goes on behind it whatever becomes of it.
        marker = version_id.encode(marker)
    key_marker = element("NextKeyMarker", encode(page.next_key_marker))
    return [key_marker, element("NextVersionIdMarker", marker)]


def _rows(page: VersionsPage, sole: Owner | None, *, url_encoded: bool) -> list[str]:
    """The versions of a page, all of ``sole`` if that is somebody. There may be a thousand, so what
    a row costs, counts."""
    versions = page.versions
    keys = printed_keys([key for key, *_ in versions], url_encoded=url_encoded)
    times = shown_times([listed.last_modified for *_, listed in versions])
    etags = shown_all([listed.etag for *_, listed in versions])
    return [
        _row((key, time, etag), internal_id, sole, listed, is_latest=is_latest)
        for key, time, etag, (_, internal_id, is_latest, listed) in zip(
            keys, times, etags, versions, strict=True
        )
    ]


def _row(
    texts: tuple[str, str, str],
    internal_id: str | None,
    sole: Owner | None,
    listed: ListedObject,
    *,
    is_latest: bool,
) -> str:
    """A version; its key, time and entity tag are printed already."""
    key, time, etag = texts
    shown = NULL_ID
    if internal_id is not None and not listed.is_null:
        shown = version_id.encode(internal_id)
    head = (
        f"<Key>{key}</Key><VersionId>{shown}</VersionId>"
        f"<IsLatest>{'true' if is_latest else 'false'}</IsLatest>"
        f"<LastModified>{time}</LastModified>"
    )
    owner = owner_element(*(sole or (listed.owner_id, listed.owner_name)))
    if listed.is_delete_marker:
        return f"<DeleteMarker>{head}{owner}</DeleteMarker>"
    checksum = checksum_elements(listed.checksum_algorithm, listed.checksum_kind)
    storage = storage_class_element(listed.storage_class)
    size = whole_number(listed.content_length) or 0
    return (
        f"<Version>{head}<ETag>&quot;{etag}&quot;</ETag>{checksum}<Size>{size}</Size>"
        f"{owner}{storage}</Version>"
    )


LIST_OBJECT_VERSIONS = Operation(
    "ListObjectVersions",
    Level.BUCKET,
    list_object_versions,
    ("s3:ListBucketVersions",),
    headers=frozenset(("x-amz-optional-object-attributes",)),
    parameters=LISTING | {"key-marker", "max-keys", "version-id-marker"},
)
