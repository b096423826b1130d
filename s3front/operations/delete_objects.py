"""DeleteObject and DeleteObjects.

A deletion that names a version removes it for good. One that names none removes the object, where
there are no versions; else it stores a delete marker (``s3front.objects.versioning``).

What is decided on the object as it was read is committed with the requirement that this still holds
(DESIGN, section 5); a deletion without conditions, where there are no versions, depends on nothing.
Where there is object lock, a version is removed only if the commit finds the very record that was
judged: a legal hold that was acknowledged before is never overlooked.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from xml.etree.ElementTree import Element

from msgspec import structs

from s3front.authz.access import PER_KEY, arn
from s3front.authz.decide import authorize
from s3front.authz.refusals import AccessDeniedError
from s3front.bodies.request_document import interpreted, read_document
from s3front.context import Context
from s3front.metadata.gateway import ChangedError
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.object_store import (
    ObjectCommit,
    StoredObject,
    object_requirement,
    planned,
)
from s3front.objects.object_lock import (
    BYPASS_HEADER,
    Lock,
    check_removal,
    is_enabled,
    wants_bypass,
    wants_bypass_of,
)
from s3front.objects.object_record import ObjectRecord
from s3front.objects.preconditions import (
    IF_MATCH_SIZE,
    IF_MATCH_TIME,
    UNCONDITIONAL,
    DeleteConditions,
    entry_conditions,
    header_conditions,
)
from s3front.objects.put_plan import is_plain
from s3front.objects.versioning import (
    LATEST,
    NULL,
    Place,
    Version,
    plan_removal,
    plan_write,
    plan_write_unread,
    shown_id,
)
from s3front.operations.decide_again import (
    ATTEMPTS_MAX,
    commit_unread,
    read_again,
    read_now,
    read_versions_again,
)
from s3front.operations.get_object import GET_OBJECT
from s3front.operations.governance_bypass import may_bypass
from s3front.operations.granting import owner_of
from s3front.operations.honoured import DOCUMENT
from s3front.port.reply import xml_reply
from s3front.port.request import Headers, Reply, Request
from s3front.port.target import check_key
from s3front.port.xml import element, parse
from s3front.routes import Level, Operation
from s3front.s3_errors import S3Error
from shared import limits
from shared.failpoints import FailPoint, failpoint
from shared.records.bucket import BucketRecord
from shared.records.times import now

_COMMIT_KEYS_MAX = 100
"""Keys of one commit: a request of 1,000 keys must not hold up everybody else's writes."""

_DECIDING_SECONDS = 0.005
"""How long keys are decided on before others get their turn."""

_BOOLEAN = re.compile("true|false")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One version to delete; ``error`` is what already refuses it. ``bypass``: it asks to
    bypass governance mode."""

    key: str
    version: Version = LATEST
    version_text: str | None = None
    conditions: DeleteConditions = UNCONDITIONAL
    bypass: bool = False
    error: S3Error | None = None

    @property
    def named(self) -> tuple[str, str | None, DeleteConditions]:
        """What tells it from others of its request."""
        return self.key, self.version_text, self.conditions


@dataclass(frozen=True, slots=True)
class _Deletion:
    """What becomes of one entry: the commit, None when there is nothing to do, and whether the
    version that it removes is a delete marker."""

    entry: _Entry
    commit: ObjectCommit | None = None
    removes_marker: bool = False
    made: ObjectRecord | None = None
    """The delete marker that it made."""
    error: S3Error | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What DeleteObject says of it."""
        headers = {}
        if self.made is not None:
            headers["x-amz-version-id"] = shown_id(self.made)
        elif self.entry.version.is_specific:
            headers["x-amz-version-id"] = self.entry.version.shown
        if self.made is not None or self.removes_marker:
            headers["x-amz-delete-marker"] = "true"
        return headers


