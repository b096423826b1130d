"""One round trip to the metadata service, with its failures in S3's terms.

Everything in this package speaks through it: reads in one snapshot, atomic commits that state what
they were decided on, and streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from s3front.metadata.foreign import ForeignMetadata, RequirementFailedError
from s3front.metadata.outbox import APPEND, with_made_up_keys
from s3front.rpc.rpc_client import (
    RpcClient,
    RpcOutcomeUnknownError,
    RpcTooLargeError,
    RpcUnavailableError,
)
from s3front.s3_errors import S3Error
from shared.rpc.attachments import placeholder
from shared.rpc.envelope import (
    APPEND_EXTENSION,
    IF_REVISION_NOT,
    IF_REVISION_NOT_EXTENSION,
    NULL_VERSION_EXTENSION,
    PACKED_ROWS_EXTENSION,
    SAME,
    RemoteError,
)

Operation = Mapping[str, Any]
Requirement = Mapping[str, Any]


_FULL: Final = 507
"""The code of the daemon's error when its disk is full."""


class ChangedError(Exception):
    """A requirement of a commit did not hold: somebody else changed what it was decided on.

    Nothing was written; the caller reads again and decides again. ``index`` is the requirement's.
    """

    def __init__(self, index: int) -> None:
        super().__init__(f"requirement {index} does not hold")
        self.index = index


class Committed(msgspec.Struct, frozen=True):
    """What came of a commit, an entry an operation: the new revision of a put, and what a versioned
    operation answered. Each is None for all others."""

    revisions: Sequence[int | None]
    version_ids: Sequence[str | None]


