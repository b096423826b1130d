"""What is at an S3 service under a name: an object with a certain mark, the versions of a key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from s3front.locations.remote_store import PlaceError, Trouble, moment_of
from s3front.locations.s3_answers import S3AnswerError, etag_in
from s3front.locations.s3_client import Parameters, S3Call, S3Client
from s3front.locations.s3_documents import ENCODING, in_listing, is_called
from s3front.locations.s3_objects import MARK_HEADER, NULL_VERSION, VERSION_HEADER
from s3front.locations.s3_signing import encoded_path, encoded_query

VERSIONS_MAX: Final = 1000
"""How many versions of a key are looked at, the newest first."""

CLOCKS_APART_MAX: Final = timedelta(minutes=30)
"""Between a mark's clock and the service's; signatures allow for 15."""


class Found(msgspec.Struct, frozen=True):
    """An object that is there. ``version`` as the service says it, which may be ``null``."""

    mark: str | None
    etag: str
    size: int
    version: str | None
    headers: Mapping[str, str]


def of_version(version: str | None) -> Parameters:
    """The query that names a version; nothing for None."""
    return () if version is None else (("versionId", version),)


def copy_source(bucket: str, name: str, version: str | None) -> str:
    """The value of the header that names what is to be copied."""
    query = encoded_query(of_version(version))
    return encoded_path(bucket, name) + (f"?{query}" if query else "")


def moment(text: str | None) -> datetime | None:
    """A time of a listing."""
    try:
        return datetime.fromisoformat(text or "").astimezone(UTC)
    except ValueError:
        return None


async def look_at(client: S3Client, name: str, version: str | None = None) -> Found | None:
    """The object, or one version of it; None if there is none. Raises PlaceError."""
    try:
        call = S3Call("HEAD", name, of_version(version))
        headers = await client.done(call)
    except S3AnswerError as error:
        if error.is_absence or error.status == 405:  # a delete marker
            return None
        if version == NULL_VERSION and error.status == 400:
            return None  # not every service that speaks of versions knows it
        raise
    length = headers.get("Content-Length", "")
    return Found(
        mark=headers.get(MARK_HEADER),
        etag=etag_in(headers, call.what),
        size=int(length) if length.isdigit() else -1,
        version=headers.get(VERSION_HEADER),
        headers=headers,
    )


async def versions_of(
    client: S3Client, name: str, since: datetime | None
) -> AsyncGenerator[str, None]:
    """The versions of a key, the newest first, without delete markers, down to a moment. Raises
    PlaceError, UNFIT when these are more than are looked at."""
    key_marker, version_marker, seen = "", "", 0
    while seen < VERSIONS_MAX:
        query = [ENCODING, ("versions", ""), ("prefix", name)]
        if key_marker:
            query += [("key-marker", key_marker), ("version-id-marker", version_marker)]
        _, tree = await client.read(S3Call("GET", query=query))
        entries = [entry for entry in tree if entry.tag in ("Version", "DeleteMarker")]
        for entry in entries:
            if not is_called(in_listing(tree, entry, "Key"), name):
                return  # of a longer one, as the shortest is listed first
            modified = moment(entry.findtext("LastModified"))
            seen += 1
            if since is not None and modified is not None and modified < since:
                if client.is_google:
                    continue  # there the newest are the last
                return
            if entry.tag == "Version":
                version = entry.findtext("VersionId") or entry.findtext("Generation")
                yield version or NULL_VERSION
        key_marker = in_listing(tree, tree, "NextKeyMarker")
        version_marker = (
            tree.findtext("NextVersionIdMarker") or tree.findtext("NextGenerationMarker") or ""
        )
        if tree.findtext("IsTruncated") != "true" or not key_marker or not entries:
            return
    reason = f"a blob is not found among the newest {VERSIONS_MAX} versions of its key"
    raise PlaceError(Trouble.UNFIT, reason)


async def find_mark(client: S3Client, name: str, mark: str, *, versions: bool) -> Found | None:
    """The object of a name, or the one of its ``versions``, that has a mark. Raises PlaceError."""
    marked = moment_of(mark)
    found = await look_at(client, name)
    if found is not None and found.mark == mark:
        return found
    if not versions:
        return None
    async for version in versions_of(client, name, marked and marked - CLOCKS_APART_MAX):
        found = await look_at(client, name, version)
        if found is not None and found.mark == mark:
            return msgspec.structs.replace(found, version=version)
    return None


async def remove(client: S3Client, name: str, version: str | None) -> None:
    """Remove an object, or one version of it; of one that is gone is no error. Raises
    PlaceError."""
    try:
        await client.done(S3Call("DELETE", name, of_version(version)))
    except S3AnswerError as error:
        if not error.is_absence:
            raise
