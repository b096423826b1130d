"""Every document that a bucket may have. Pure.

A document that gets a file of its own leaves the rows below, which are answered as AWS does for a
bucket without it. Sources: the Amazon S3 API reference of each call; what AWS was recorded to
answer in the tests of LocalStack (``tests/aws/services/s3/*.snapshot.json`` of its repository).
"""

from __future__ import annotations

from collections.abc import Iterator

from s3front.configurations.base import Answer, Configuration, empty, not_configured, not_found
from s3front.configurations.bucket_encryption import ENCRYPTION
from s3front.configurations.bucket_lock import BUCKET_LOCK
from s3front.configurations.bucket_tagging import TAGGING
from s3front.configurations.bucket_versioning import VERSIONING
from s3front.configurations.cors import CORS
from s3front.configurations.object_ownership import OWNERSHIP
from s3front.configurations.public_access_block import PUBLIC_ACCESS_BLOCK
from s3front.configurations.quota import QUOTA
from s3front.configurations.website import WEBSITE

_NO_METADATA_TABLE: Answer = not_found("MetadataConfigurationNotFound")


def _several(sub_resource: str, name: str, listed: str) -> Iterator[Configuration]:
    """Both rows of a kind of which a bucket may have several: all of them, and one by its ID.
    ``listed`` is the root element of all of them."""
    none = empty(listed, "<IsTruncated>false</IsTruncated>")
    action = f"s3:Get{name}Configuration"
    yield Configuration(sub_resource, f"ListBucket{name}Configurations", action, none)
    yield Configuration(
        sub_resource,
        f"GetBucket{name}Configuration",
        action,
        not_configured,
        delete=f"DeleteBucket{name}Configuration",
        delete_action=f"s3:Put{name}Configuration",
        unset_removed=not_configured,
        identified=True,
    )


CONFIGURATIONS: tuple[Configuration, ...] = (
    BUCKET_LOCK,
    CORS,
    ENCRYPTION,
    OWNERSHIP,
    PUBLIC_ACCESS_BLOCK,
    QUOTA,
    TAGGING,
    WEBSITE,
    VERSIONING,
    Configuration(
        "abac",
        "GetBucketAbac",
        "s3:GetBucketAbac",
        empty("AbacStatus", "<Status>Disabled</Status>"),
    ),
    Configuration(
        "accelerate",
        "GetBucketAccelerateConfiguration",
        "s3:GetAccelerateConfiguration",
        empty("AccelerateConfiguration"),
    ),
    Configuration(
        "lifecycle",
        "GetBucketLifecycleConfiguration",
        "s3:GetLifecycleConfiguration",
        not_found("NoSuchLifecycleConfiguration"),
        delete="DeleteBucketLifecycle",
        delete_action="s3:PutLifecycleConfiguration",
        member="lifecycleConfiguration",
    ),
    Configuration(
        "logging",
        "GetBucketLogging",
        "s3:GetBucketLogging",
        empty("BucketLoggingStatus"),
        member="bucketLoggingStatus",
    ),
    Configuration(
        "metadataConfiguration",
        "GetBucketMetadataConfiguration",
        "s3:GetBucketMetadataTableConfiguration",
        _NO_METADATA_TABLE,
        delete="DeleteBucketMetadataConfiguration",
        delete_action="s3:DeleteBucketMetadataTableConfiguration",
        unset_removed=_NO_METADATA_TABLE,
    ),
    Configuration(
        "metadataTable",
        "GetBucketMetadataTableConfiguration",
        "s3:GetBucketMetadataTableConfiguration",
        _NO_METADATA_TABLE,
        delete="DeleteBucketMetadataTableConfiguration",
        delete_action="s3:DeleteBucketMetadataTableConfiguration",
        unset_removed=_NO_METADATA_TABLE,
    ),
    Configuration(
        "notification",
        "GetBucketNotificationConfiguration",
        "s3:GetBucketNotification",
        empty("NotificationConfiguration"),
        member="notificationConfiguration",
    ),
    Configuration(
        "replication",
        "GetBucketReplication",
        "s3:GetReplicationConfiguration",
        not_found("ReplicationConfigurationNotFoundError"),
        delete="DeleteBucketReplication",
        delete_action="s3:PutReplicationConfiguration",
        member="replicationConfiguration",
    ),
    Configuration(
        "requestPayment",
        "GetBucketRequestPayment",
        "s3:GetBucketRequestPayment",
        empty("RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
    ),
    *_several("analytics", "Analytics", "ListBucketAnalyticsConfigurationResult"),
    *_several(
        "intelligent-tiering",
        "IntelligentTiering",
        "ListBucketIntelligentTieringConfigurationsOutput",
    ),
    *_several("inventory", "Inventory", "ListInventoryConfigurationsResult"),
    *_several("metrics", "Metrics", "ListMetricsConfigurationsResult"),
)