class Found(msgspec.Struct, frozen=True):
    """A record as it was read; both are None for one that is there and cannot be read."""

    text: str | None
    revision: int | None

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object that it is; empty for a record that is none."""
        try:
            document = orjson.loads(self.text or "")
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


class Known(NamedTuple):
    """What was told of a record: its revision, and over which connection."""

    revision: int
    connection: int


class Same(Enum):
    """In place of a record: it is the one that is known."""

    SAME = auto()


SAME_AS_KNOWN: Final = Same.SAME


Wanted = tuple[str, str, Known | None]
"""The sub-level and the key of a record that is to be read, and what is known of it."""

Entry = tuple[str, int, bytes | None]
"""A record as it was read, its revision, and the bytes that it names, if they came with it."""


class Carried(msgspec.Struct, frozen=True, gc=False):
    """Bytes that come with the commit of a record, which has ``name`` in the place of their key;
    for a certain ``directory`` (``s3front.locations.one_hop``)."""

    name: str
    content: bytes
    directory: str


class OutcomeUnknownError(S3Error):
    """The daemon was asked to change something and did not answer: it may have done so, or not.

    After any other S3Error of a commit, nothing was changed.
    """

    def __init__(self) -> None:
        super().__init__("ServiceUnavailable")


class MetadataGateway:
    """The RPC connection, as this half uses it. Every method raises ServiceUnavailable when the
    daemon is away or slow, as OutcomeUnknownError when it was asked.

    A daemon that lacks our methods is asked in its own (``s3front.metadata.foreign``).
    """

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self._foreign = ForeignMetadata(client)

    @property
    def available(self) -> bool:
        """Whether the daemon is connected."""
        return self._client.connected

    @property
    def problem(self) -> str | None:
        """Why it is not, if that is known; for those who run the server."""
        return self._client.problem

    async def is_atomic(self) -> bool:
        """Whether the operations of a commit happen together, whatever dies meanwhile."""
        with _IN_OUR_TERMS:
            return await self._client.supports("batch")

    @property
    def connection(self) -> int:
        """The number of the connection: unless it changes, it is one store that answers."""
        return self._client.connections

    def holds(self, known: Known) -> bool:
        """Whether a decision may rest on what was told before, and its commit require that this is
        so still: it was told over the connection that there is, by a daemon that knows whatever
        such a commit requires."""
        client = self._client
        return (
            client.connected
            and known.connection == client.connections
            and client.extends(NULL_VERSION_EXTENSION)
        )

    async def get_many(
        self, wanted: Sequence[tuple[str, str]], request_id: str
    ) -> list[Entry | None]:
        """The records at each (sub-level, key), read in one snapshot."""
        if not wanted:
            return []
        asked = [(sub_level, key, None) for sub_level, key in wanted]
        entries = await self.get_with_known(asked, request_id)
        return [entry for entry in entries if entry is not SAME_AS_KNOWN]

    async def get_with_known(
        self, wanted: Sequence[Wanted], request_id: str, *, with_bodies: bool = False
    ) -> list[Entry | Same | None]:
        """The records that are wanted, as above; SAME for each that is what is known of it, which
        is not told again. ``with_bodies``: all but the first with the bytes that they name, as far
        as a daemon has those at hand."""
        client = self._client
        addresses: list[dict[str, Any]] = []
        with _IN_OUR_TERMS:
            is_ours = client.has("getMany") or await client.supports("getMany")
            # From here on nothing waits, so that this is the connection that is asked.
            connection = client.connections if client.extends(IF_REVISION_NOT_EXTENSION) else None
            for sub_level, key, known in wanted:
                address: dict[str, Any] = {"subLevel": [sub_level], "key": key}
                if known is not None and known.connection == connection:
                    address[IF_REVISION_NOT] = known.revision
                addresses.append(address)
            if with_bodies and client.bodies is not None:
                for address in addresses[1:]:
                    address["body"] = True
            if is_ours:
                found = await client.call("getMany", [addresses], (), request_id)
            else:
                found = await self._foreign.get_many(addresses, request_id)
        return [
            None if entry is None else SAME_AS_KNOWN if entry == SAME else _entry(entry)
            for entry in found
        ]

    async def commit(
        self,
        operations: Sequence[Operation],
        requires: Sequence[Requirement],
        request_id: str,
        carried: Carried | None = None,
    ) -> Committed:
        """Apply operations together, durably; one of them may bring what is ``carried``. Raises
        ChangedError."""
        for operation in operations:
            if operation["type"] == APPEND:
                operations = await self._appending(operations)
                break
        with _IN_OUR_TERMS:
            if carried is not None:
                options = {"requires": list(requires), "bodies": carried.directory}
                attached = (carried.content,)
                result = await self._client.call(
                    "batch", [list(operations), options], (), request_id, attached
                )
            elif await self._client.supports("batch"):
                arguments = [list(operations), {"requires": list(requires)}]
                result = await self._client.call("batch", arguments, (), request_id)
            else:
                result = await self._foreign.batch(operations, requires, request_id)
        return Committed(result["revisions"], result.get("versionIds") or [None] * len(operations))

    async def _appending(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        """Operations of which some append, as the daemon that is connected knows them."""
        if await self.is_atomic() and self._client.extends(APPEND_EXTENSION):
            return operations
        return with_made_up_keys(operations)

    async def list_page(
        self, sub_level: str, params: Mapping[str, Any], request_id: str, *, packed: bool = False
    ) -> dict[str, Any]:
        """A page of a listing, made by the daemon (its method ``list``). ``packed``: its
        contents may be bytes, or their base64 (``shared.records.listed_rows``); they need not."""
        with _IN_OUR_TERMS:
            if not await self._client.lists(params["type"]):
                return await self._foreign.list_page([sub_level], params, request_id)
            asked = dict(params)
            if packed and self._client.extends(PACKED_ROWS_EXTENSION):
                asked["packedRows"] = True
            page: dict[str, Any] = await self._client.call("list", [asked], [sub_level], request_id)
            return page

    async def disk_usage(self) -> tuple[int, int]:
        """The bytes that are available on the disk of the metadata, and all its bytes."""
        with _IN_OUR_TERMS:
            found = await self._client.call("getDiskUsage", [], (), "health")
        return int(found["available"]), int(found["total"])

    async def pages(
        self, sub_level: str, options: Mapping[str, Any], request_id: str
    ) -> AsyncGenerator[list[tuple[str, str]], None]:
        """Keys and values of a range (createReadStream options), a packet at a time."""
        stream = self._client.pages("createReadStream", [dict(options)], [sub_level], request_id)
        with _IN_OUR_TERMS:
            async with aclosing(stream) as pages:
                async for page in pages:
                    yield [(item["key"], item["value"]) for item in page]

    async def keys(self, sub_level: str, options: Mapping[str, Any], request_id: str) -> list[str]:
        """The keys of a range (createReadStream options), whatever their records are."""
        asked = [{**options, "values": False}]
        stream = self._client.pages("createReadStream", asked, [sub_level], request_id)
        found: list[str] = []
        with _IN_OUR_TERMS:
            async with aclosing(stream) as pages:
                async for page in pages:
                    found += page
        return found

    async def get_each(
        self, wanted: Sequence[tuple[str, str]], request_id: str
    ) -> list[Found | None]:
        """The records at (sub-level, key) each, for work that a damaged one must not stop: not of
        one snapshot if there is one."""
        try:
            return [
                entry and Found(entry[0], entry[1])
                for entry in await self.get_many(wanted, request_id)
            ]
        except S3Error as error:
            if error.code != "InternalError":
                raise
        found: list[Found | None] = []
        for address in wanted:
            try:
                (entry,) = await self.get_many([address], request_id)
                found.append(entry and Found(entry[0], entry[1]))
            except S3Error as error:
                if error.code != "InternalError":
                    raise
                found.append(Found(None, None))
        return found


class _InOurTerms:
    """The failures of calls, as the rest of this half knows them."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None and (known := _known(error)) is not None:
            raise known from error


