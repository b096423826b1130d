"""The methods of the metadata service, as ordinary functions over an engine and its writer.

Nothing here knows Socket.IO: ``dmd.rpc.stock_server`` carries the calls. The daemon is naive on
purpose: it knows keys, records, versions and masters, not S3.

The first seven methods are the original's (reference/dmd-wire.md, sections 3.1 and 6). Three are
ours:

``getMany([{subLevel, key}, ...])``
    The records at several keys of any sub-levels, read in one snapshot: an array of
    ``{value, revision}``, or null where there is none. One with ``ifRevisionNot``, and ``get`` with
    that option, is answered ``{same: true}`` when the record has that revision.
``batch([operation, ...], options)``
    Operations ``{type: "put", subLevel, key, value}`` and ``{type: "del", subLevel, key}`` that
    take effect together and in order, in one durable commit. ``options.requires`` is an array of
    requirements (``dmd.metadata.conditions``); when one does not hold, nothing is written and the
    error is ``PreconditionFailed`` with the member ``requirement``, its index. An operation may
    have ``options``, the versioning options of ``put`` and ``del``. The result has ``revisions``,
    one per operation (null for a deletion), ``versionIds`` when an operation has options (null for
    the others), and with ``options.returnPrevious`` also ``previous``, what each operation replaced
    or removed. An operation with ``release: true`` takes the data away from the record that it
    replaces or removes: its data locations are queued for deletion in the same transaction
    (``dmd.metadata.release``). With versioning options only data that no version is left to own.
    ``{type: "append", subLevel, value}`` puts a record behind those of a queue, in the same way.
    ``{…, body, bodyKey}``: the attachment ``body`` becomes a blob of the data directory that
    ``options.bodies`` names, and its key takes the place of ``bodyKey``, 40 digits that are in the
    value once (``dmd.metadata.commit_bodies``). A read of ``getMany`` with ``body: true`` is
    answered with the blob that the record names as well, ``body``, when it is small and at hand.
``list(params)``
    A page of a listing (``dmd.metadata.lister``).

While a backup runs, streams show the queue of deletions as empty (``dmd.hold``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dmd.hold import are_held
from dmd.metadata import arguments, conditions, pages, record_keys, stored, versioned_writes
from dmd.metadata.alarm import DAMAGE, Alarm
from dmd.metadata.commit import StoredRecords
from dmd.metadata.commit_bodies import CommitBodies
from dmd.metadata.engines.base import Engine
from dmd.metadata.lister import TYPES, list_page
from dmd.metadata.mutations import (
    Body,
    Committed,
    Delete,
    Mutation,
    Operation,
    Outcome,
    Put,
    Refused,
    Versioned,
)
from dmd.metadata.pages import PacketSize, Page, Stream
from dmd.metadata.projection import project
from dmd.metadata.release import ENTRY_NAME_BYTES
from dmd.metadata.versioned_writes import PutVersion
from dmd.metadata.writer import Writer
from shared import limits
from shared.blob_files import is_blob_key
from shared.errors import ServiceError
from shared.process.logs import get_logger
from shared.records.names import DELETIONS
from shared.rpc import codec
from shared.rpc.envelope import (
    BODIES_EXTENSION,
    EXTENSIONS,
    SAME,
    Call,
    clock_ms,
    is_sub_level,
)

_VERSION_ID_BYTES = 64
"""Room that the version ID takes behind a key, its separator included; ours have up to 48."""


class MetadataService:
    """One open store.

    ``path`` is the directory that getDiskUsage reports on, None for a store in memory.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        uuid: str,
        path: Path | None,
        packet_size: PacketSize | None = None,
        alarm: Alarm | None = None,
        bodies: CommitBodies | None = None,
    ) -> None:
        self._bodies = bodies
        self._alarm = alarm or Alarm(get_logger())
        self._engine = engine
        self._writer = writer
        self._uuid = uuid
        self._path = path
        self._packet_size = packet_size or PacketSize()
        # The original lists its immediate methods first, getManifest left out.
        self._methods: dict[str, Callable[[Call], Awaitable[Any]]] = {
            "createReadStream": self._create_read_stream,
            "rawListKeys": self._raw_list_keys,
            "getUUID": self._get_uuid,
            "put": self._put,
            "del": self._del,
            "get": self._get,
            "getDiskUsage": self._get_disk_usage,
            "getMany": self._get_many,
            "batch": self._batch,
            "list": self._list,
        }
        self._manifest = {
            "apiVersion": "1.0",
            "api": [{"name": name} for name in self._methods],
            "extensions": list(EXTENSIONS),
            "listings": list(TYPES),
        }

    async def call(self, call: Call) -> Any:
        """The result of a call, a JSON value or a Stream; raises ServiceError."""
        method = self._methods.get(call.name)
        if method is None:
            if call.name == "getManifest":
                return {**self._manifest, **self._offered(call), "clockMs": clock_ms()}
            raise ServiceError("InvalidArgument", f"unknown method {call.name!r}")
        try:
            return await method(call)
        except DAMAGE as error:
            raise self._alarm.error(error) from error

    def _offered(self, call: Call) -> Mapping[str, Any]:
        """What the manifest says of bodies to those whose calls can have them."""
        bodies = self._bodies
        if bodies is None or call.attachments is None or (identity := bodies.identity) is None:
            return {}
        return {
            "extensions": [*EXTENSIONS, BODIES_EXTENSION],
            "bodies": {"directory": identity, "sizeMaxBytes": bodies.bytes_max},
        }

    async def _get(self, call: Call) -> str | Mapping[str, Any]:
        (key,) = arguments.strings(call, "key")
        options = arguments.options(call, 1)
        version_id = versioned_writes.version_id_of(options)
        known = arguments.known_revision(options)
        if version_id:
            key = _version_name(key, version_id)
        physical = self._physical(call.sub_level, key)
        with self._engine.snapshot() as reader:
            if known is not None:
                value = reader.get(physical)
                if value is not None and stored.revision_of(value) == known:
                    return SAME
            records = StoredRecords(reader)
            record = records.get(physical)
            placeholder = (
                not version_id and record is not None and versioned_writes.is_placeholder(record)
            )
            if placeholder:
                record = versioned_writes.newest(records, physical)
        if placeholder:
            # The answer is known; whoever reads next tries again.
            with contextlib.suppress(ServiceError):
                await self._repair(physical)
        if record is None:
            raise ServiceError("ObjNotFound")
        return record.decode()

    async def _put(self, call: Call) -> str | None:
        key, value = arguments.strings(call, "key", "value")
        operation = self._put_operation(call.sub_level, key, value, arguments.options(call, 2))
        return _version_answer(_committed(await self._writer.submit(Mutation((operation,)), call)))

    async def _del(self, call: Call) -> str | None:
        (key,) = arguments.strings(call, "key")
        operation = self._del_operation(call.sub_level, key, arguments.options(call, 1))
        return _version_answer(_committed(await self._writer.submit(Mutation((operation,)), call)))

    async def _create_read_stream(self, call: Call) -> Stream:
        found = self._pages(call.sub_level, arguments.options(call, 0))
        if list(call.sub_level) == [DELETIONS] and self._path and are_held(self._path):
            return Stream(iter(()))
        return Stream(self._alarm.watched(found))

    async def _raw_list_keys(self, call: Call) -> Stream:
        options = arguments.options(call, 0)
        items = pages.read(
            self._engine, _range(*record_keys.raw_range_of(options), options), self._packet_size
        )
        found = pages.paged(((key.decode(), len(key)) for key, _ in items), self._packet_size)
        return Stream(self._alarm.watched(found))

    async def _get_uuid(self, _call: Call) -> str:
        return self._uuid

    async def _get_disk_usage(self, _call: Call) -> dict[str, int]:
        if self._path is None:
            return {"available": 0, "free": 0, "total": 0}
        usage = os.statvfs(self._path)
        return {
            "available": usage.f_bavail * usage.f_frsize,
            "free": usage.f_bfree * usage.f_frsize,
            "total": usage.f_blocks * usage.f_frsize,
        }

    async def _get_many(self, call: Call) -> list[Mapping[str, Any] | None]:
        reads = arguments.array(call, 0, "reads", limits.BATCH_OPERATIONS_MAX)
        wanted = arguments.wanted(reads, self._engine.key_bytes_max)
        found, placeholders = self._read(wanted)
        if placeholders:
            # What is read is what a condition can name afterwards, so the repair comes first.
            await self._repair(*placeholders)
            found, _ = self._read(wanted)
        return [
            self._answer(call, reads[at], entry) if isinstance(entry, stored.Stored) else entry
            for at, entry in enumerate(found)
        ]

    def _answer(
        self, call: Call, read: Mapping[str, Any], entry: stored.Stored
    ) -> Mapping[str, Any]:
        """What a read is answered with, its body included if it asks for that."""
        described = _described(entry)
        if "body" in read and self._bodies is not None and call.attachments is not None:
            body = self._bodies.body_of(entry.record)
            attached = None if body is None else call.attachments.attach(body)
            if attached is not None:
                described["body"] = attached
        return described

    async def _list(self, call: Call) -> Any:
        params = arguments.options(call, 0)
        return await list_page(self._engine, call.sub_level, params, call.attachments)

    async def _batch(self, call: Call) -> dict[str, Any]:
        options = arguments.options(call, 1)
        entries = arguments.array(call, 0, "operations", limits.BATCH_OPERATIONS_MAX)
        directory = options.get("bodies")
        operations = [
            self._with_body(self._operation(entry), entry, call, directory) for entry in entries
        ]
        requires = options.get("requires", [])
        if not isinstance(requires, list) or len(requires) > limits.BATCH_REQUIREMENTS_MAX:
            raise ServiceError("InvalidArgument", "requires must be an array, not too long")
        key_bytes_max = self._engine.key_bytes_max
        requirements = [conditions.parse(entry, key_bytes_max) for entry in requires]
        return_previous = options.get("returnPrevious") is True
        mutation = Mutation(tuple(operations), tuple(requirements), return_previous)
        committed = _committed(await self._writer.submit(mutation, call))
        result: dict[str, Any] = {"revisions": list(committed.revisions)}
        if Versioned in map(type, operations):
            result["versionIds"] = list(committed.version_ids)
        if return_previous:
            result["previous"] = [
                None if entry is None else _described(entry) for entry in committed.previous
            ]
        return result

    async def _repair(self, *masters: bytes) -> None:
        """Replace placeholders for deletion that a foreign daemon left."""
        operations = tuple(Versioned(versioned_writes.RepairMaster(key)) for key in masters)
        await self._writer.submit(Mutation(operations))

    def _operation(self, entry: Any) -> Operation:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind == "append":
            return self._append_operation(entry)
        sub_level, key = arguments.addressed(entry, "an operation")
        release = entry.get("release") is True
        options = arguments.checked_options(entry.get("options"), "an operation")
        value = entry.get("value")
        if kind == "put" and isinstance(value, str):
            return self._put_operation(sub_level, key, value, options, release=release)
        if kind == "del":
            return self._del_operation(sub_level, key, options, release=release)
        raise ServiceError("InvalidArgument", "an operation is a put with a value, or a del")

    def _with_body(
        self, operation: Operation, entry: Mapping[str, Any], call: Call, directory: Any
    ) -> Operation:
        """An operation with the body that it brings, which is to go to a certain directory."""
        if "body" not in entry:
            return operation
        bodies, attachments = self._bodies, call.attachments
        here = None if bodies is None else bodies.identity
        if bodies is None or attachments is None or here is None or directory != here:
            raise ServiceError("ServiceUnavailable", "the bodies are meant for another daemon")
        content, name = attachments.received(entry["body"]), entry.get("bodyKey")
        if content is None or len(content) > bodies.bytes_max:
            raise ServiceError("InvalidArgument", "a body is an attachment, and a small one")
        if isinstance(operation, Put):
            record = operation.record
        elif isinstance(operation, Versioned) and isinstance(operation.request, PutVersion):
            record = operation.request.record
        else:
            raise ServiceError("InvalidArgument", "a body comes with a put")
        if isinstance(name, str) and is_blob_key(name):
            known_as = name.encode()
            at = record.find(known_as)
            if at >= 0 and record.find(known_as, at + len(known_as)) < 0:
                return replace(operation, body=Body(at, content))
        raise ServiceError("InvalidArgument", "bodyKey is 40 digits that the value has once")

    def _append_operation(self, entry: Mapping[str, Any]) -> Operation:
        match entry:
            case {"subLevel": list() as level, "value": str() as value} if (
                is_sub_level(level) and not {"key", "options", "release"} & entry.keys()
            ):
                self._physical(level, "0" * ENTRY_NAME_BYTES)
                record = record_keys.encode(value)
                return Put(record_keys.prefix(level), record, *project(level, record), appends=True)
        raise ServiceError("InvalidArgument", "an append has a subLevel and a value, and no more")

    def _put_operation(
        self,
        sub_level: Sequence[str],
        key: str,
        value: str,
        options: Mapping[str, Any],
        *,
        release: bool = False,
    ) -> Operation:
        record = record_keys.encode(value)
        physical = self._physical(sub_level, key)
        request = versioned_writes.put_request(physical, record, options)
        if request is not None:
            self._check_room(physical, request.version_id)
            return Versioned(request, release)
        schema, projection = project(sub_level, record)
        return Put(physical, record, schema, projection, release)

    def _del_operation(
        self,
        sub_level: Sequence[str],
        key: str,
        options: Mapping[str, Any],
        *,
        release: bool = False,
    ) -> Operation:
        physical = self._physical(sub_level, key)
        request = versioned_writes.delete_request(physical, options)
        if request is None:
            return Delete(physical, release)
        self._check_room(physical, request.version_id)
        return Versioned(request, release)

    def _check_room(self, physical: bytes, version_id: str | None) -> None:
        """Refuse a key that leaves no room for the versions behind it."""
        own = 0 if version_id is None else 1 + len(record_keys.encode(version_id))
        length = len(physical) + max(own, _VERSION_ID_BYTES)
        if length > self._engine.key_bytes_max:
            raise ServiceError(
                "KeyTooLongError",
                f"with a version ID the key takes {length} bytes of {self._engine.key_bytes_max}",
            )

    def _physical(self, sub_level: Sequence[str], key: str) -> bytes:
        return record_keys.physical(sub_level, key, self._engine.key_bytes_max)

    def _read(
        self, wanted: Sequence[tuple[bytes, int | None]]
    ) -> tuple[list[stored.Stored | Mapping[str, Any] | None], list[bytes]]:
        """What is stored at some keys, in one snapshot, and the keys of placeholders among it.

        SAME where it has the revision that is known. That was verified when it was read, so it need
        not be again.
        """
        found: list[stored.Stored | Mapping[str, Any] | None] = []
        placeholders: list[bytes] = []
        with self._engine.snapshot() as reader:
            values = [(key, known, reader.get(key)) for key, known in wanted]
        for key, known, value in values:
            if value is None:
                found.append(None)
            elif known is not None and stored.revision_of(value) == known:
                found.append(SAME)
            else:
                entry = stored.unpack(key, value)
                found.append(entry)
                if versioned_writes.is_placeholder(entry.record):
                    placeholders.append(key)
        return found, placeholders

    def _pages(self, sub_level: Sequence[str], options: Mapping[str, Any]) -> Iterator[Page]:
        wanted = _range(*record_keys.range_of(sub_level, options), options)
        start = len(record_keys.prefix(sub_level))
        with_keys, with_values = (
            options.get("keys") is not False,
            options.get("values") is not False,
        )

        def items() -> Iterator[tuple[Any, int]]:
            for key, value in pages.read(self._engine, wanted, self._packet_size):
                name = key[start:].decode()
                if not with_values:
                    yield name, len(key)
                    continue
                record = stored.unpack(key, value).record.decode()
                item = {"key": name, "value": record} if with_keys else record
                yield item, len(key) + len(value)

        return pages.paged(items(), self._packet_size)


def _range(lower: bytes, upper: bytes, options: Mapping[str, Any]) -> pages.Range:
    """A range with the order and limit that stream options name; a negative limit is none."""
    limit = options.get("limit")
    left = limit if isinstance(limit, int) and limit >= 0 else None
    return pages.Range(lower, upper, bool(options.get("reverse")), left)


def _version_name(key: str, version_id: str) -> str:
    return f"{key}\0" if version_id == versioned_writes.NULL else f"{key}\0{version_id}"


def _committed(outcome: Outcome) -> Committed:
    """What a mutation has done; raises PreconditionFailed when it was refused."""
    if isinstance(outcome, Refused):
        raise ServiceError(
            "PreconditionFailed",
            "a requirement of the batch does not hold",
            {"requirement": str(outcome.index)},
        )
    return outcome


def _version_answer(committed: Committed) -> str | None:
    """What a put or del answers: a JSON text, or null when no version was named."""
    (version_id,) = committed.version_ids
    return None if version_id is None else codec.dumps({"versionId": version_id})


def _described(entry: stored.Stored) -> dict[str, Any]:
    return {"value": entry.record.decode(), "revision": entry.revision}
