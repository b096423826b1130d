"""Access control lists, of buckets and of objects, as they are shown. Pure.

A record holds a canned list by its name, or the grantees of each permission: canonical IDs, and
URIs of AWS's groups. What another front-end has granted is shown; it gives nobody access here.
Amazon S3 user guide, "Access control list (ACL) overview".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from s3front.auth.identity import ALL_USERS
from s3front.configurations.base import Configuration
from s3front.objects.object_record import ObjectRecord
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import escape, readable, readable_element
from s3front.s3_errors import not_implemented
from shared.records.bucket import BucketRecord

_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_GROUPS: Final = "http://acs.amazonaws.com/groups/"
_ACCOUNTS: Final = f"{_GROUPS}global/AuthenticatedUsers"
_LOG_DELIVERY: Final = f"{_GROUPS}s3/LogDelivery"

_FULL: Final = "FULL_CONTROL"
_PERMISSIONS: Final = (_FULL, "WRITE", "WRITE_ACP", "READ", "READ_ACP")
_OF_BUCKET_OWNER: Final = {"bucket-owner-read": "READ", "bucket-owner-full-control": _FULL}
_OF_GROUPS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((_ACCOUNTS, "READ"),),
    "log-delivery-write": ((_LOG_DELIVERY, "WRITE"), (_LOG_DELIVERY, "READ_ACP")),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """An account, as records name it."""

    id: str
    name: str

    @property
    def members(self) -> str:
        return readable_element("ID", self.id) + readable_element("DisplayName", self.name)


def show_bucket_acl(record: BucketRecord) -> Reply:
    """The list of a bucket."""
    owner = _owner_of(record)
    return _reply(owner, _grants(record.document.get("acl"), owner, owner))


def show_object_acl(bucket: BucketRecord, record: ObjectRecord) -> Reply:
    """The list of an object, which may belong to another account than its bucket."""
    document = record.document
    owner = Owner(
        str(document.get("owner-id") or bucket.owner_id),
        str(document.get("owner-display-name") or ""),
    )
    return _reply(owner, _grants(document.get("acl"), owner, _owner_of(bucket)))


def _owner_of(bucket: BucketRecord) -> Owner:
    return Owner(bucket.owner_id, str(bucket.document.get("ownerDisplayName") or ""))


def _grants(acl: Any, owner: Owner, bucket_owner: Owner) -> list[tuple[Owner | str, str]]:
    """Grantee and permission of each grant; a group is its URI. Raises NotImplemented for a list of
    a form that is not known."""
    if not acl:
        return [(owner, _FULL)]
    try:
        canned = acl.get("Canned")
        if not canned:
            return [
                (_grantee(grantee, owner), permission)
                for permission in _PERMISSIONS
                for grantee in acl.get(permission) or ()
            ]
        if canned in _OF_BUCKET_OWNER:
            if owner.id == bucket_owner.id:
                return [(owner, _FULL)]
            return [(owner, _FULL), (bucket_owner, _OF_BUCKET_OWNER[canned])]
        return [(owner, _FULL), *_OF_GROUPS[canned]]
    except (AttributeError, KeyError, TypeError) as error:
        raise not_implemented("?acl of the form that is stored") from error


def _grantee(text: str, owner: Owner) -> Owner | str:
    if text.startswith(_GROUPS):
        return text
    return owner if text == owner.id else Owner(text, "")


def _reply(owner: Owner, grants: Sequence[tuple[Owner | str, str]]) -> Reply:
    rows = "".join(_grant(grantee, permission) for grantee, permission in grants)
    content = f"<Owner>{owner.members}</Owner><AccessControlList>{rows}</AccessControlList>"
    return xml_reply("AccessControlPolicy", content)


def _grant(grantee: Owner | str, permission: str) -> str:
    if isinstance(grantee, str):
        kind, members = "Group", readable_element("URI", grantee)
    elif grantee.name:
        kind, members = "CanonicalUser", grantee.members
    else:
        kind, members = "CanonicalUser", readable_element("ID", grantee.id)
    grantee_xml = f'<Grantee xmlns:xsi="{_INSTANCE}" xsi:type="{kind}">{members}</Grantee>'
    return f"<Grant>{grantee_xml}<Permission>{escape(readable(permission))}</Permission></Grant>"


ACL = Configuration("acl", "GetBucketAcl", "s3:GetBucketAcl", show_bucket_acl)
