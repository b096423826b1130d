"""The state of versioning of a bucket. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.configurations.base import Configuration, Put, empty, value_of
from s3front.objects.object_lock import is_enabled
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import parse, readable_element
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord, Versioning
from shared.records.members import texts

_MEMBER = "versioningConfiguration"
_ROOT = "VersioningConfiguration"
_MFA_DELETE = ("Enabled", "Disabled")


def show_versioning(record: BucketRecord) -> Reply:
    """The state of versioning (Amazon S3 API reference, GetBucketVersioning)."""
    found = texts(value_of(record, _MEMBER))
    members = ("Status", "MfaDelete")
    return xml_reply(_ROOT, "".join(readable_element(name, found.get(name)) for name in members))


def parse_versioning(body: bytes) -> Mapping[str, Any]:
    """The configuration, as the bucket record has it; raises MalformedXML, AccessDenied and
    IllegalVersioningConfigurationException."""
    tree = parse(body, _ROOT)
    if any(child.tag not in ("Status", "MfaDelete") for child in tree):
        raise S3Error("MalformedXML")
    status, mfa_delete = tree.findtext("Status"), tree.findtext("MfaDelete")
    if mfa_delete is not None and mfa_delete not in _MFA_DELETE:
        raise S3Error("MalformedXML")
    if status is None:
        raise S3Error("IllegalVersioningConfigurationException")
    if status not in tuple(Versioning):
        raise S3Error("MalformedXML")
    if mfa_delete == "Enabled":
        # Nobody here has a device for it.
        raise S3Error("AccessDenied", "Mfa Authentication must be used for this request")
    configuration = {"Status": status} | ({} if mfa_delete is None else {"MfaDelete": mfa_delete})
    return {_MEMBER: configuration}


def check_versioning(record: BucketRecord, members: Mapping[str, Any]) -> None:
    """Refuse to suspend it where versions can be locked: InvalidBucketState."""
    if is_enabled(record.document) and members[_MEMBER]["Status"] != Versioning.ENABLED:
        raise S3Error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state "
            "cannot be changed.",
        )


VERSIONING = Configuration(
    "versioning",
    "GetBucketVersioning",
    "s3:GetBucketVersioning",
    empty(_ROOT),
    member=_MEMBER,
    show=show_versioning,
    put=Put("PutBucketVersioning", "s3:PutBucketVersioning", parse_versioning, check_versioning),
)
