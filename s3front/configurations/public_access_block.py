"""The public access block of a bucket, and of an account. Pure.

What its settings mean is in ``s3front.authz.public_block``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3front.authz.public_block import BLOCK_MEMBER, PublicBlock, block_of
from s3front.configurations.base import Configuration, Put, not_found
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import element, parse
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

_ROOT: Final = "PublicAccessBlockConfiguration"
_SETTINGS: Final = PublicBlock.__struct_encode_fields__
_VALUES: Final = {"true": True, "false": False}


def block_xml(document: Mapping[str, Any]) -> Reply:
    """The block of a record that has one; all four settings are shown."""
    shown = msgspec.to_builtins(block_of(document))
    rows = (element(name, "true" if shown[name] else "false") for name in _SETTINGS)
    return xml_reply(_ROOT, "".join(rows))


def parse_block(body: bytes) -> dict[str, bool]:
    """The four settings of a document, in which any may be missing; raises MalformedXML."""
    settings = dict.fromkeys(_SETTINGS, False)
    seen = set[str]()
    for child in parse(body, _ROOT):
        value = _VALUES.get((child.text or "").strip().lower())
        if child.tag not in settings or child.tag in seen or value is None:
            raise S3Error("MalformedXML")
        seen.add(child.tag)
        settings[child.tag] = value
    if not seen:
        raise S3Error(
            "InvalidRequest", "Must specify at least one configuration.", {"Element": _ROOT}
        )
    return settings


def _show(record: BucketRecord) -> Reply:
    return block_xml(record.document)


def _parse(body: bytes) -> Mapping[str, Any]:
    return {BLOCK_MEMBER: parse_block(body)}


PUBLIC_ACCESS_BLOCK = Configuration(
    "publicAccessBlock",
    "GetPublicAccessBlock",
    "s3:GetBucketPublicAccessBlock",
    not_found("NoSuchPublicAccessBlockConfiguration"),
    delete="DeletePublicAccessBlock",
    delete_action="s3:PutBucketPublicAccessBlock",
    member=BLOCK_MEMBER,
    show=_show,
    put=Put("PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", _parse),
)
