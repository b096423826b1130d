"""The methods of the metadata service, as ordinary functions over an engine and its writer.

Nothing here knows Socket.IO: ``shared.rpc.server`` carries the calls. The daemon is naive on
purpose: it knows keys and records, not S3.

The first seven methods are the original's (reference/dmd-wire.md, section 3.1). Three are ours:

``getMany([{subLevel, key}, ...])``
    The records at several keys of any sub-levels, read in one snapshot: an array of
    ``{value, revision}``, or null where there is none.
``batch([operation, ...], options)``
    Operations ``{type: "put", subLevel, key, value}`` and ``{type: "del", subLevel, key}`` that
    take effect together, in one durable commit. ``options.requires`` is an array of requirements
    (``dmd.metadata.conditions``); when one does not hold, nothing is written and the error is
    ``PreconditionFailed`` with the member ``requirement``, its index. The result has
    ``revisions``, one per operation (null for a deletion), and with ``options.returnPrevious``
    also ``previous``, what each operation replaced. An operation with ``release: true`` takes the
    data away from the record that it replaces or removes: its data locations are queued for
    deletion in the same transaction (``dmd.metadata.release``).
``list(params)``
    A page of a listing (``dmd.metadata.lister``).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmd.metadata import conditions, keys, stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.lister import list_page
from dmd.metadata.mutations import Committed, Delete, Mutation, Put, Refused
from dmd.metadata.projection import project
from dmd.metadata.writer import Writer
from shared import limits
from shared.errors import ServiceError
from shared.rpc.envelope import EXTENSIONS, Call, clock_ms

Page = list[Any]
_VERSIONING_OPTIONS = ("versioning", "versionId", "isNull", "deleteNullKey")


@dataclass(frozen=True, slots=True)
class Stream:
    """A listing to be sent in packets; each page is read in a short snapshot of its own."""

    pages: Iterator[Page]


class MetadataService:
    """One open store.

    ``path`` is the directory that getDiskUsage reports on, None for a store in memory.
    """

    def __init__(self, engine: Engine, writer: Writer, uuid: str, path: Path | None) -> None:
        self._engine = engine
        self._writer = writer
        self._uuid = uuid
        self._path = path
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
        }

    async def call(self, call: Call) -> Any:
        """The result of a call, a JSON value or a Stream; raises ServiceError."""
        if call.name == "getManifest":
            return {**self._manifest, "clockMs": clock_ms()}
        method = self._methods.get(call.name)
        if method is None:
            raise ServiceError("InvalidArgument", f"unknown method {call.name!r}")
        try:
            return await method(call)
        except stored.CorruptRecordError as error:
            raise ServiceError("InternalError", str(error)) from error

    async def _get(self, call: Call) -> str:
        (key,) = _strings(call, "key")
        _refuse_versioning(_options(call, 1))
        record = self._record(self._physical(call.sub_level, key))
        if record is None:
            raise ServiceError("ObjNotFound")
        return record.record.decode()

    async def _put(self, call: Call) -> None:
        key, value = _strings(call, "key", "value")
        _refuse_versioning(_options(call, 2))
        await self._commit(call, Mutation((self._put_operation(call.sub_level, key, value),)))

    async def _del(self, call: Call) -> None:
        (key,) = _strings(call, "key")
        _refuse_versioning(_options(call, 1))
        await self._commit(call, Mutation((Delete(self._physical(call.sub_level, key)),)))

    async def _create_read_stream(self, call: Call) -> Stream:
        return Stream(self._pages(call.sub_level, _options(call, 0)))

    async def _raw_list_keys(self, call: Call) -> Stream:
        options = _options(call, 0)
        lower, upper = keys.raw_range_of(options)
        items = self._items(lower, upper, options)
        return Stream(_paged((key.decode(), len(key)) for key, _ in items))

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

    async def _get_many(self, call: Call) -> list[dict[str, Any] | None]:
        wanted = [
            self._physical(*_addressed(entry, "a read"))
            for entry in _array(call, 0, "reads", limits.BATCH_OPERATIONS_MAX)
        ]
        with self._engine.snapshot() as reader:
            found = [(key, reader.get(key)) for key in wanted]
        return [
            None if value is None else _described(stored.unpack(key, value)) for key, value in found
        ]

    async def _list(self, call: Call) -> Any:
        return await list_page(self._engine, call.sub_level, _options(call, 0))

    async def _batch(self, call: Call) -> dict[str, Any]:
        operations = tuple(
            self._operation(entry)
            for entry in _array(call, 0, "operations", limits.BATCH_OPERATIONS_MAX)
        )
        options = _options(call, 1)
        requires = options.get("requires", [])
        if not isinstance(requires, list) or len(requires) > limits.BATCH_REQUIREMENTS_MAX:
            raise ServiceError("InvalidArgument", "requires must be an array, not too long")
        requirements = tuple(
            conditions.parse(entry, self._engine.key_bytes_max) for entry in requires
        )
        return_previous = options.get("returnPrevious") is True
        committed = await self._commit(call, Mutation(operations, requirements, return_previous))
        result: dict[str, Any] = {"revisions": list(committed.revisions)}
        if return_previous:
            result["previous"] = [
                None if entry is None else _described(entry) for entry in committed.previous
            ]
        return result

    async def _commit(self, call: Call, mutation: Mutation) -> Committed:
        outcome = await self._writer.submit(mutation, call)
        if isinstance(outcome, Refused):
            raise ServiceError(
                "PreconditionFailed",
                "a requirement of the batch does not hold",
                {"requirement": str(outcome.index)},
            )
        return outcome

    def _operation(self, entry: Any) -> Put | Delete:
        sub_level, key = _addressed(entry, "an operation")
        release = entry.get("release") is True
        match entry:
            case {"type": "put", "value": str() as value}:
                return self._put_operation(sub_level, key, value, release=release)
            case {"type": "del"}:
                return Delete(self._physical(sub_level, key), release)
        raise ServiceError("InvalidArgument", "an operation is a put with a value, or a del")

    def _put_operation(
        self, sub_level: Sequence[str], key: str, value: str, *, release: bool = False
    ) -> Put:
        record = keys.encode(value)
        schema, projection = project(sub_level, record)
        return Put(self._physical(sub_level, key), record, schema, projection, release)

    def _physical(self, sub_level: Sequence[str], key: str) -> bytes:
        return keys.physical(sub_level, key, self._engine.key_bytes_max)

    def _record(self, key: bytes) -> stored.Stored | None:
        with self._engine.snapshot() as reader:
            value = reader.get(key)
        return None if value is None else stored.unpack(key, value)

    def _items(
        self, lower: bytes, upper: bytes, options: Mapping[str, Any]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a range, through short snapshots, as the stream options have it."""
        reverse = bool(options.get("reverse"))
        limit = options.get("limit")
        left = limit if isinstance(limit, int) and limit >= 0 else None
        while left is None or left > 0:
            with self._engine.snapshot() as reader:
                page, more = _take(reader.range(lower, upper, reverse=reverse), left)
            yield from page
            if not more:
                return
            if left is not None:
                left -= len(page)
            last = page[-1][0]
            lower, upper = (lower, last) if reverse else (last + b"\0", upper)

    def _pages(self, sub_level: Sequence[str], options: Mapping[str, Any]) -> Iterator[Page]:
        lower, upper = keys.range_of(sub_level, options)
        start = len(keys.prefix(sub_level))
        with_keys, with_values = (
            options.get("keys") is not False,
            options.get("values") is not False,
        )

        def items() -> Iterator[tuple[Any, int]]:
            for key, value in self._items(lower, upper, options):
                name = key[start:].decode()
                if not with_values:
                    yield name, len(key)
                    continue
                record = _unpacked(key, value).record.decode()
                item = {"key": name, "value": record} if with_keys else record
                yield item, len(key) + len(value)

        return _paged(items())


