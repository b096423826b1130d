"""The quota of a bucket, in bytes: a call that CloudServer has beside S3's. Pure."""

from __future__ import annotations

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import XML_TYPE
from s3front.port.request import Reply
from s3front.port.xml import DECLARATION, element, readable_element
from shared.records.bucket import BucketRecord

_MEMBER = "quotaMax"


def show_quota(record: BucketRecord) -> Reply:
    """CloudServer's document, which is in no namespace."""
    content = element("Name", record.name) + readable_element(
        "Quota", str(value_of(record, _MEMBER))
    )
    document = f"{DECLARATION}<GetBucketQuota>{content}</GetBucketQuota>"
    return Reply(200, {"Content-Type": XML_TYPE}, document.encode())


QUOTA = Configuration(
    "quota",
    "GetBucketQuota",
    "scality:GetBucketQuota",
    not_found("NoSuchQuota"),
    delete="DeleteBucketQuota",
    delete_action="scality:DeleteBucketQuota",
    member=_MEMBER,
    show=show_quota,
)
