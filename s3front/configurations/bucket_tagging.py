"""The tags of a bucket. Pure."""

from __future__ import annotations

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import readable_element
from shared.records.bucket import BucketRecord

_MEMBER = "tags"


def show_tagging(record: BucketRecord) -> Reply:
    """The tags, in their order (Amazon S3 API reference, GetBucketTagging)."""
    tags = "".join(
        f"<Tag>{readable_element('Key', tag['Key'])}{readable_element('Value', tag['Value'])}</Tag>"
        for tag in value_of(record, _MEMBER)
    )
    return xml_reply("Tagging", f"<TagSet>{tags}</TagSet>")


TAGGING = Configuration(
    "tagging",
    "GetBucketTagging",
    "s3:GetBucketTagging",
    not_found("NoSuchTagSet"),
    delete="DeleteBucketTagging",
    delete_action="s3:PutBucketTagging",
    member=_MEMBER,
    show=show_tagging,
)
