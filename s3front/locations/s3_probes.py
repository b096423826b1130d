"""Objects that something is tried with at an S3 service.

Who makes one removes it at once, or leaves it, when the process is killed in between. So the next
one that tries something removes all that are older than any trial lasts. They are known by their
names, which no blob of an object has (``s3_objects``) and which say when they were made, and by
their metadata.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from s3front.locations.remote_store import moment_of, new_mark
from s3front.locations.s3_answers import S3AnswerError
from s3front.locations.s3_client import Parameters, S3Call, S3Client
from s3front.locations.s3_found import look_at, remove
from s3front.locations.s3_objects import PROBE_PREFIX
from s3front.objects.object_record import USER_METADATA_PREFIX

PROBE_HEADERS: Final[Mapping[str, str]] = {f"{USER_METADATA_PREFIX}twofold-probe": "1"}
"""What each is stored with."""

LASTS_MAX: Final = timedelta(minutes=10)
"""How long one may be in use, by any clock of those that use the bucket."""

_REMOVED_AT_ONCE_MAX: Final = 100
_NAME: Final = re.compile(re.escape(PROBE_PREFIX) + "([0-9a-f]{40})")


def new_probe() -> str:
    """The name of an object to try something with."""
    return PROBE_PREFIX + new_mark()


async def remove_left(client: S3Client, *, versions: bool) -> None:
    """Remove what others have left, a hundred at once of each kind, from the first page that the
    service lists; ``versions``: also what is hidden there. Raises PlaceError."""
    listing = ("versions", "") if versions else ("list-type", "2")
    for entry in await _listed(client, listing, ("Version", "DeleteMarker", "Contents")):
        name = entry.findtext("Key") or ""
        version = entry.findtext("VersionId") or entry.findtext("Generation")
        if entry.tag != "DeleteMarker":
            found = await look_at(client, name, version)
            if found is None or not all(found.headers.get(each) for each in PROBE_HEADERS):
                continue
            version = version or found.version
        await remove(client, name, version)
    for entry in await _listed(client, ("uploads", ""), ("Upload",)):
        query = (("uploadId", entry.findtext("UploadId") or ""),)
        try:
            await client.done(S3Call("DELETE", entry.findtext("Key"), query))
        except S3AnswerError as error:
            if not error.is_absence:
                raise


async def _listed(
    client: S3Client, listing: tuple[str, str], tags: tuple[str, ...]
) -> list[Element]:
    """The entries that are old enough; none where the service does not list, or not for us."""
    query: Parameters = (("prefix", PROBE_PREFIX), listing)
    try:
        _, tree = await client.read(S3Call("GET", query=query))
    except S3AnswerError as error:
        if error.status == 403 or error.is_unknown_call:
            return []
        raise
    return [entry for entry in tree if entry.tag in tags and _is_left(entry)][:_REMOVED_AT_ONCE_MAX]


def _is_left(entry: Element) -> bool:
    match = _NAME.fullmatch(entry.findtext("Key") or "")
    made = None if match is None else moment_of(match[1])
    return made is not None and made < datetime.now(UTC) - LASTS_MAX
