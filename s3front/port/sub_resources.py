"""The query parameters of S3 that select an operation. Pure.

The front-end finds operations by them, judges by them hosts that are not configured, and has
Signature Version 2 cover them: with what else is routed (``s3front.routes`` adds that).
"""

from __future__ import annotations

from typing import Final

SUB_RESOURCES: Final = frozenset(
    (
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "annotation",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "partNumber",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "quota",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "search",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
    )
)
"""Those of botocore's model of S3, served or not; ``quota`` and ``search`` are CloudServer's."""
