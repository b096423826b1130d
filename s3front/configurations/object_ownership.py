"""Who owns the objects of a bucket, as its owner sets it. Pure.

What the settings mean is in ``s3front.authz.ownership``. A bucket without one has none to show, as
one of AWS's from before April 2023, and is treated as ``ObjectWriter``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.authz.acl_limits import require_fits_ownership
from s3front.authz.ownership import OWNERSHIP_MEMBER, OWNERSHIPS
from s3front.configurations.base import Configuration, Put, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import parse, readable_element
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

_ROOT = "OwnershipControls"


def show_ownership(record: BucketRecord) -> Reply:
    """The one rule (Amazon S3 API reference, GetBucketOwnershipControls)."""
    rule = readable_element("ObjectOwnership", str(value_of(record, OWNERSHIP_MEMBER)))
    return xml_reply(_ROOT, f"<Rule>{rule}</Rule>")


def parse_ownership(body: bytes) -> Mapping[str, Any]:
    """The setting, as the bucket record has it; raises MalformedXML."""
    rules = list(parse(body, _ROOT))
    if [rule.tag for rule in rules] != ["Rule"]:
        raise S3Error("MalformedXML")
    if [child.tag for child in rules[0]] != ["ObjectOwnership"]:
        raise S3Error("MalformedXML")
    setting = (rules[0].findtext("ObjectOwnership") or "").strip()
    if setting not in OWNERSHIPS:
        raise S3Error("MalformedXML")
    return {OWNERSHIP_MEMBER: setting}


def check_ownership(record: BucketRecord, members: Mapping[str, Any]) -> None:
    """Refuse to let no list count in a bucket whose own gives something to others:
    InvalidBucketAclWithObjectOwnership."""
    require_fits_ownership(record.document.get("acl"), record.owner_id, members[OWNERSHIP_MEMBER])


OWNERSHIP = Configuration(
    "ownershipControls",
    "GetBucketOwnershipControls",
    "s3:GetBucketOwnershipControls",
    not_found("OwnershipControlsNotFoundError"),
    delete="DeleteBucketOwnershipControls",
    delete_action="s3:PutBucketOwnershipControls",
    member=OWNERSHIP_MEMBER,
    show=show_ownership,
    put=Put(
        "PutBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
        parse_ownership,
        check_ownership,
    ),
)
