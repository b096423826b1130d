"""The XML document of an access control list: read, and written. Pure.

Amazon S3 API reference, "AccessControlPolicy". A grantee's type is ``xsi:type``; an account is
written with its name, which is ignored when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from xml.etree.ElementTree import Element

from s3front.authz.acl import GROUPS, PERMISSIONS, explicit_acl, grants_of
from s3front.authz.ownership import Owner
from s3front.configurations.grantees import (
    KnownAccounts,
    grantee_by_email,
    grantee_by_id,
    group_by_uri,
)
from s3front.port.reply import xml_reply
from s3front.port.request import Reply
from s3front.port.xml import element, escape, parse, readable, readable_element
from s3front.s3_errors import S3Error, not_implemented
from shared import limits

_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_ROOT: Final = "AccessControlPolicy"
_TYPE: Final = f"{{{_INSTANCE}}}type"


class AclDocument(NamedTuple):
    """What a document says: the list as records have it, and the owner that it names."""

    acl: dict[str, Any]
    owner_id: str


# --- Reading --------------------------------------------------------------------------------------


def parse_acl(body: bytes, accounts: KnownAccounts, *, of_bucket: bool) -> AclDocument:
    """A document of a request; raises MalformedACLError, InvalidArgument and
    UnresolvableGrantByEmailAddress."""
    try:
        tree = parse(body, _ROOT)
    except S3Error as error:
        raise S3Error("MalformedACLError") from error
    owner_id = tree.findtext("Owner/ID")
    listed = tree.find("AccessControlList")
    if not owner_id or listed is None or any(node.tag != "Grant" for node in listed):
        raise S3Error("MalformedACLError")
    if len(listed) > limits.ACL_GRANTS_MAX:
        raise S3Error("MalformedACLError")
    grants = [_parse_grant(node, accounts) for node in listed]
    return AclDocument(explicit_acl(grants, of_bucket=of_bucket), owner_id.strip())


def _parse_grant(node: Element, accounts: KnownAccounts) -> tuple[str, str]:
    grantee, permission = node.find("Grantee"), (node.findtext("Permission") or "").strip()
    if grantee is None or permission not in PERMISSIONS:
        raise S3Error("MalformedACLError")
    match grantee.get(_TYPE):
        case "CanonicalUser":
            found = grantee_by_id(accounts, _text(grantee, "ID"), "CanonicalUser/ID")
        case "AmazonCustomerByEmail":
            found = grantee_by_email(accounts, _text(grantee, "EmailAddress"))
        case "Group":
            found = group_by_uri(_text(grantee, "URI"), "Group/URI")
        case _:
            raise S3Error("MalformedACLError")
    return found, permission


def _text(node: Element, name: str) -> str:
    text = node.findtext(name)
    if text is None:
        raise S3Error("MalformedACLError")
    return text.strip()


# --- Writing --------------------------------------------------------------------------------------


def show_acl(acl: Any, owner: Owner, bucket_owner: Owner, accounts: KnownAccounts) -> Reply:
    """A list that a record has. Raises NotImplemented for one of a form that is not known."""
    names = {owner.id: owner.name, bucket_owner.id: bucket_owner.name}
    try:
        grants = list(grants_of(acl, owner.id, bucket_owner.id))
    except (AttributeError, KeyError, TypeError) as error:
        raise not_implemented("?acl of the form that is stored") from error
    for grantee, _ in grants:
        if not names.get(grantee) and not grantee.startswith(GROUPS):
            account = accounts.account_by_canonical_id(grantee)
            names[grantee] = "" if account is None else account.name
    return xml_reply(_ROOT, f"<Owner>{_members(owner)}</Owner>{_list(grants, names)}")


def _list(grants: Sequence[tuple[str, str]], names: dict[str, str]) -> str:
    rows = "".join(_grant(grantee, permission, names) for grantee, permission in grants)
    return f"<AccessControlList>{rows}</AccessControlList>"


def _grant(grantee: str, permission: str, names: dict[str, str]) -> str:
    if grantee.startswith(GROUPS):
        kind, members = "Group", readable_element("URI", grantee)
    else:
        kind, members = "CanonicalUser", _members(Owner(grantee, names.get(grantee, "")))
    given = element("Permission", readable(permission))
    return (
        f'<Grant><Grantee xmlns:xsi="{_INSTANCE}" xsi:type="{escape(kind)}">{members}</Grantee>'
        f"{given}</Grant>"
    )


def _members(owner: Owner) -> str:
    """Without a name where there is none."""
    name = readable_element("DisplayName", owner.name) if owner.name else ""
    return readable_element("ID", owner.id) + name
