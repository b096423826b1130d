"""DeleteObject and DeleteObjects.

A deletion with a condition is decided on the object as it was read, and its commit requires that
this is still the object (DESIGN, section 5); one without depends on nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from s3front.body import read_document
from s3front.context import Context
from s3front.metadata.gateway import ChangedError, Requirement
from s3front.metadata.store import StoredBucket, StoredObject, object_requirement
from s3front.operations.decide_again import ATTEMPTS_MAX, read_again, read_objects_again
from s3front.preconditions import (
    IF_MATCH_SIZE,
    IF_MATCH_TIME,
    UNCONDITIONAL,
    DeleteConditions,
    entry_conditions,
    header_conditions,
)
from s3front.reply import xml_reply
from s3front.request import Reply, Request
from s3front.routes import Level, Operation
from s3front.target import check_key
from s3front.xml import element, parse
from shared import limits
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint
from shared.records.object import ObjectRecord

_COMMIT_KEYS_MAX = 100
"""Keys of one commit: a request of 1,000 keys must not hold up everybody else's writes."""

_BOOLEAN = re.compile("true|false")


async def delete_object(context: Context, request: Request) -> Reply:
    """DeleteObject (Amazon S3 API reference): 204 whether the object existed or not."""
    _check_version(context.target.query.get("versionId"))
    conditions = header_conditions(request.headers)
    bucket, current = context.bucket, context.current
    metadata = context.services.metadata
    for _ in range(ATTEMPTS_MAX):
        conditions.check(_record(current))
        requirements = []
        if conditions.any:
            requirements.append(_requirement(bucket, context.key, conditions, current))
        try:
            await metadata.delete_objects(bucket, [context.key], requirements, context.request_id)
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
    outcomes = [_Outcome(entry.key, entry.error) for entry in wanted.entries if entry.error]
    entries = [entry for entry in wanted.entries if entry.error is None]
    # Apart, so that whoever changes a watched object holds up nothing else.
    for watched in (False, True):
        chosen = [entry for entry in entries if entry.conditions.any is watched]
        for start in range(0, len(chosen), _COMMIT_KEYS_MAX):
            slice_ = chosen[start : start + _COMMIT_KEYS_MAX]
            outcomes += await _delete_slice(context, slice_, watched=watched)
    rows = [_row(outcome) for outcome in outcomes if outcome.error or not wanted.quiet]
    return xml_reply("DeleteResult", "".join(rows))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object to delete; ``error`` is what already refuses it."""

    key: str
    conditions: DeleteConditions = UNCONDITIONAL
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one object; ``error`` is None when it is deleted."""

    key: str
    error: ServiceError | None = None


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
    if _BOOLEAN.fullmatch(quiet) is None:
        raise ServiceError("MalformedXML")
    return _Delete(entries, quiet == "true")


def _parse_entry(node: Element) -> _Entry:
    key = node.findtext("Key")
    if not key:
        raise ServiceError("MalformedXML")
    try:
        check_key(key)
        _check_version(node.findtext("VersionId"))
        return _Entry(key, entry_conditions(node.findtext))
    except ServiceError as error:
        return _Entry(key, error=error)


def _check_version(version: str | None) -> None:
    """Objects here have one version, ``null``."""
    if version is not None and version != "null":
        raise ServiceError("NoSuchVersion", fields={"VersionId": version})


async def _delete_slice(
    context: Context, entries: Sequence[_Entry], *, watched: bool
) -> list[_Outcome]:
    """Delete some objects in one commit. A failure is theirs alone.

    ``watched``: their deletions have conditions, so they are read, and must still be the same.
    """
    keys = [entry.key for entry in entries]
    bucket = context.bucket
    objects: Mapping[str, StoredObject | None] = {}
    outcomes: list[_Outcome] = []
    try:
        for attempt in range(ATTEMPTS_MAX):
            if watched or attempt > 0:
                wanted = keys if watched else []
                bucket, found = await read_objects_again(context, bucket, wanted)
                objects = dict(zip(wanted, found, strict=True))
            outcomes = [_decide(entry, objects.get(entry.key)) for entry in entries]
            passed = [
                entry
                for entry, outcome in zip(entries, outcomes, strict=True)
                if outcome.error is None
            ]
            try:
                await _commit(context, bucket, passed, objects)
            except ChangedError:
                continue
            return outcomes
    except ServiceError as error:
        return [_Outcome(key, error) for key in keys]
    conflict = ServiceError("ConditionalRequestConflict" if watched else "OperationAborted")
    return [_Outcome(outcome.key, outcome.error or conflict) for outcome in outcomes]


def _decide(entry: _Entry, current: StoredObject | None) -> _Outcome:
    try:
        entry.conditions.check(_record(current))
    except ServiceError as error:
        return _Outcome(entry.key, error)
    return _Outcome(entry.key)


async def _commit(
    context: Context,
    bucket: StoredBucket,
    entries: Sequence[_Entry],
    objects: Mapping[str, StoredObject | None],
) -> None:
    """Delete objects as long as those that are watched are as they were decided on."""
    if not entries:
        return
    requirements = [
        _requirement(bucket, entry.key, entry.conditions, objects[entry.key])
        for entry in entries
        if entry.conditions.any
    ]
    keys = [entry.key for entry in entries]
    await context.services.metadata.delete_objects(bucket, keys, requirements, context.request_id)
    failpoint(FailPoint.AFTER_RECORD_COMMIT)


def _requirement(
    bucket: StoredBucket, key: str, conditions: DeleteConditions, current: StoredObject | None
) -> Requirement:
    return object_requirement(bucket, key, current, any_state=conditions.any_state)


def _record(current: StoredObject | None) -> ObjectRecord | None:
    return None if current is None else current.record


def _row(outcome: _Outcome) -> str:
    key = element("Key", outcome.key)
    if outcome.error is None:
        return f"<Deleted>{key}</Deleted>"
    code, message = element("Code", outcome.error.code), element("Message", outcome.error.message)
    return f"<Error>{key}{code}{message}</Error>"


DELETE_OBJECT = Operation(
    "DeleteObject",
    Level.OBJECT,
    delete_object,
    honours=frozenset((IF_MATCH_TIME, IF_MATCH_SIZE)),
)
DELETE_OBJECTS = Operation("DeleteObjects", Level.BUCKET, delete_objects)
