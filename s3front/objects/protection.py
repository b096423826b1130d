"""What has to be stored encrypted, which this server cannot do: it refuses. Pure.

Buckets, uploads and objects of CloudServer's may say so. Plain text that is stored in spite of it
would be what their owner was promised not to have.
"""

from __future__ import annotations

from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord
from shared.records.upload import PartRecord, UploadRecord

_PROMISE = "x-amz-server-side-encryption"


def refuse_bucket(bucket: BucketRecord) -> None:
    """Let bytes into a bucket, unless it demands that they are encrypted: NotImplemented."""
    if bucket.demands_encryption:
        raise S3Error(
            "NotImplemented",
            "This bucket demands that its objects are stored encrypted (default encryption), which "
            "this server does not support.",
            {"BucketName": bucket.name},
        )


def refuse_upload(upload: UploadRecord) -> None:
    """Let bytes into an upload, unless they are to be encrypted: NotImplemented."""
    if upload.document.get(_PROMISE):
        raise S3Error(
            "NotImplemented",
            "This upload was begun with server-side encryption, which this server does not "
            "support.",
        )


def refuse_part(part: PartRecord) -> None:
    """Let a part become one of an object, unless it is encrypted: NotImplemented."""
    if any(location.is_encrypted for location in part.locations):
        raise S3Error(
            "NotImplemented",
            "A part of this upload is stored encrypted, by another server. This one cannot "
            "complete the upload.",
            {"PartNumber": str(part.number)},
        )
