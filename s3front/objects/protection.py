"""That nothing is stored as plain text in a bucket whose record demands encryption. Pure.

How a new object is to be encrypted is decided on the bucket as it is known when the bytes come. The
commit looks again: the bucket may have got its default encryption, or may be another one, since.
The configuration is not looked at again: it is what the request began with.
"""

from __future__ import annotations

from s3front.objects.object_record import ObjectRecord
from shared.records.bucket import BucketRecord


class MustEncryptError(Exception):
    """The bucket demands encryption by now: the bytes are to be stored again, encrypted."""


def require_encryption(bucket: BucketRecord, record: ObjectRecord) -> None:
    """Let the object into the bucket; raises MustEncryptError."""
    if bucket.demands_encryption and not record.is_encrypted:
        raise MustEncryptError
