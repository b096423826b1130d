"""Access control lists, of buckets and of objects: whom they give what. Pure.

*Rules*

A list gives permissions to accounts, by their canonical IDs, and to groups, by their URIs. In a
record it has CloudServer's form: ``Canned`` is the name of a canned list, or else each permission
has the grantees that were given it one by one. What a list that cannot be understood might give, it
does not give.

A canned list gives the owner everything; another one gives the owner what it says, and so perhaps
nothing.

Amazon S3 user guide, "Access control list (ACL) overview".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from s3front.auth.identity import ALL_ACCOUNTS, ALL_USERS, Principal

GROUPS: Final = "http://acs.amazonaws.com/groups/"
"""What the URIs of AWS's groups begin with."""
LOG_DELIVERY: Final = f"{GROUPS}s3/LogDelivery"
"""The group that writes access logs."""
KNOWN_GROUPS: Final = frozenset((ALL_USERS, ALL_ACCOUNTS, LOG_DELIVERY))
PUBLIC_GROUPS: Final = frozenset((ALL_USERS, ALL_ACCOUNTS))
"""Those that strangers are in: a grant to them makes a list public."""

FULL_CONTROL: Final = "FULL_CONTROL"
PERMISSIONS: Final = ("READ", "WRITE", "READ_ACP", "WRITE_ACP", FULL_CONTROL)
"""In the order in which lists are shown, which is that of ceph/s3-tests; to AWS it means nothing.
``WRITE`` is of no meaning for an object."""

_STORED: Final = (FULL_CONTROL, "WRITE", "WRITE_ACP", "READ", "READ_ACP")
"""In the order of the original's records."""

PRIVATE: Final = "private"
OWNER_FULL_CONTROL: Final = "bucket-owner-full-control"

_OF_BUCKET_OWNER: Final = {"bucket-owner-read": "READ", OWNER_FULL_CONTROL: FULL_CONTROL}
_OF_GROUPS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    PRIVATE: (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((ALL_ACCOUNTS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
CANNED_OF_BUCKETS: Final = frozenset((*_OF_GROUPS, *_OF_BUCKET_OWNER))
CANNED_OF_OBJECTS: Final = CANNED_OF_BUCKETS - {"log-delivery-write"}

BUCKET_PERMISSIONS: Final[Mapping[str, str]] = {
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:ListBucketMultipartUploads": "READ",
    "s3:PutObject": "WRITE",
    "s3:DeleteObject": "WRITE",
    "s3:AbortMultipartUpload": "WRITE",
    "s3:ListMultipartUploadParts": "WRITE",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}
"""Which permission of a bucket's list gives an action, on the bucket or in it (the user guide's
"Mapping of ACL permissions and access policy permissions"). Uploads in parts are among what writes,
which that table leaves to whoever began one; versions are for the bucket's owner alone to
delete."""

OBJECT_PERMISSIONS: Final[Mapping[str, str]] = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
}
"""The same of an object's."""


def grants_of(acl: Any, owner_id: str, bucket_owner_id: str) -> Iterator[tuple[str, str]]:
    """Grantee (a canonical ID, or the URI of a group) and permission of each grant of a record's
    list. ``owner_id`` owns what the list is of. No list at all is a private one. Raises
    AttributeError, KeyError or TypeError for a list of a form that is not known."""
    canned = acl.get("Canned") if acl else PRIVATE
    if not canned:
        for permission in PERMISSIONS:
            for grantee in acl.get(permission) or ():
                yield grantee + "", permission  # of text alone
        return
    if canned not in _OF_BUCKET_OWNER:
        yield from _OF_GROUPS[canned]
    elif owner_id != bucket_owner_id:
        yield bucket_owner_id, _OF_BUCKET_OWNER[canned]
    yield owner_id, FULL_CONTROL


def granted(
    acl: Any,
    owner_id: str,
    bucket_owner_id: str,
    principal: Principal,
    permission: str,
    *,
    ignore_public: bool = False,
    of_groups: bool = False,
) -> str | None:
    """What of a record's list gives a permission, for the reason of a decision
    (``acl FULL_CONTROL 79a5…``, or with the URI of a group); None: nothing does.

    ``ignore_public`` leaves out what is given to everybody, and to everybody who signs;
    ``of_groups`` what is given to the account.
    """
    names = {ALL_USERS} if of_groups else {principal.canonical_id, ALL_USERS}
    if not principal.is_anonymous:
        names.add(ALL_ACCOUNTS)
    if ignore_public:
        names -= PUBLIC_GROUPS
    wanted = (permission, FULL_CONTROL)
    if owner_id in KNOWN_GROUPS:
        owner_id = ""  # nobody in particular: what is everybody's is not for everybody by that
    try:
        for grantee, given in grants_of(acl, owner_id, bucket_owner_id):
            if given in wanted and grantee in names:
                return f"acl {given} {grantee}"
    except (AttributeError, KeyError, TypeError):
        return None
    return None


def is_public_acl(acl: Any) -> bool:
    """Whether a list gives anything to strangers (user guide, "The meaning of 'public'"). One that
    cannot be understood gives nobody anything."""
    try:
        return any(grantee in PUBLIC_GROUPS for grantee, _ in grants_of(acl, "", ""))
    except (AttributeError, KeyError, TypeError):
        return False


def is_private_acl(acl: Any, owner_id: str) -> bool:
    """Whether a bucket's list gives nothing to anybody but its owner. So a list is not that cannot
    be understood."""
    try:
        return all(grantee == owner_id for grantee, _ in grants_of(acl, owner_id, owner_id))
    except (AttributeError, KeyError, TypeError):
        return False


def canned_acl(name: str, *, of_bucket: bool) -> dict[str, Any]:
    """A canned list as records have it."""
    return {**_nobody(of_bucket=of_bucket), "Canned": name}


def explicit_acl(grants: Sequence[tuple[str, str]], *, of_bucket: bool) -> dict[str, Any]:
    """A list of grantees and permissions as records have it: none of them twice. Of an object, only
    a list that gives ``WRITE`` has a member for it, which the original does not know there."""
    acl = _nobody(of_bucket=of_bucket)
    for grantee, permission in dict.fromkeys(grants):
        acl.setdefault(permission, []).append(grantee)
    return acl


def _nobody(*, of_bucket: bool) -> dict[str, Any]:
    kept = (each for each in _STORED if of_bucket or each != "WRITE")
    return {"Canned": "", **{permission: [] for permission in kept}}