async def delete_object(context: Context, request: Request) -> Reply:
    """DeleteObject (Amazon S3 API reference): 204 whether the object existed or not."""
    entry = _Entry(
        context.key,
        context.version,
        conditions=header_conditions(request.headers),
        bypass=wants_bypass_of(context.bucket.record.document, request.headers),
    )
    if context.unread:
        done = await _delete_unread(context, entry)
        if done is not None:
            return Reply(204, done.headers)
        context = await read_now(context)
    if compares := _compared_by(entry):
        authorize(context.access.to(*compares))
    bucket, current = context.bucket, context.current
    for _ in range(ATTEMPTS_MAX):
        deletion = _decide(context, bucket, entry, current)
        if deletion.error is not None:
            raise deletion.error
        try:
            (done,) = await _commit(context, bucket, [deletion])
        except ChangedError:
            bucket, current = await read_again(context, bucket)
        else:
            return Reply(204, done.headers)
    raise S3Error("ConditionalRequestConflict", fields={"Key": context.key})


def _is_plain(headers: Headers, bucket: BucketRecord) -> bool:
    """Whether a deletion of the latest version is decided by its bucket alone."""
    return (
        is_plain(headers, bucket) and IF_MATCH_TIME not in headers and IF_MATCH_SIZE not in headers
    )


async def _delete_unread(context: Context, entry: _Entry) -> _Deletion | None:
    """Delete the latest version though nothing was read; None where something has to be."""
    versioning = context.bucket.record.versioning
    if versioning is None:
        plan = plan_removal(versioning, None, Place.MASTER)
    else:
        plan = plan_write_unread(versioning, _delete_marker(context, entry.key))
    done = await commit_unread(context, plan)
    if done is None:
        return None
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    commit, version_ids = done
    made = None if commit.record is None else commit.stored(version_ids)
    return _Deletion(entry, commit, made=made)


async def delete_objects(context: Context, request: Request) -> Reply:
    """DeleteObjects (Amazon S3 API reference): up to 1,000 keys, an answer for each.

    The answers are in the order of the request. What is there more than once is done once and
    answered once, as at AWS (noobaa-core#7328).
    """
    bypass = wants_bypass(request.headers)
    body = await read_document(context, request, limits.DELETE_BODY_BYTES_MAX, digest_required=True)
    wanted = await interpreted(body, _parse_delete)
    done = [_Deletion(entry, error=entry.error) for entry in wanted.entries if entry.error]
    entries = [replace(entry, bypass=bypass) for entry in wanted.entries if entry.error is None]
    # Apart, so that whoever changes a watched object holds up nothing else.
    for watched in (False, True):
        chosen = [entry for entry in entries if entry.conditions.any is watched]
        for slice_ in _slices(chosen):
            done += await _delete_slice(context, slice_)
    places = {entry.named: place for place, entry in enumerate(wanted.entries)}
    done.sort(key=lambda deletion: places[deletion.entry.named])
    refused = (each.error for each in done if isinstance(each.error, AccessDeniedError))
    for error in islice(refused, 1):
        context.services.take_down(error, context.request_id, "DeleteObjects", request.peer)
    rows = [_row(deletion) for deletion in done if deletion.error or not wanted.quiet]
    return xml_reply("DeleteResult", "".join(rows))


def _slices(entries: Sequence[_Entry]) -> list[list[_Entry]]:
    """The entries of each commit. All of them are decided on what was read before it, so of one key
    a commit has the latest version alone, or the null version alone, or others, each once.

    Those of one key are in their order; however they are mixed, they take few commits.
    """
    rounds: list[list[_Entry]] = []
    last_of: dict[str, tuple[int, set[Version]]] = {}
    for entry in entries:
        number, before = last_of.get(entry.key, (0, set()))
        alone = entry.version in (LATEST, NULL)
        if before and (alone or before & {LATEST, NULL, entry.version}):
            number, before = number + 1, set()
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(entry)
        last_of[entry.key] = number, before | {entry.version}
    return [
        round_[start : start + _COMMIT_KEYS_MAX]
        for round_ in rounds
        for start in range(0, len(round_), _COMMIT_KEYS_MAX)
    ]