def _take(
    items: Iterator[tuple[bytes, bytes]], count: int | None
) -> tuple[list[tuple[bytes, bytes]], bool]:
    """The first items, about one packet of them and at most ``count``; whether more may follow."""
    taken: list[tuple[bytes, bytes]] = []
    count = min(count or limits.STREAM_PACKET_ITEMS_MAX, limits.STREAM_PACKET_ITEMS_MAX)
    size = 0
    for key, value in items:
        taken.append((key, value))
        size += len(key) + len(value)
        if len(taken) >= count or size >= limits.STREAM_PACKET_BYTES_MAX:
            return taken, True
    return taken, False


def _paged(items: Iterator[tuple[Any, int]]) -> Iterator[Page]:
    """Items, each with its size in bytes, in packets within the limits."""
    page: Page = []
    size = 0
    for item, item_size in items:
        page.append(item)
        size += item_size
        if len(page) >= limits.STREAM_PACKET_ITEMS_MAX or size >= limits.STREAM_PACKET_BYTES_MAX:
            yield page
            page, size = [], 0
    if page:
        yield page


def _unpacked(key: bytes, value: bytes) -> stored.Stored:
    """A stored value in a stream, which outlives the call that damage would otherwise fail."""
    try:
        return stored.unpack(key, value)
    except stored.CorruptRecordError as error:
        raise ServiceError("InternalError", str(error)) from error


def _described(entry: stored.Stored) -> dict[str, Any]:
    return {"value": entry.record.decode(), "revision": entry.revision}


def _strings(call: Call, *names: str) -> tuple[str, ...]:
    """The leading arguments, each of which must be a string."""
    values = []
    for index, name in enumerate(names):
        value = call.arguments[index] if index < len(call.arguments) else None
        if not isinstance(value, str):
            raise ServiceError("InvalidArgument", f"{call.name}: {name} must be a string")
        values.append(value)
    return tuple(values)


def _options(call: Call, index: int) -> Mapping[str, Any]:
    """The options argument; missing and null mean none."""
    value = call.arguments[index] if index < len(call.arguments) else None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ServiceError("InvalidArgument", f"{call.name}: options must be an object")
    return value


def _array(call: Call, index: int, name: str, length_max: int) -> list[Any]:
    value = call.arguments[index] if index < len(call.arguments) else None
    if not isinstance(value, list) or len(value) > length_max:
        raise ServiceError(
            "InvalidArgument", f"{call.name}: {name} must be an array of at most {length_max}"
        )
    return value


def _addressed(entry: Any, what: str) -> tuple[list[str], str]:
    match entry:
        case {"subLevel": list() as sub_level, "key": str() as key} if conditions.is_sub_level(
            sub_level
        ):
            return sub_level, key
    raise ServiceError("InvalidArgument", f"{what} needs a subLevel and a key")


def _refuse_versioning(options: Mapping[str, Any]) -> None:
    """Storing a versioned record as a plain one would lose versions, so say no."""
    for name in _VERSIONING_OPTIONS:
        if options.get(name) not in (None, False):
            raise ServiceError("NotImplemented", f"option {name!r} is not supported yet")
