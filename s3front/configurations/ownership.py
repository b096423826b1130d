"""Who owns the objects of a bucket. Pure.

CreateBucket accepts and stores ``BucketOwnerEnforced``, which is how every bucket works while there
are no ACLs. A bucket that was made without it has none, as one of AWS's from before April 2023.
"""

from __future__ import annotations

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import readable_element
from shared.records.bucket import BucketRecord

OWNERSHIP_MEMBER = "objectOwnership"
"""Where the record of a bucket has it."""


def show_ownership(record: BucketRecord) -> Reply:
    """The one rule (Amazon S3 API reference, GetBucketOwnershipControls)."""
    rule = readable_element("ObjectOwnership", str(value_of(record, OWNERSHIP_MEMBER)))
    return xml_reply("OwnershipControls", f"<Rule>{rule}</Rule>")


OWNERSHIP = Configuration(
    "ownershipControls",
    "GetBucketOwnershipControls",
    "s3:GetBucketOwnershipControls",
    not_found("OwnershipControlsNotFoundError"),
    delete="DeleteBucketOwnershipControls",
    delete_action="s3:PutBucketOwnershipControls",
    member=OWNERSHIP_MEMBER,
    show=show_ownership,
)