@dataclass(frozen=True, slots=True)
class _Delete:
    entries: Sequence[_Entry]
    quiet: bool


def _parse_delete(body: bytes) -> _Delete:
    tree = parse(body, "Delete", limits.DELETE_ELEMENTS_MAX)
    nodes = tree.findall("Object")
    if not nodes or len(nodes) > limits.DELETE_KEYS_MAX:
        raise S3Error("MalformedXML")
    entries = list({entry.named: entry for entry in map(_parse_entry, nodes)}.values())
    quiet = (tree.findtext("Quiet") or "false").strip().lower()
    if _BOOLEAN.fullmatch(quiet) is None:
        raise S3Error("MalformedXML")
    return _Delete(entries, quiet == "true")


def _parse_entry(node: Element) -> _Entry:
    key = node.findtext("Key")
    if not key:
        raise S3Error("MalformedXML")
    entry = _Entry(key, version_text=node.findtext("VersionId"))
    try:
        check_key(key)
        entry = replace(entry, conditions=entry_conditions(node.findtext))
    except S3Error as error:
        return replace(entry, error=error)
    try:
        return replace(entry, version=Version.parse(entry.version_text))
    except S3Error:
        # Unlike DeleteObject, S3 says so of an ID that cannot be one.
        return replace(entry, error=S3Error("NoSuchVersion"))


async def _delete_slice(context: Context, entries: Sequence[_Entry]) -> list[_Deletion]:
    """Delete some versions in one commit. A failure is theirs alone."""
    bucket = context.bucket
    deletions: list[_Deletion] = []
    try:
        for attempt in range(ATTEMPTS_MAX):
            found: Sequence[StoredObject | None] = [None] * len(entries)
            if attempt > 0 or bucket.record.has_versions or any(map(_must_be_read, entries)):
                wanted = [(entry.key, entry.version) for entry in entries]
                bucket, found = await read_versions_again(context, bucket, wanted)
            deletions = []
            until = time.monotonic() + _DECIDING_SECONDS
            for entry, current in zip(entries, found, strict=True):
                deletions.append(
                    _allow(context, bucket, entry, current)
                    or _decide(context, bucket, entry, current)
                )
                if time.monotonic() > until:
                    # Policies may be long, and each key is decided on by itself.
                    await asyncio.sleep(0)
                    until = time.monotonic() + _DECIDING_SECONDS
            try:
                return await _commit(context, bucket, deletions)
            except ChangedError:
                continue
    except S3Error as error:
        return [_Deletion(entry, error=error) for entry in entries]
    watched = any(entry.conditions.any for entry in entries)
    conflict = S3Error("ConditionalRequestConflict" if watched else "OperationAborted")
    return [replace(deletion, error=deletion.error or conflict) for deletion in deletions]


def _compared_by(entry: _Entry) -> Sequence[str]:
    """What conditions ask for besides, as their outcome tells of what is there; that it is there
    at all is told to whoever may delete it (Amazon S3 user guide, "Add preconditions to S3
    operations")."""
    if not entry.conditions.any or entry.conditions.any_state:
        return ()
    return GET_OBJECT.actions_for(entry.version, {})


def _must_be_read(entry: _Entry) -> bool:
    """Whether a deletion depends on the object even where there are no versions."""
    return entry.conditions.any or entry.version not in (LATEST, NULL)


def _allow(
    context: Context, bucket: StoredBucket, entry: _Entry, current: StoredObject | None
) -> _Deletion | None:
    """Each deletion is an access of its own. What becomes of one that is not allowed, else None."""
    actions = (*DELETE_OBJECT.actions_for(entry.version, {}), *_compared_by(entry))
    access = structs.replace(
        context.access,
        actions=actions,
        resource=arn(bucket.name, entry.key),
        keys=context.access.keys.of_version(entry.version_text),
        bucket=bucket.record,
        object=None if current is None else current.record,
    )
    try:
        authorize(access)
    except S3Error as error:
        return _Deletion(entry, error=error)
    return None


