"""The CORS configuration of a bucket. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.configurations.base import Configuration, not_found, value_of
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import readable_element
from shared.records.bucket import BucketRecord

_MEMBER = "cors"
_LISTS = {
    "allowedMethods": "AllowedMethod",
    "allowedOrigins": "AllowedOrigin",
    "allowedHeaders": "AllowedHeader",
    "exposeHeaders": "ExposeHeader",
}


def show_cors(record: BucketRecord) -> Reply:
    """The rules, in their order (Amazon S3 API reference, GetBucketCors)."""
    return xml_reply("CORSConfiguration", "".join(map(_rule, value_of(record, _MEMBER))))


def _rule(rule: Mapping[str, Any]) -> str:
    values = "".join(
        readable_element(name, value)
        for member, name in _LISTS.items()
        for value in rule.get(member) or ()
    )
    seconds = rule.get("maxAgeSeconds")
    identified = readable_element("ID", rule.get("id") or None) + values
    return f"<CORSRule>{identified}{readable_element('MaxAgeSeconds', seconds)}</CORSRule>"


CORS = Configuration(
    _MEMBER,
    "GetBucketCors",
    "s3:GetBucketCORS",
    not_found("NoSuchCORSConfiguration"),
    delete="DeleteBucketCors",
    delete_action="s3:PutBucketCORS",
    member=_MEMBER,
    show=show_cors,
)
