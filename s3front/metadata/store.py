"""What S3 stores, in terms of the metadata RPC.

Every function is one round trip. Commits state what they were decided on (DESIGN, sections 3 and
5): an object commit names its bucket's revision, so that an object never outlives its bucket, and
DeleteBucket requires empty ranges. When a requirement does not hold, nothing was written and
``ChangedError`` is raised: the caller reads again and decides again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import ServiceError
from shared.records.bucket import BucketRecord
from shared.records.names import METASTORE, UPLOADS_PREFIX, USERS_BUCKET, owner_entry_key
from shared.records.object import ObjectRecord
from shared.rpc.client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from shared.rpc.envelope import RemoteError


class ChangedError(Exception):
    """A requirement of a commit did not hold: somebody else changed what it was decided on."""


@dataclass(frozen=True, slots=True)
class StoredBucket:
    """A bucket as it was read."""

    record: BucketRecord
    revision: int

    @property
    def name(self) -> str:
        return self.record.name


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's current version as it was read."""

    record: ObjectRecord
    revision: int


class MetadataStore:
    """The metadata of all buckets, behind one RPC connection."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    @property
    def available(self) -> bool:
        """Whether the daemon is connected."""
        return self._client.connected

    async def read(
        self, bucket: str, key: str | None, request_id: str
    ) -> tuple[StoredBucket | None, StoredObject | None]:
        """A bucket and one of its objects (no object for key None), in one snapshot."""
        wanted = [{"subLevel": [METASTORE], "key": bucket}]
        if key is not None:
            wanted.append({"subLevel": [bucket], "key": key})
        found = await self._call("getMany", [wanted], request_id)
        stored_bucket = None
        if found[0] is not None:
            record = BucketRecord.parse(found[0]["value"])
            if not record.deleted:
                stored_bucket = StoredBucket(record, found[0]["revision"])
        if key is None or found[1] is None:
            return stored_bucket, None
        entry = StoredObject(ObjectRecord.parse(found[1]["value"]), found[1]["revision"])
        return stored_bucket, entry

    async def create_bucket(self, record: BucketRecord, request_id: str) -> None:
        """Store a bucket that does not exist yet; raises ChangedError when it does."""
        entry = orjson.dumps({"creationDate": record.document["creationDate"]}).decode()
        await self._batch(
            [
                _put([METASTORE], record.name, record.serialise()),
                _put([USERS_BUCKET], owner_entry_key(record.owner_id, record.name), entry),
            ],
            [{"subLevel": [METASTORE], "key": record.name, "absent": True}],
            request_id,
        )

    async def delete_bucket(self, bucket: StoredBucket, request_id: str) -> None:
        """Remove an empty bucket; raises BucketNotEmpty or ChangedError."""
        try:
            await self._batch(
                [
                    _delete([METASTORE], bucket.name),
                    _delete([USERS_BUCKET], owner_entry_key(bucket.record.owner_id, bucket.name)),
                ],
                [
                    _unchanged(bucket),
                    {"subLevel": [bucket.name], "empty": {}},
                    {"subLevel": [UPLOADS_PREFIX + bucket.name], "empty": {}},
                ],
                request_id,
            )
        except ChangedError as error:
            if error.args[0] > 0:
                raise ServiceError("BucketNotEmpty", fields={"BucketName": bucket.name}) from error
            raise

    async def put_object(
        self,
        bucket: StoredBucket,
        record: ObjectRecord,
        requirement: Mapping[str, Any] | None,
        request_id: str,
    ) -> ObjectRecord | None:
        """Make ``record`` the object at its key; the record that it replaced, if any.

        ``requirement`` is about the current object (``object_requirement``), None when the write
        does not depend on it.
        """
        key = record.document["key"]
        requires = [_unchanged(bucket)]
        if requirement is not None:
            requires.append(dict(requirement))
        result = await self._batch(
            [_put([bucket.name], key, record.serialise())], requires, request_id
        )
        return _previous(result, 0)

    async def delete_objects(
        self,
        bucket: StoredBucket,
        keys: Sequence[str],
        requirement: Mapping[str, Any] | None,
        request_id: str,
    ) -> list[ObjectRecord | None]:
        """Remove objects in one commit; the record that each key had."""
        requires = [_unchanged(bucket)]
        if requirement is not None:
            requires.append(dict(requirement))
        result = await self._batch(
            [_delete([bucket.name], key) for key in keys], requires, request_id
        )
        return [_previous(result, index) for index in range(len(keys))]

    def list_objects(
        self, bucket: str, options: Mapping[str, Any], request_id: str
    ) -> AsyncGenerator[list[tuple[str, str]], None]:
        """Keys and records of a range of a bucket (createReadStream options), in pages."""
        return self._pages([bucket], options, request_id)

    async def list_buckets(
        self, canonical_id: str, request_id: str
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and entry of every bucket of an account, by name."""
        start = owner_entry_key(canonical_id, "")
        # The splitter ends with a full stop; the next character bounds all entries of the owner.
        options = {"gte": start, "lt": start[:-1] + "/"}
        buckets: list[tuple[str, Mapping[str, Any]]] = []
        async with aclosing(self._pages([USERS_BUCKET], options, request_id)) as pages:
            async for page in pages:
                buckets += [(key.removeprefix(start), orjson.loads(value)) for key, value in page]
        return buckets

    async def _pages(
        self, sub_level: Sequence[str], options: Mapping[str, Any], request_id: str
    ) -> AsyncGenerator[list[tuple[str, str]], None]:
        stream = self._client.pages("createReadStream", [dict(options)], sub_level, request_id)
        try:
            async with aclosing(stream) as pages:
                async for page in pages:
                    yield [(item["key"], item["value"]) for item in page]
        except (RpcUnavailableError, RpcOutcomeUnknownError) as error:
            raise _unavailable(error) from error
        except RemoteError as error:
            raise _internal(error) from error

    async def _batch(
        self,
        operations: Sequence[Mapping[str, Any]],
        requires: Sequence[Mapping[str, Any]],
        request_id: str,
    ) -> dict[str, Any]:
        options = {"requires": list(requires), "returnPrevious": True}
        try:
            result: dict[str, Any] = await self._client.call(
                "batch", [list(operations), options], (), request_id
            )
        except RemoteError as error:
            if error.type == "PreconditionFailed":
                raise ChangedError(int(error.members.get("requirement", 0))) from error
            raise _internal(error) from error
        except (RpcUnavailableError, RpcOutcomeUnknownError) as error:
            raise _unavailable(error) from error
        return result

    async def _call(self, name: str, arguments: Sequence[Any], request_id: str) -> Any:
        try:
            return await self._client.call(name, arguments, (), request_id)
        except (RpcUnavailableError, RpcOutcomeUnknownError) as error:
            raise _unavailable(error) from error
        except RemoteError as error:
            raise _internal(error) from error


