"""Who asks, and for what, in the tables of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from s3front.auth.identity import ANONYMOUS, Principal, Rights
from s3front.authz.access import Access, arn
from s3front.authz.owners import OwnerFacts
from s3front.authz.public_block import PublicBlock
from s3front.objects.object_record import ObjectRecord
from s3front.policies.grammar import stored_policy
from s3front.policies.policy import Kind, NamedPolicy
from shared.records.bucket import BucketRecord

A, B = "111111111111", "222222222222"
CANONICAL = {A: "canonical-a", B: "canonical-b"}
BUCKET, KEY = "bucket", "key"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def statement(effect: str, actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    """``actions`` and ``resource`` of one or several, by spaces."""
    return {
        "Effect": effect,
        "Action": [f"s3:{each}" for each in actions.split()],
        "Resource": resource.split(),
        **more,
    }


def allow(actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return statement("Allow", actions, resource, **more)


def deny(actions: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return statement("Deny", actions, resource, **more)


def document(*statements: Mapping[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def named(*statements: Mapping[str, Any], name: str = "own") -> NamedPolicy:
    return NamedPolicy(name, stored_policy(document(*statements), Kind.IDENTITY))


def root(account: str) -> Principal:
    return Principal(CANONICAL[account], account, account, f"arn:aws:iam::{account}:root")


def user(
    name: str,
    *statements: Mapping[str, Any],
    account: str = A,
    boundary: NamedPolicy | None = None,
) -> Principal:
    """One whose only policy has these statements; none: no policy."""
    policies = (named(*statements),) if statements else ()
    return msgspec.structs.replace(
        root(account),
        arn=f"arn:aws:iam::{account}:user/{name}",
        rights=Rights(policies, boundary),
        user_name=name,
        kind="User",
    )


def session(
    role: str, *statements: Mapping[str, Any], policy: NamedPolicy | None = None
) -> Principal:
    """A session of a role of A's."""
    return msgspec.structs.replace(
        root(A),
        arn=f"arn:aws:sts::{A}:assumed-role/{role}/s",
        role_arn=f"arn:aws:iam::{A}:role/{role}",
        rights=Rights((named(*statements),), None, None if policy is None else (policy,)),
        kind="AssumedRole",
    )


CALLERS: Final[Mapping[str, Principal]] = {
    "root": root(A),
    "plain": user("plain"),
    "full": user("full", allow("*")),
    "reader": user("reader", allow("GetObject GetObjectVersion", "arn:aws:s3:::bucket/*")),
    "bound": user("bound", allow("*"), boundary=named(allow("Get*"))),
    "denied": user("denied", allow("*"), deny("DeleteObject")),
    "sess": session("wide", allow("*"), policy=named(allow("ListBucket"))),
    "role": session("narrow", allow("Get*")),
    "broot": root(B),
    "bfull": user("bfull", allow("*"), account=B),
    "bnone": user("bnone", account=B),
    "anon": ANONYMOUS,
}
"""Account A owns the bucket: its root; users without a policy, with all rights, that may read the
objects, whose boundary lets them read only, that may not delete; sessions of a role with all rights
that may list only, and of one that may read. Of account B: its root, and users with all rights and
with none. And anybody."""

ROWS: Final[Mapping[str, tuple[Sequence[str], bool, bool]]] = {
    "ListBucket": (("s3:ListBucket",), False, True),
    "GetObject": (("s3:GetObject",), True, True),
    "GetObject-gone": (("s3:GetObject",), True, False),
    "PutObject": (("s3:PutObject",), True, True),
    "PutObject+acl": (("s3:PutObject", "s3:PutObjectAcl"), True, False),
    "DeleteObject": (("s3:DeleteObject",), True, True),
    "GetObjectAcl": (("s3:GetObjectAcl",), True, True),
    "PutObjectAcl": (("s3:PutObjectAcl",), True, True),
    "GetBucketAcl": (("s3:GetBucketAcl",), False, True),
    "PutBucketAcl": (("s3:PutBucketAcl",), False, True),
    "GetBucketPolicy": (("s3:GetBucketPolicy",), False, True),
    "PutBucketPolicy": (("s3:PutBucketPolicy",), False, True),
}
"""Actions, whether they are about the object, and whether that is there."""


class NoKeys:
    """A request that tells nothing."""

    is_secure = True

    def of_version(self, version_id: str | None) -> NoKeys:
        return self

    def values(self, key: str) -> Sequence[str] | None:
        return None


class BothOwners:
    """A and B; A may have blocked something for all of its buckets."""

    def __init__(self, block: PublicBlock) -> None:
        self._block = block

    def owner(self, canonical_id: str) -> OwnerFacts | None:
        if canonical_id == CANONICAL[A]:
            return OwnerFacts(A, self._block)
        return OwnerFacts(B) if canonical_id == CANONICAL[B] else None


def grants(**given: Sequence[str]) -> dict[str, Any]:
    """An ACL of single grants."""
    names = ("FULL_CONTROL", "WRITE", "WRITE_ACP", "READ", "READ_ACP")
    return {"Canned": "", **{name: list(given.get(name, ())) for name in names}}


def canned(name: str) -> dict[str, Any]:
    return {**grants(), "Canned": name}


class Scene(msgspec.Struct, frozen=True):
    """A bucket of A's with one object. ``block`` is the bucket's, ``account_block`` A's."""

    ownership: str = "BucketOwnerEnforced"
    policy: Mapping[str, Any] | None = None
    acl: Mapping[str, Any] = msgspec.field(default_factory=lambda: canned("private"))
    object_acl: Mapping[str, Any] = msgspec.field(default_factory=lambda: canned("private"))
    object_owner: str = A
    block: Mapping[str, bool] | None = None
    account_block: PublicBlock = PublicBlock()

    def access(self, caller: str | Principal, row: str) -> Access:
        """What a caller of the table asks for in a row of it."""
        actions, of_object, is_there = ROWS[row]
        principal = CALLERS[caller] if isinstance(caller, str) else caller
        bucket = BucketRecord.create(BUCKET, CANONICAL[A], A, NOW, "us-east-1").changed(
            {
                "objectOwnership": self.ownership,
                "bucketPolicy": self.policy,
                "acl": self.acl,
                "publicAccessBlock": self.block,
            }
        )
        object_ = ObjectRecord(
            {"owner-id": CANONICAL[self.object_owner], "acl": self.object_acl, "tags": {}}
        )
        return Access(
            principal,
            actions,
            arn(BUCKET, KEY if of_object else None),
            NoKeys(),
            bucket,
            object_ if of_object and is_there else None,
            (),
            BothOwners(self.account_block),
        )
