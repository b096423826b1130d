"""Object lock of a bucket: whether versions can be locked, and their default retention. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.configurations.base import Configuration, Put, not_found
from s3front.objects.object_lock import (
    configuration_member,
    configuration_xml,
    default_of,
    parse_configuration,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord, Versioning

_MEMBER = "objectLockEnabled"


def show_bucket_lock(record: BucketRecord) -> Reply:
    """The default retention (Amazon S3 API reference, GetObjectLockConfiguration)."""
    return xml_reply("ObjectLockConfiguration", configuration_xml(default_of(record.document)))


def parse_bucket_lock(body: bytes) -> Mapping[str, Any]:
    """Object lock is enabled, for good; raises what ``parse_configuration`` does."""
    default = configuration_member(parse_configuration(body))
    return {_MEMBER: True, "objectLockConfiguration": default}


def check_bucket_lock(record: BucketRecord, _members: Mapping[str, Any]) -> None:
    """Refuse it where what is written takes the place of what was there: InvalidBucketState."""
    if record.versioning is not Versioning.ENABLED:
        raise S3Error(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )


BUCKET_LOCK = Configuration(
    "object-lock",
    "GetObjectLockConfiguration",
    "s3:GetBucketObjectLockConfiguration",
    not_found("ObjectLockConfigurationNotFoundError"),
    member=_MEMBER,
    show=show_bucket_lock,
    put=Put(
        "PutObjectLockConfiguration",
        "s3:PutBucketObjectLockConfiguration",
        parse_bucket_lock,
        check_bucket_lock,
        digest_required=True,
    ),
)
