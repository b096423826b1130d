"""A valid body of each document that a bucket can be given (``s3front.configurations``), by the
name of the call that puts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PUT_BODIES: Final[Mapping[str, bytes]] = {
    "PutBucketOwnershipControls": b"<OwnershipControls><Rule>"
    b"<ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
    "PutPublicAccessBlock": b"<PublicAccessBlockConfiguration>"
    b"<BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
    "PutBucketTagging": b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet>"
    b"</Tagging>",
    "PutBucketVersioning": b"<VersioningConfiguration><Status>Enabled</Status>"
    b"</VersioningConfiguration>",
    "PutObjectLockConfiguration": b"<ObjectLockConfiguration>"
    b"<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
}
