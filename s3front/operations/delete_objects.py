"""DeleteObject and DeleteObjects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from s3front.body import read_document
from s3front.context import Context
from s3front.metadata.gateway import ChangedError
from s3front.metadata.store import object_requirement
from s3front.operations.decide_again import ATTEMPTS_MAX, read_again
from s3front.preconditions import check_write
from s3front.reply import xml_reply
from s3front.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.target import check_key
from s3front.xml import element, parse
from shared import limits
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint

_COMMIT_KEYS_MAX = 100
"""Keys of one commit: a request of 1,000 keys must not hold up everybody else's writes."""

_UNSUPPORTED_CONDITIONS = frozenset(("ETag", "LastModifiedTime", "Size"))
_DELETED = re.compile("true|false")


async def delete_object(context: Context, request: Request) -> Reply:
    """DeleteObject (Amazon S3 API reference): 204 whether the object existed or not."""
    _check_version(context.target.query.get("versionId"))
    conditional = "If-Match" in request.headers
    bucket, current = context.bucket, context.current
    metadata = context.services.metadata
    for _ in range(ATTEMPTS_MAX):
        requirement = None
        if conditional:
            check_write(request.headers, current.record.etag if current else None)
            requirement = object_requirement(bucket.name, context.key, current)
        try:
            await metadata.delete_objects(bucket, [context.key], requirement, context.request_id)
        except ChangedError:
            bucket, current = await read_again(context, bucket)
        else:
            failpoint(FailPoint.AFTER_RECORD_COMMIT)
            return Reply(204)
    raise ServiceError("ConditionalRequestConflict", fields={"Key": context.key})


async def delete_objects(context: Context, request: Request) -> Reply:
    """DeleteObjects (Amazon S3 API reference): up to 1,000 keys, an answer for each."""
    body = await read_document(context, request, limits.DELETE_BODY_BYTES_MAX, digest_required=True)
    wanted = _parse_delete(body)
    rows = [entry.error for entry in wanted.entries if entry.error is not None]
    keys = [entry.key for entry in wanted.entries if entry.error is None]
    for start in range(0, len(keys), _COMMIT_KEYS_MAX):
        rows += await _delete_slice(context, keys[start : start + _COMMIT_KEYS_MAX], wanted.quiet)
    return xml_reply("DeleteResult", "".join(rows))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object to delete; ``error`` is the row that already refuses it."""

    key: str
    error: str | None


@dataclass(frozen=True, slots=True)
class _Delete:
    entries: Sequence[_Entry]
    quiet: bool


def _parse_delete(body: bytes) -> _Delete:
    tree = parse(body, "Delete")
    entries = [_parse_entry(node) for node in tree.iterfind("Object")]
    if not entries or len(entries) > limits.DELETE_KEYS_MAX:
        raise ServiceError("MalformedXML")
    quiet = (tree.findtext("Quiet") or "false").strip().lower()
    if _DELETED.fullmatch(quiet) is None:
        raise ServiceError("MalformedXML")
    return _Delete(entries, quiet == "true")


def _parse_entry(node: Element) -> _Entry:
    key = node.findtext("Key")
    if not key:
        raise ServiceError("MalformedXML")
    try:
        check_key(key)
        _check_version(node.findtext("VersionId"))
        if any(child.tag in _UNSUPPORTED_CONDITIONS for child in node):
            raise ServiceError("NotImplemented")
    except ServiceError as error:
        return _Entry(key, _error_row(key, error))
    return _Entry(key, None)


def _check_version(version: str | None) -> None:
    """Objects here have one version, ``null``."""
    if version is not None and version != "null":
        raise ServiceError("NoSuchVersion", fields={"VersionId": version})


async def _delete_slice(context: Context, keys: Sequence[str], quiet: bool) -> list[str]:
    """Delete some keys in one commit; a row for each. A failure is theirs alone."""
    bucket = context.bucket
    for _ in range(ATTEMPTS_MAX):
        try:
            await context.services.metadata.delete_objects(bucket, keys, None, context.request_id)
        except ChangedError:
            try:
                bucket, _ = await read_again(context, bucket)
            except ServiceError as error:
                return [_error_row(key, error) for key in keys]
            continue
        except ServiceError as error:
            return [_error_row(key, error) for key in keys]
        failpoint(FailPoint.AFTER_RECORD_COMMIT)
        return [] if quiet else [f"<Deleted>{element('Key', key)}</Deleted>" for key in keys]
    return [_error_row(key, ServiceError("OperationAborted")) for key in keys]


def _error_row(key: str, error: ServiceError) -> str:
    return (
        f"<Error>{element('Key', key)}{element('Code', error.code)}"
        f"{element('Message', error.message)}</Error>"
    )


DELETE_OBJECT = Operation("DeleteObject", Level.OBJECT, delete_object)
DELETE_OBJECTS = Operation("DeleteObjects", Level.BUCKET, delete_objects)
