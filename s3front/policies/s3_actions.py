"""The actions that policies of buckets may name, what they are about, and the condition keys that
they know. Pure.

Sources: Service authorization reference, "Actions, resources, and condition keys for Amazon S3";
CloudServer's own actions and keys.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class About(Enum):
    """What kind of resource an action is about."""

    BUCKET = auto()
    OBJECT = auto()
    OTHER = auto()
    """Neither: an account, or what buckets do not have."""


_BUCKET_ACTIONS: Final = """
CreateBucketMetadataTableConfiguration DeleteBucket DeleteBucketMetadataTableConfiguration
DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration
GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging
GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock
GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite
GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
ListBucketMultipartUploads ListBucketVersions ListTagsForResource MetadataSearch PauseReplication
PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS
PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls
PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging
PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration PutIntelligentTieringConfiguration
PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration
PutReplicationConfiguration TagResource UntagResource
UpdateBucketMetadataAnnotationTableConfiguration UpdateBucketMetadataInventoryTableConfiguration
UpdateBucketMetadataJournalTableConfiguration
"""

_OBJECT_ACTIONS: Final = """
AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectAnnotation
DeleteObjectTagging DeleteObjectVersion DeleteObjectVersionAnnotation DeleteObjectVersionTagging
GetObject GetObjectAcl GetObjectAnnotation GetObjectAttributes GetObjectLegalHold
GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl
GetObjectVersionAnnotation GetObjectVersionAttributes GetObjectVersionForReplication
GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication ListMultipartUploadParts
ListObjectAnnotations ListObjectVersionAnnotations ObjectOwnerOverrideToBucketOwner PutObject
PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging
PutObjectVersion PutObjectVersionAcl PutObjectVersionAnnotation PutObjectVersionTagging
ReplicateDelete ReplicateObject ReplicateTags RestoreObject UpdateObjectEncryption
"""

_OTHER_ACTIONS: Final = """
AssociateAccessGrantsIdentityCenter CreateAccessGrant CreateAccessGrantsInstance
CreateAccessGrantsLocation CreateAccessPoint CreateAccessPointForObjectLambda CreateBucket CreateJob
CreateMultiRegionAccessPoint CreateStorageLensGroup DeleteAccessGrant DeleteAccessGrantsInstance
DeleteAccessGrantsInstanceResourcePolicy DeleteAccessGrantsLocation DeleteAccessPoint
DeleteAccessPointForObjectLambda DeleteAccessPointPolicy DeleteAccessPointPolicyForObjectLambda
DeleteJobTagging DeleteMultiRegionAccessPoint DeleteStorageLensConfiguration
DeleteStorageLensConfigurationTagging DeleteStorageLensGroup DescribeJob
DescribeMultiRegionAccessPointOperation DissociateAccessGrantsIdentityCenter GetAccessGrant
GetAccessGrantsInstance GetAccessGrantsInstanceForPrefix GetAccessGrantsInstanceResourcePolicy
GetAccessGrantsLocation GetAccessPoint GetAccessPointConfigurationForObjectLambda
GetAccessPointForObjectLambda GetAccessPointPolicy GetAccessPointPolicyForObjectLambda
GetAccessPointPolicyStatus GetAccessPointPolicyStatusForObjectLambda GetAccountPublicAccessBlock
GetDataAccess GetJobTagging GetMultiRegionAccessPoint GetMultiRegionAccessPointPolicy
GetMultiRegionAccessPointPolicyStatus GetMultiRegionAccessPointRoutes GetStorageLensConfiguration
GetStorageLensConfigurationTagging GetStorageLensDashboard GetStorageLensGroup ListAccessGrants
ListAccessGrantsInstances ListAccessGrantsLocations ListAccessPoints
ListAccessPointsForObjectLambda ListAllMyBuckets ListCallerAccessGrants ListJobs
ListMultiRegionAccessPoints ListStorageLensConfigurations ListStorageLensGroups
PutAccessGrantsInstanceResourcePolicy PutAccessPointConfigurationForObjectLambda
PutAccessPointPolicy PutAccessPointPolicyForObjectLambda PutAccessPointPublicAccessBlock
PutAccountPublicAccessBlock PutJobTagging PutMultiRegionAccessPointPolicy
PutStorageLensConfiguration PutStorageLensConfigurationTagging SubmitMultiRegionAccessPointRoutes
UpdateAccessGrantsLocation UpdateJobPriority UpdateJobStatus UpdateStorageLensGroup
"""


def _named(names: str, about: About) -> dict[str, About]:
    return {f"s3:{name}".lower(): about for name in names.split()}


ACTIONS: Final = {
    **_named(_BUCKET_ACTIONS, About.BUCKET),
    **_named(_OBJECT_ACTIONS, About.OBJECT),
    **_named(_OTHER_ACTIONS, About.OTHER),
    "scality:deletebucketquota": About.BUCKET,
    "scality:getbucketquota": About.BUCKET,
    "scality:updatebucketquota": About.BUCKET,
}
"""What each is about, by its name in lower case."""

_LISTS: Final = "ListBucket ListBucketVersions"
_GRANTS: Final = (
    "BypassGovernanceRetention CreateBucket PutBucketAcl PutObject PutObjectAcl PutObjectVersion "
    "PutObjectVersionAcl"
)
_UPLOADS: Final = "BypassGovernanceRetention PutObject PutObjectVersion"
_ENCRYPTED: Final = f"{_UPLOADS} ReplicateObject UpdateObjectEncryption"
_VERSIONS: Final = (
    "BypassGovernanceRetention DeleteObjectVersion DeleteObjectVersionAnnotation "
    "DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAnnotation "
    "GetObjectVersionAttributes GetObjectVersionTagging GetObjectVersionTorrent "
    "ListObjectVersionAnnotations PutObjectVersion PutObjectVersionAcl PutObjectVersionAnnotation "
    "PutObjectVersionTagging"
)
_TAGGED: Final = (
    "DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes "
    "GetObjectTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes "
    "GetObjectVersionTagging PutObjectAcl PutObjectTagging PutObjectVersionAcl "
    "PutObjectVersionTagging"
)
_TAGGING: Final = f"{_UPLOADS} PutObjectTagging PutObjectVersionTagging"
_RETAINED: Final = "PutObject PutObjectRetention PutObjectVersion"

_KEYS_OF_ACTIONS: Final = {
    "s3:delimiter": _LISTS,
    "s3:destinationregion": "PauseReplication",
    "s3:existingobjecttag/": _TAGGED,
    "s3:if-match": "DeleteObject DeleteObjectVersion PutObject PutObjectVersion",
    "s3:if-none-match": "PutObject PutObjectVersion",
    "s3:inventoryaccessibleoptionalfields": "PutInventoryConfiguration",
    "s3:isreplicationpauserequest": "PutReplicationConfiguration",
    "s3:locationconstraint": "CreateBucket",
    "s3:max-keys": _LISTS,
    "s3:object-lock-legal-hold": "PutObject PutObjectLegalHold PutObjectVersion",
    "s3:object-lock-mode": _RETAINED,
    "s3:object-lock-remaining-retention-days": _RETAINED,
    "s3:object-lock-retain-until-date": _RETAINED,
    "s3:objectcreationoperation": "PutObject PutObjectVersion",
    "s3:objlocationconstraint": "PutObject PutObjectVersion",
    "s3:prefix": _LISTS,
    "s3:requestobjecttag/": _TAGGING,
    "s3:requestobjecttagkeys": _TAGGING,
    "s3:versionid": _VERSIONS,
    "s3:x-amz-acl": _GRANTS,
    "s3:x-amz-bucket-namespace": "CreateBucket",
    "s3:x-amz-copy-source": _UPLOADS,
    "s3:x-amz-grant-full-control": _GRANTS,
    "s3:x-amz-grant-read": _GRANTS,
    "s3:x-amz-grant-read-acp": _GRANTS,
    "s3:x-amz-grant-write": _GRANTS,
    "s3:x-amz-grant-write-acp": _GRANTS,
    "s3:x-amz-metadata-directive": _UPLOADS,
    "s3:x-amz-object-ownership": "CreateBucket",
    "s3:x-amz-server-side-encryption": _ENCRYPTED,
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _ENCRYPTED,
    "s3:x-amz-server-side-encryption-customer-algorithm": _ENCRYPTED,
    "s3:x-amz-storage-class": f"{_UPLOADS} PutObjectAcl PutObjectVersionAcl",
    "s3:x-amz-website-redirect-location": _UPLOADS,
}
"""Keys that only some actions know. One that ends with ``/`` goes on with the name of a tag."""

_KEYS_OF_ALL: Final = (
    "s3:accessgrantsinstancearn",
    "s3:accesspointnetworkorigin",
    "s3:accesspointtag/",
    "s3:authtype",
    "s3:buckettag/",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:x-amz-content-sha256",
)
"""Keys of this service that every action knows."""

_KEYS: Final[dict[str, frozenset[str] | None]] = {
    **{
        key: frozenset(f"s3:{name}".lower() for name in names.split())
        for key, names in _KEYS_OF_ACTIONS.items()
    },
    **dict.fromkeys(_KEYS_OF_ALL),
}


def is_s3_key(key: str) -> bool:
    """Whether this service has a condition key, in any case; those of others it says nothing of."""
    return _entry(key) in _KEYS


def actions_of(key: str) -> frozenset[str] | None:
    """The actions that know a condition key, in any case, by their names in lower case; None: all
    of them, as of keys of other services and those that all services have."""
    return _KEYS.get(_entry(key))


def knows(action: str, key: str) -> bool:
    """Whether an action, in lower case, knows a condition key."""
    actions = actions_of(key)
    return actions is None or action in actions


def _entry(key: str) -> str:
    folded = key.lower()
    prefix, slash, tag = folded.partition("/")
    if not slash:
        return folded
    return f"{prefix}/" if tag else prefix
