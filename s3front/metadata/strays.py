"""The journal of strays: what was stored in a place that nobody else tidies, and is no object yet.

The data daemon's blobs are found by ``dmd gc`` when no record names them. In a place that others
run nobody looks for them, so each new blob, and each upload of parts, is noted here under its mark
(``s3front.locations.remote_store``) before it is stored:

1. The note is committed before anything is sent.
2. The commit that names the blob deletes the note, and requires that it is still what was written.
3. A front-end whose record is refused deletes the blob, and then the note. When it dies, or does
   not learn what became of its commit, the note stays.
4. The worker (``s3front.work.stray_removal``) takes an old note in two steps: it replaces it by
   one under another key that says ``condemned``, so that no commit can name the blob any more, and
   only then removes what has the mark.

So whoever is slow, a blob is either an object's or removed, and no clock decides which. A daemon
without batches checks before it writes (``s3front.metadata.foreign``): there the age of the note
decides, as it does for the data daemon's blobs.

The journal is an outbox (``s3front.metadata.outbox``) whose keys are made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import (
    Carried,
    ChangedError,
    Committed,
    MetadataGateway,
    Operation,
    Requirement,
)
from s3front.metadata.outbox import made_up_key
from s3front.s3_errors import S3Error
from shared.records.names import STRAYS


class Stray(msgspec.Struct, frozen=True, gc=False):
    """What may have been stored: for an object of this bucket and key, in this location."""

    location: str
    bucket: str
    key: str
    mark: str
    condemned: bool = False

    @classmethod
    def parse(cls, document: Any) -> Stray:
        """Raises msgspec.ValidationError for what is none."""
        return msgspec.convert(document, cls)

    def document(self) -> dict[str, Any]:
        return {
            "location": self.location,
            "bucket": self.bucket,
            "key": self.key,
            "mark": self.mark,
            **({"condemned": True} if self.condemned else {}),
        }


class StrayNote(msgspec.Struct, frozen=True, gc=False):
    """A note that was committed: where it is, its revision, and the mark that it is about."""

    key: str
    revision: int
    mark: str


async def note_stray(metadata: MetadataGateway, stray: Stray, request_id: str) -> StrayNote:
    """Commit a note of what is about to be stored. Raises S3Error: then it must not be."""
    key = made_up_key()
    text = orjson.dumps(stray.document()).decode()
    committed = await metadata.commit([gateway.put(STRAYS, key, text)], [], request_id)
    revision = committed.revisions[0]
    assert revision is not None
    return StrayNote(key, revision, stray.mark)


async def forget_strays(
    metadata: MetadataGateway, notes: Sequence[StrayNote], request_id: str
) -> None:
    """Remove notes of what is not stored any more. Raises S3Error."""
    await metadata.commit(_deleted(notes), [], request_id)


async def commit_noted(
    metadata: MetadataGateway,
    operations: Sequence[Operation],
    requires: Sequence[Requirement],
    notes: Sequence[StrayNote],
    request_id: str,
    carried: Carried | None = None,
) -> Committed:
    """Commit what names noted blobs, and delete their notes with it; otherwise as
    ``MetadataGateway.commit``. Raises ServiceUnavailable when a note is gone: the worker has the
    blob removed."""
    written = [gateway.has_revision(STRAYS, note.key, note.revision) for note in notes]
    try:
        # Notes first, for a daemon that does one thing after the other: a crash in between must
        # not have the blob of a record removed.
        committed = await metadata.commit(
            [*_deleted(notes), *operations], [*requires, *written], request_id, carried
        )
    except ChangedError as error:
        if error.index < len(requires):
            raise
        raise S3Error("ServiceUnavailable") from error
    count = len(notes)
    return Committed(committed.revisions[count:], committed.version_ids[count:])


def _deleted(notes: Sequence[StrayNote]) -> list[Mapping[str, Any]]:
    return [gateway.delete(STRAYS, note.key) for note in notes]
