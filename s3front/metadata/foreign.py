"""The metadata of a daemon that has only the original's calls (``put``, ``get``, ``del``, streams).

It stands in for what Twofold's daemon does in one transaction, and is what it is: **not atomic**.

* A requirement is checked, and then written: somebody else may write in between. Of two conditional
  writes at once, both may succeed.
* The operations of a commit happen one after the other; a crash leaves the first of them.
* What a commit gives up is queued for deletion after it; a crash in between leaves blobs to nobody.
  Which data that is, with versions, is told from all records of the key, before and after.
* A record has no revision, so a digest of its text stands for one: a record that was changed and
  changed back counts as unchanged.
* Listings run here, over a stream of whole records.

Every method has the meaning, and raises the errors, of the client's own calls.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import orjson

from s3front.metadata.outbox import made_up_key
from s3front.objects.object_record import ObjectRecord
from s3front.rpc.rpc_client import RpcClient
from shared import limits
from shared.listing.delimiter import DelimiterMaster, Query
from shared.listing.delimiter_lifecycle import (
    Criteria,
    DelimiterCurrent,
    DelimiterNonCurrent,
    DelimiterOrphanDeleteMarker,
)
from shared.listing.delimiter_uploads import Uploads, UploadsQuery
from shared.listing.delimiter_versions import DelimiterVersions, VersionsQuery
from shared.listing.page import Page, Verdict
from shared.records.lifecycle import lifecycle_object
from shared.records.names import DELETIONS
from shared.records.projection_fields import ListedObject, listed_object
from shared.records.upload import listed_upload
from shared.rpc.envelope import RemoteError

_ABSENT = "ObjNotFound"
_NOTHING_KNOWN = ListedObject()

_ABOVE_ALL = "\U0010ffff" * (limits.KEY_BYTES_MAX // 4 + 1)
"""Above every key. The original's streams end before U+10000 unless they are told where to end."""


class RequirementFailedError(Exception):
    """Requirement ``index`` of a commit does not hold; nothing was written."""

    def __init__(self, index: int) -> None:
        super().__init__(f"requirement {index} does not hold")
        self.index = index