def _decide(
    context: Context, bucket: StoredBucket, entry: _Entry, current: StoredObject | None
) -> _Deletion:
    """What a deletion does to the version that it names, as it was read."""
    record = None if current is None else current.record
    versioning = bucket.record.versioning
    if record is None and versioning is not None and entry.version.is_specific:
        return _Deletion(entry)
    locks = is_enabled(bucket.record.document) and entry.version.is_specific
    try:
        entry.conditions.check(record)
        if locks and record is not None:
            bypass = entry.bypass and may_bypass(context, bucket, entry.key, record)
            check_removal(Lock.of(record.document), now(), bypass=bypass)
    except S3Error as error:
        return _Deletion(entry, error=error)
    requirement = None
    if entry.conditions.any:
        any_state = entry.conditions.any_state
        requirement = object_requirement(bucket, entry.key, current, any_state=any_state)
    if versioning is not None and not entry.version.is_specific:
        marker = _delete_marker(context, entry.key)
        plan = plan_write(versioning, record, marker, context.services.objects.oldest_version_id)
        return _Deletion(entry, planned(bucket, entry.key, current, plan, requirement))
    if current is None and _must_be_read(entry):
        return _Deletion(entry)
    place = Place.MASTER if current is None else current.place
    plan = plan_removal(versioning, record, place, judged=locks)
    return _Deletion(
        entry,
        planned(bucket, entry.key, current, plan, requirement),
        removes_marker=record is not None and record.is_delete_marker,
    )


def _delete_marker(context: Context, key: str) -> ObjectRecord:
    owner = owner_of(context, context.bucket.record, None)
    return ObjectRecord.delete_marker(key, owner.id, owner.name, now())


async def _commit(
    context: Context, bucket: StoredBucket, deletions: Sequence[_Deletion]
) -> list[_Deletion]:
    """Do what was decided, with the delete markers as they are stored; raises ChangedError."""
    commits = [deletion.commit for deletion in deletions if deletion.commit is not None]
    if not commits:
        return list(deletions)
    answers = await context.services.objects.commit(bucket, commits, context.request_id)
    failpoint(FailPoint.AFTER_RECORD_COMMIT)
    done: list[_Deletion] = []
    for deletion in deletions:
        commit = deletion.commit
        if commit is None:
            done.append(deletion)
            continue
        own, answers = answers[: len(commit.operations)], answers[len(commit.operations) :]
        made = None if commit.record is None else commit.stored(own)
        done.append(replace(deletion, made=made))
    return done


def _row(deletion: _Deletion) -> str:
    entry, error = deletion.entry, deletion.error
    named = element("Key", entry.key) + element("VersionId", entry.version_text)
    if error is not None:
        code, message = element("Code", error.code), element("Message", error.message)
        return f"<Error>{named}{code}{message}</Error>"
    if deletion.made is not None or deletion.removes_marker:
        marker = entry.version.shown if deletion.made is None else shown_id(deletion.made)
        named += element("DeleteMarker", "true") + element("DeleteMarkerVersionId", marker)
    return f"<Deleted>{named}</Deleted>"


DELETE_OBJECT = Operation(
    "DeleteObject",
    Level.OBJECT,
    delete_object,
    ("s3:DeleteObject",),
    version_actions=("s3:DeleteObjectVersion",),
    headers=frozenset(("if-match", IF_MATCH_TIME, IF_MATCH_SIZE, BYPASS_HEADER)),
    unread=_is_plain,
)
DELETE_OBJECTS = Operation(
    "DeleteObjects",
    Level.BUCKET,
    delete_objects,
    (PER_KEY,),
    headers=DOCUMENT | {BYPASS_HEADER},
)
