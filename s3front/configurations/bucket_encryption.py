"""The default encryption of a bucket. Pure.

AWS encrypts every bucket since January 2023, and says so of one where nothing is configured.
Nothing is encrypted here, so this server answers what AWS did before: that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import readable_element
from shared.records.bucket import BucketRecord

_MEMBER = "serverSideEncryption"


@dataclass(frozen=True, slots=True)
class _Encryption(Configuration):
    def is_set(self, record: BucketRecord) -> bool:
        """CloudServer keeps a key of the account in records of buckets that are not encrypted."""
        return record.demands_encryption


def show_encryption(record: BucketRecord) -> Reply:
    """The one rule (Amazon S3 API reference, GetBucketEncryption)."""
    stored = value_of(record, _MEMBER)
    chosen = readable_element("SSEAlgorithm", stored.get("algorithm")) + readable_element(
        "KMSMasterKeyID", stored.get("configuredMasterKeyId") or None
    )
    by_default = (
        f"<ApplyServerSideEncryptionByDefault>{chosen}</ApplyServerSideEncryptionByDefault>"
    )
    rule = f"<Rule>{by_default}<BucketKeyEnabled>false</BucketKeyEnabled></Rule>"
    return xml_reply("ServerSideEncryptionConfiguration", rule)


ENCRYPTION = _Encryption(
    "encryption",
    "GetBucketEncryption",
    "s3:GetEncryptionConfiguration",
    not_found("ServerSideEncryptionConfigurationNotFoundError"),
    delete="DeleteBucketEncryption",
    delete_action="s3:PutEncryptionConfiguration",
    member=_MEMBER,
    show=show_encryption,
)
