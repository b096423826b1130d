"""Names of the metadata layout that CloudServer fixed (reference/dmd-wire.md, section 5), and those
that are ours: each of them has ``..`` in it (``holds_objects``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SPLITTER: Final = "..|.."
METASTORE: Final = "__metastore"
"""Sub-level of bucket attributes; the key is the bucket's name."""

USERS_BUCKET: Final = "users..bucket"
"""Sub-level of one entry a bucket and owner: what ListBuckets prints."""

UPLOADS_PREFIX: Final = "mpuShadowBucket"
"""A bucket's multipart uploads live in the sub-level of this prefix and its name."""


DELETIONS: Final = "..deletions"
"""Sub-level of the deletion queue: data that no record owns any more (ours)."""

OUTBOXES_PREFIX: Final = "..outbox.."
"""The outbox of a worker is the sub-level of this prefix and its name (ours)."""

STRAYS: Final = OUTBOXES_PREFIX + "strays"
"""The journal of what is stored in places that others run and is no object's yet (ours)."""

RECORD_LOGS: Final = "..recordLogs"
"""The sub-levels below it are the logs of changes."""

DEAD_LETTERS: Final = "..deadLetters"
"""Sub-level of entries of queues that could not be done, with the reason (ours)."""

ENDED_UPLOADS: Final = "..endedUploads"
"""Sub-level of deleted buckets: what is left of their uploads is still to be removed (ours)."""

LEASES: Final = "..leases"
"""Sub-level of the leases of background work (ours)."""

WORK_STATUS: Final = "..workStatus"
"""Sub-level of what the workers of background work say of themselves (ours)."""

MASTER_KEYS: Final = "..masterKeys"
"""Sub-level of the names of the master keys that were ever used, and never of the keys (ours)."""

KEY_JOBS: Final = "..keyJobs"
"""Sub-level of jobs that go over all records for the sake of encryption, and how far they have come
(ours)."""

ACCOUNT_KEYS: Final = "..accountKeys"
"""Sub-level of the names of the master keys of accounts (ours)."""

CLIENT_TOKENS: Final = "..clientTokens"
"""Sub-level of the tokens by which a repeated request is known (ours)."""

SERVICE_ID_PREFIX: Final = "http://acs.zenko.io/accounts/service/"
"""Begins the canonical IDs of service accounts (``reference/cloudserver-features.md``, section 3):
``replication``, ``lifecycle``, ``gc``, ``md-ingestion``, ``clueso``."""

IAM: Final = "..iam"
"""Sub-level of identities: accounts, users, groups, roles, policies and access keys (ours)."""

IAM_CHANGES: Final = "..iamChanges"
"""Sub-level of what was changed in that of identities, by the numbers of the changes (ours)."""

IAM_LAST_USED: Final = "..iamLastUsed"
"""Sub-level of when access keys were used last (ours)."""

REFUSALS: Final = "..refusals"
"""Sub-level of requests that were refused lately, with the reason (ours)."""


def is_outbox(sub_level: str) -> bool:
    """Whether the keys of a sub-level begin with the time from which on their entries are due."""
    return sub_level == DELETIONS or sub_level.startswith(OUTBOXES_PREFIX)


def owner_entry_key(canonical_id: str, bucket: str) -> str:
    """Key of a bucket's entry in the users bucket."""
    return f"{canonical_id}{SPLITTER}{bucket}"


def holds_objects(sub_level: Sequence[str]) -> bool:
    """Whether a sub-level holds the objects of a bucket.

    A bucket name has at least three of ``a-z 0-9 . -`` and no two dots in a row, so no internal
    name can be one, except by the prefix of uploads, whose capital letter no bucket name has. A new
    internal name has to have ``..`` in it: any other is taken for a bucket's, so that the daemon
    keeps beside its records what listings show of objects, and its jobs judge them as objects.
    """
    if len(sub_level) != 1:
        return False
    name = sub_level[0]
    return ".." not in name and not name.startswith((METASTORE, UPLOADS_PREFIX))
