"""How an object is to be stored encrypted: as a request or its bucket chose, and as records say it.
Pure.

Members of records are the original's, as far as it has them (reference/dmd-wire.md, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3front.objects import default_encryption

AES256: Final = default_encryption.AES256
KMS: Final = default_encryption.KMS
DSSE: Final = default_encryption.DSSE
ALGORITHM_MEMBER: Final = "x-amz-server-side-encryption"
KEY_ID_MEMBER: Final = "x-amz-server-side-encryption-aws-kms-key-id"
CUSTOMER_MEMBER: Final = "x-amz-server-side-encryption-customer-algorithm"
BUCKET_KEY_MEMBER: Final = "x-amz-server-side-encryption-bucket-key-enabled"
CONTEXT_MEMBER: Final = "encryptionContext"
"""Ours: what the client wanted the data key bound to (SSE-KMS); a document of texts."""

CUSTOMER_CHECK_MEMBER: Final = "customerKeyCheck"
"""Ours: nothing, wrapped by the key of a customer: whoever gives another key is told so."""

ARN_IN_CONTEXT: Final = "aws:s3:arn"
"""What S3 adds to the context of a data key (AWS KMS developer guide, "How Amazon S3 uses KMS")."""


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """``algorithm`` is one of those above. ``key_id`` is the master key that was named, None for
    the keeper's current one. ``context`` is the client's own. ``bucket_key``: data keys are made
    for the bucket, and not for each object. ``customer_key``: 32 bytes that the client keeps itself
    (SSE-C); then nothing else says anything."""

    algorithm: str = AES256
    key_id: str | None = None
    context: Mapping[str, str] = msgspec.field(default_factory=dict)
    bucket_key: bool = False
    customer_key: bytes | None = None

    def __repr__(self) -> str:
        """Without the key."""
        kind = "customer" if self.customer_key is not None else self.algorithm
        return f"Protection({kind!r}, {self.key_id!r})"

    @property
    def is_of_customer(self) -> bool:
        return self.customer_key is not None


def key_context(document: Mapping[str, Any], bucket: str, key: str) -> Mapping[str, str]:
    """What the data keys of an object are bound to by their keeper, given its record or that of its
    upload, or what is to become one of them."""
    own = document.get(CONTEXT_MEMBER)
    per_object = document.get(ALGORITHM_MEMBER) in (KMS, DSSE) and not document.get(
        BUCKET_KEY_MEMBER
    )
    arn = f"arn:aws:s3:::{bucket}/{key}" if per_object else f"arn:aws:s3:::{bucket}"
    return {**(own if isinstance(own, dict) else {}), ARN_IN_CONTEXT: arn}


def protection_members(protection: Protection | None) -> dict[str, Any]:
    """What the record of an object, or of an upload, says; but for what its keys add (the ID of the
    key that was chosen, and the check of a customer's)."""
    if protection is None:
        return {}
    if protection.is_of_customer:
        return {CUSTOMER_MEMBER: AES256}
    members: dict[str, Any] = {ALGORITHM_MEMBER: protection.algorithm}
    if protection.key_id is not None:
        members[KEY_ID_MEMBER] = protection.key_id
    if protection.bucket_key:
        members[BUCKET_KEY_MEMBER] = True
    if protection.context:
        members[CONTEXT_MEMBER] = dict(protection.context)
    return members
