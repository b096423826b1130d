"""Which master keys records name, counted from the metadata.

All records are read, in streams: it takes as long as that, and little memory. Of uploads that have
ended, and of what waits for its deletion, nothing is opened any more, and nothing is counted.
"""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from s3front.metadata.counted_records import Progress, counted_documents
from s3front.metadata.gateway import MetadataGateway
from shared.records.encrypted import protections, secret_protections
from shared.records.names import IAM, METASTORE, UPLOADS_PREFIX, USERS_BUCKET
from shared.records.upload import CLOSING_PREFIX, OVERVIEW_PREFIX

_REQUEST_ID: Final = "key-usage"


@dataclass(slots=True)
class KeyUsage:
    """How many records name a master key: of objects, each version and each latest one, of parts,
    and of identities that have secrets. ``unreadable`` are records that nobody can say it of."""

    records_by_key: Counter[str] = field(default_factory=Counter)
    records: int = 0
    unreadable: int = 0


async def count_keys(
    metadata: MetadataGateway, progress: Progress = lambda _records: None
) -> KeyUsage:
    """Count everything. Raises S3Error."""
    usage = KeyUsage()
    for bucket in await metadata.keys(METASTORE, {}, _REQUEST_ID):
        if bucket == USERS_BUCKET or bucket.startswith(UPLOADS_PREFIX):
            continue
        for level in (bucket, UPLOADS_PREFIX + bucket):
            async with aclosing(counted_documents(metadata, level, usage, progress)) as records:
                async for key, record in records:
                    if not key.startswith((OVERVIEW_PREFIX, CLOSING_PREFIX)) or level == bucket:
                        found = {each.key for each in protections(record) if each is not None}
                        usage.records_by_key.update(found)
    async with aclosing(counted_documents(metadata, IAM, usage, progress)) as records:
        async for _, record in records:
            usage.records_by_key.update({each.key for each in secret_protections(record)})
    progress(usage.records)
    return usage