class ForeignMetadata:
    """See the module."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    async def get_many(
        self, addresses: Sequence[Mapping[str, Any]], request_id: str
    ) -> list[dict[str, Any] | None]:
        """What ``getMany`` answers, by a call each: not one snapshot."""
        values = await asyncio.gather(
            *(self._get(address["subLevel"], address["key"], request_id) for address in addresses)
        )
        return [
            None if value is None else {"value": value, "revision": _revision(value)}
            for value in values
        ]

    async def batch(
        self,
        operations: Sequence[Mapping[str, Any]],
        requires: Sequence[Mapping[str, Any]],
        request_id: str,
    ) -> dict[str, Any]:
        """What ``batch`` answers, done step by step; raises RequirementFailedError."""
        for index, requirement in enumerate(requires):
            if not await self._holds(requirement, request_id):
                raise RequirementFailedError(index)
        revisions: list[int | None] = []
        version_ids: list[str | None] = []
        for operation in operations:
            sub_level, key = operation["subLevel"], operation["key"]
            options, release = operation.get("options", {}), operation.get("release", False)
            named = await self._data(sub_level, key, options, request_id) if release else {}
            arguments, revision = [key, options], None
            if operation["type"] == "put":
                value = operation["value"]
                arguments, revision = [key, value, options], _revision(value)
            answer = await self._client.call(operation["type"], arguments, sub_level, request_id)
            revisions.append(revision)
            version_ids.append(orjson.loads(answer)["versionId"] if answer else None)
            if named:
                kept = await self._data(sub_level, key, options, request_id)
                lost = [location for text, location in named.items() if text not in kept]
                await self._queue(lost, request_id)
        return {"revisions": revisions, "versionIds": version_ids}

    async def list_page(
        self, sub_level: Sequence[str], params: Mapping[str, Any], request_id: str
    ) -> dict[str, Any]:
        """What ``list`` answers, but for ``Delimiter`` and ``Basic``."""
        page, listed = _asked(params)
        start: str | None = page.first_key if params["maxKeys"] else None
        while start is not None:
            options = {"gte": start, "lt": page.end_key, "limit": params["maxKeys"] + 1}
            start = await self._stretch(page, listed, sub_level, options, request_id)
        result: dict[str, Any] = page.result()
        return result

    async def _stretch(
        self,
        page: Page,
        listed: Callable[[str], Any],
        sub_level: Sequence[str],
        options: Mapping[str, Any],
        request_id: str,
    ) -> str | None:
        """Feed a page so many keys; where to go on, None when it is complete.

        A stretch also ends where the rest of a long common prefix is better skipped than read.
        """
        read = 0
        stream = self._client.pages("createReadStream", [_ended(options)], sub_level, request_id)
        async with aclosing(stream) as pages:
            async for items in pages:
                for item in items:
                    if page.offer(item["key"], listed(item["value"])) is Verdict.FINISHED:
                        return None
                read += len(items)
                if items and page.skip_to is not None and page.skip_to > items[-1]["key"]:
                    return page.skip_to
        if read == options["limit"]:
            return page.resume_key
        page.finish()
        return None

    async def _get(self, sub_level: Sequence[str], key: str, request_id: str) -> str | None:
        try:
            value: str = await self._client.call("get", [key, {}], sub_level, request_id)
        except RemoteError as error:
            if error.type == _ABSENT:
                return None
            raise
        return value

    async def _holds(self, requirement: Mapping[str, Any], request_id: str) -> bool:
        sub_level = requirement["subLevel"]
        if "empty" in requirement:
            return await self._is_empty(sub_level, requirement["empty"], request_id)
        value = await self._get(sub_level, requirement["key"], request_id)
        if "isNull" in requirement:
            return value is None or not ObjectRecord.parse(value).is_null_version
        if "nullVersion" in requirement:
            record = None if value is None else ObjectRecord.parse(value)
            return record is None or not (record.is_null_version or record.null_version_id)
        if "revision" in requirement:
            return value is not None and _revision(value) == requirement["revision"]
        return (value is not None) is ("present" in requirement)

    async def _is_empty(
        self, sub_level: Sequence[str], options: Mapping[str, Any], request_id: str
    ) -> bool:
        """Whether nothing is in a range. A placeholder of a version that was deleted last stays for
        a while, unless it is asked for."""
        stream = self._client.pages("createReadStream", [_ended(options)], sub_level, request_id)
        async with aclosing(stream) as pages:
            async for items in pages:
                for item in items:
                    if not _listed(item["value"]).is_placeholder:
                        return False
                    if await self._get(sub_level, item["key"], request_id) is not None:
                        return False
        return True

    async def _data(
        self, sub_level: Sequence[str], key: str, options: Mapping[str, Any], request_id: str
    ) -> dict[bytes, Any]:
        """The data locations that a record names, or with versioning options all versions of a
        key do; each by its text."""
        records: list[str] = []
        if options:
            wanted = {"gte": key, "lt": f"{key}\x01", "keys": False}
            stream = self._client.pages("createReadStream", [wanted], sub_level, request_id)
            async with aclosing(stream) as pages:
                async for items in pages:
                    records += items
        elif (value := await self._get(sub_level, key, request_id)) is not None:
            records.append(value)
        found = {}
        for record in records:
            document = orjson.loads(record)
            locations = document.get("location") or document.get("partLocations") or []
            # An object from before location arrays has one bare entry.
            for location in locations if isinstance(locations, list) else [locations]:
                found[orjson.dumps(location, option=orjson.OPT_SORT_KEYS)] = location
        return found

    async def _queue(self, locations: Sequence[Any], request_id: str) -> None:
        """Queue data that nothing names any more (``shared.records.names.DELETIONS``)."""
        if not locations:
            return
        key = made_up_key()
        entry = orjson.dumps({"location": locations}).decode()
        await self._client.call("put", [key, entry, {}], [DELETIONS], request_id)


def _revision(value: str) -> int:
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _ended(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a stream, with an upper bound."""
    given = {name: value for name, value in options.items() if value is not None}
    return given if "lt" in given or "lte" in given else {**given, "lt": _ABOVE_ALL}


def _asked(params: Mapping[str, Any]) -> tuple[Page, Callable[[str], Any]]:
    """The page that is asked for, and what it is to know of a record."""
    match params["type"]:
        case "MPU":
            bounds = params["prefix"], params["delimiter"]
            markers = params["keyMarker"], params["uploadIdMarker"]
            return Uploads(UploadsQuery(*bounds, *markers, params["maxKeys"])), listed_upload
        case "DelimiterVersions":
            return DelimiterVersions(_versions_query(params)), _listed
        case "DelimiterCurrent":
            return DelimiterCurrent(_query(params), _criteria(params)), lifecycle_object
        case "DelimiterNonCurrent":
            asked = _versions_query(params), _criteria(params)
            return DelimiterNonCurrent(*asked), lifecycle_object
        case "DelimiterOrphanDeleteMarker":
            return DelimiterOrphanDeleteMarker(_query(params), _criteria(params)), lifecycle_object
    return DelimiterMaster(_query(params)), _listed


def _query(params: Mapping[str, Any]) -> Query:
    return Query(
        params["prefix"],
        params.get("delimiter", ""),
        params["marker"],
        params["maxKeys"],
        params.get("within"),
    )


def _versions_query(params: Mapping[str, Any]) -> VersionsQuery:
    return VersionsQuery(
        params["prefix"],
        params.get("delimiter", ""),
        params["keyMarker"],
        params["versionIdMarker"],
        params["maxKeys"],
    )


def _criteria(params: Mapping[str, Any]) -> Criteria:
    return Criteria(
        params["beforeDate"],
        params.get("excludedDataStoreName"),
        params["maxScannedLifecycleListingEntries"],
    )


def _listed(value: str) -> ListedObject:
    try:
        return listed_object(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING_KNOWN