_IN_OUR_TERMS: Final = _InOurTerms()


def _known(error: BaseException) -> S3Error | ChangedError | None:
    if isinstance(error, RpcTooLargeError):
        return S3Error("InternalError")
    if isinstance(error, RpcUnavailableError):
        return S3Error("ServiceUnavailable")
    if isinstance(error, RpcOutcomeUnknownError):
        return OutcomeUnknownError()
    if isinstance(error, RequirementFailedError):
        return ChangedError(error.index)
    if not isinstance(error, RemoteError):
        return None
    if error.type == "PreconditionFailed":
        return ChangedError(int(error.members.get("requirement", 0)))
    if error.code == _FULL:
        return S3Error("InsufficientStorage")
    return S3Error("SlowDown" if error.code == 503 else "InternalError")


def _entry(found: Mapping[str, Any]) -> Entry:
    body = found.get("body")
    return found["value"], found["revision"], body if isinstance(body, bytes) else None


def put(
    sub_level: str,
    key: str,
    value: str,
    *,
    release: bool = False,
    options: Mapping[str, Any] | None = None,
    carried: Carried | None = None,
) -> Operation:
    """Store a record. ``release``: what it replaces gives up its data, which is queued for
    deletion. ``options`` are those of versions. ``carried`` is what it names, and its commit
    brings."""
    operation: dict[str, Any] = {
        "type": "put",
        "subLevel": [sub_level],
        "key": key,
        "value": value,
    }
    if carried is not None:
        operation["body"] = placeholder(0)
        operation["bodyKey"] = carried.name
    return _with(operation, release, options)


def delete(
    sub_level: str, key: str, *, release: bool = False, options: Mapping[str, Any] | None = None
) -> Operation:
    """Remove a record; ``release`` and ``options`` as for ``put``."""
    return _with({"type": "del", "subLevel": [sub_level], "key": key}, release, options)


def _with(
    operation: dict[str, Any], release: bool, options: Mapping[str, Any] | None
) -> dict[str, Any]:
    if release:
        operation["release"] = True
    if options:
        operation["options"] = dict(options)
    return operation


def has_revision(sub_level: str, key: str, revision: int) -> Requirement:
    return {"subLevel": [sub_level], "key": key, "revision": revision}


def is_present(sub_level: str, key: str) -> Requirement:
    return {"subLevel": [sub_level], "key": key, "present": True}


def is_absent(sub_level: str, key: str) -> Requirement:
    return {"subLevel": [sub_level], "key": key, "absent": True}


def is_no_null_version(sub_level: str, key: str) -> Requirement:
    """No record, or one that is not the null version of its object."""
    return {"subLevel": [sub_level], "key": key, "isNull": False}


def names_no_null_version(sub_level: str, key: str) -> Requirement:
    """The same, and it names no null version either; of daemons that can be decided on without a
    read (``MetadataGateway.holds``)."""
    return {"subLevel": [sub_level], "key": key, "nullVersion": False}


def is_empty(sub_level: str, bounds: Mapping[str, str] | None = None) -> Requirement:
    """No key in the sub-level, or in a range of it (``gt gte lt lte``)."""
    return {"subLevel": [sub_level], "empty": dict(bounds or {})}