def object_requirement(bucket: str, key: str, current: StoredObject | None) -> dict[str, Any]:
    """The requirement that the object at ``key`` is still what was read."""
    address: dict[str, Any] = {"subLevel": [bucket], "key": key}
    if current is None:
        return {**address, "absent": True}
    return {**address, "revision": current.revision}


def _unchanged(bucket: StoredBucket) -> dict[str, Any]:
    return {"subLevel": [METASTORE], "key": bucket.name, "revision": bucket.revision}


def _put(sub_level: Sequence[str], key: str, value: str) -> dict[str, Any]:
    return {"type": "put", "subLevel": list(sub_level), "key": key, "value": value}


def _delete(sub_level: Sequence[str], key: str) -> dict[str, Any]:
    return {"type": "del", "subLevel": list(sub_level), "key": key}


def _previous(result: Mapping[str, Any], index: int) -> ObjectRecord | None:
    entry = result["previous"][index]
    return None if entry is None else ObjectRecord.parse(entry["value"])


def _unavailable(error: Exception) -> ServiceError:
    """The daemon is away or slow: the client is asked to try again, nothing is deleted."""
    failure = ServiceError("ServiceUnavailable")
    failure.__cause__ = error
    return failure


def _internal(error: RemoteError) -> ServiceError:
    if error.code == 503:
        return ServiceError("SlowDown")
    return ServiceError("InternalError")
