"""The tags of a bucket. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.configurations.base import Configuration, Put, not_found, value_of
from s3front.objects.tag_sets import parse_bucket_tagging
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


def _parse(body: bytes) -> Mapping[str, Any]:
    """The members of a record with the tags of a document (Amazon S3 API reference,
    PutBucketTagging)."""
    tags = parse_bucket_tagging(body)
    return {_MEMBER: [{"Key": key, "Value": value} for key, value in tags.items()]}


def _tags(members: Mapping[str, Any]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in members[_MEMBER]}


TAGGING = Configuration(
    "tagging",
    "GetBucketTagging",
    "s3:GetBucketTagging",
    not_found("NoSuchTagSet"),
    delete="DeleteBucketTagging",
    delete_action="s3:PutBucketTagging",
    member=_MEMBER,
    show=show_tagging,
    put=Put("PutBucketTagging", "s3:PutBucketTagging", _parse, status=204, tags=_tags),
)
