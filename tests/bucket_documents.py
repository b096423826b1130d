"""A valid body of each document that a bucket can be given (``s3front.configurations``), by the
name of the call that puts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PUT_BODIES: Final[Mapping[str, bytes]] = {
    "PutBucketVersioning": b"<VersioningConfiguration><Status>Enabled</Status>"
    b"</VersioningConfiguration>",
    "PutObjectLockConfiguration": b"<ObjectLockConfiguration>"
    b"<ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
}
