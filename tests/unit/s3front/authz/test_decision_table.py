"""Who may do what: a table for each scene, every cell of it thought out by hand.

A column a caller, a row what it asks for (``scenes``); ``Y`` it may, ``.`` it may not. The rule
behind a table that differs from the one before stands above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from s3front.authz.decide import decide
from s3front.authz.public_block import PublicBlock
from tests.unit.s3front.authz.scenes import (
    CALLERS,
    CANONICAL,
    ROWS,
    A,
    B,
    Scene,
    allow,
    canned,
    deny,
    document,
    grants,
)

ALL = "arn:aws:s3:::bucket arn:aws:s3:::bucket/*"
OBJECTS = "arn:aws:s3:::bucket/*"
EVERYBODY = {"Principal": "*"}

HEAD: Final = "root plain full reader bound denied sess role broot bfull bnone anon"
assert HEAD.split() == list(CALLERS)

# Nobody outside the account has any right; within it, what a user's own policies give.
PRIVATE: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y . Y Y Y Y . Y  . . . .
GetObject-gone   Y . Y . . Y . .  . . . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# A grant to everybody is good for all within the account and for anybody who signs nothing; a user
# of another account needs a policy of its own as well.
PUBLIC_READ: Final = """
ListBucket       Y Y Y Y Y Y Y Y  Y Y . Y
GetObject        Y Y Y Y Y Y Y Y  Y Y . Y
GetObject-gone   Y Y Y Y Y Y Y Y  Y Y . Y
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# The same without anybody who does not sign.
AUTHENTICATED_READ: Final = """
ListBucket       Y Y Y Y Y Y Y Y  Y Y . .
GetObject        Y Y Y Y Y Y Y Y  Y Y . .
GetObject-gone   Y Y Y Y Y Y Y Y  Y Y . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# The bucket's list lets everybody write, and delete; an uploader may say what the new object's list
# is. One who must not delete still must not.
PUBLIC_WRITE: Final = """
ListBucket       Y Y Y Y Y Y Y Y  Y Y . Y
GetObject        Y . Y Y Y Y . Y  . . . .
GetObject-gone   Y Y Y Y Y Y Y Y  Y Y . Y
PutObject        Y Y Y Y Y Y Y Y  Y Y . Y
PutObject+acl    Y Y Y Y Y Y Y Y  Y Y . Y
DeleteObject     Y Y Y Y Y . Y Y  Y Y . Y
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# A grant to account B: its root has it, its users what they are given of it there.
GRANTED_TO_B: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y . Y Y Y Y . Y  Y Y . .
GetObject-gone   Y . Y . . Y . .  . . . .
PutObject        Y . Y . . Y . .  Y Y . .
PutObject+acl    Y . Y . . Y . .  Y Y . .
DeleteObject     Y . Y . . . . .  Y Y . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  Y Y . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# A policy gives the objects to everybody: a boundary and a session do not limit that within the
# account. Who may not list is not told that a key is not there; the session may list.
POLICY_FOR_EVERYBODY: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y Y Y Y Y Y Y Y  Y Y . Y
GetObject-gone   Y . Y . . Y Y .  . . . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# The same, closed to what is public: other accounts and strangers have nothing of it.
RESTRICTED: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y Y Y Y Y Y Y Y  . . . .
GetObject-gone   Y . Y . . Y Y .  . . . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# A policy gives all to account B: its users need theirs; those of A get nothing by it. The policy
# itself is for the owner of the bucket alone.
POLICY_FOR_B: Final = """
ListBucket       Y . Y . . Y Y .  Y Y . .
GetObject        Y . Y Y Y Y . Y  Y Y . .
GetObject-gone   Y . Y . . Y . .  Y Y . .
PutObject        Y . Y . . Y . .  Y Y . .
PutObject+acl    Y . Y . . Y . .  Y Y . .
DeleteObject     Y . Y . . . . .  Y Y . .
GetObjectAcl     Y . Y . Y Y . Y  Y Y . .
PutObjectAcl     Y . Y . . Y . .  Y Y . .
GetBucketAcl     Y . Y . Y Y . Y  Y Y . .
PutBucketAcl     Y . Y . . Y . .  Y Y . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# A policy gives all to account A itself, which is A's to give on: so nobody gets anything new.
POLICY_FOR_A = PRIVATE

# A policy denies everything to everybody: only A itself can still read and mend the policy.
ALL_DENIED: Final = """
ListBucket       . . . . . . . .  . . . .
GetObject        . . . . . . . .  . . . .
GetObject-gone   . . . . . . . .  . . . .
PutObject        . . . . . . . .  . . . .
PutObject+acl    . . . . . . . .  . . . .
DeleteObject     . . . . . . . .  . . . .
GetObjectAcl     . . . . . . . .  . . . .
PutObjectAcl     . . . . . . . .  . . . .
GetBucketAcl     . . . . . . . .  . . . .
PutBucketAcl     . . . . . . . .  . . . .
GetBucketPolicy  Y . . . . . . .  . . . .
PutBucketPolicy  Y . . . . . . .  . . . .
"""

# A policy names callers by themselves: the users plain and bound, whose boundary does not limit
# that; the session of `narrow`. The role `wide` is named as a role: its session's policy limits
# that. The user bfull of B needs its own policy, which it has; bnone has none.
BY_NAME: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y Y Y Y Y Y . Y  . Y . .
GetObject-gone   Y . Y . . Y . .  . . . .
PutObject        Y Y Y . Y Y . Y  . Y . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y Y Y . Y . . Y  . Y . .
GetObjectAcl     Y . Y . Y Y . Y  . . . .
PutObjectAcl     Y . Y . . Y . .  . . . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# The object is B's, and private: B allows it, and its list; the bucket's policy gives nothing of
# it. What is done to the bucket stays A's to allow, deleting and overwriting as well.
OBJECT_OF_B: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        . . . . . . . .  Y Y . .
GetObject-gone   Y . Y . . Y Y .  . . . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     . . . . . . . .  Y Y . .
PutObjectAcl     . . . . . . . .  Y Y . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

# B's object, with bucket-owner-full-control: A has it as if it was granted to another account.
OBJECT_GIVEN_TO_A: Final = """
ListBucket       Y . Y . . Y Y .  . . . .
GetObject        Y . Y Y Y Y . Y  Y Y . .
GetObject-gone   Y . Y . . Y . .  . . . .
PutObject        Y . Y . . Y . .  . . . .
PutObject+acl    Y . Y . . Y . .  . . . .
DeleteObject     Y . Y . . . . .  . . . .
GetObjectAcl     Y . Y . Y Y . Y  Y Y . .
PutObjectAcl     Y . Y . . Y . .  Y Y . .
GetBucketAcl     Y . Y . Y Y . Y  . . . .
PutBucketAcl     Y . Y . . Y . .  . . . .
GetBucketPolicy  Y . Y . Y Y . Y  . . . .
PutBucketPolicy  Y . Y . . Y . .  . . . .
"""

BY_NAMES = document(
    allow(
        "GetObject PutObject DeleteObject",
        OBJECTS,
        Principal={
            "AWS": [
                f"arn:aws:iam::{A}:user/plain",
                f"arn:aws:iam::{A}:user/bound",
                f"arn:aws:sts::{A}:assumed-role/narrow/s",
                f"arn:aws:iam::{A}:role/wide",
                f"arn:aws:iam::{B}:user/bfull",
                f"arn:aws:iam::{B}:user/bnone",
            ]
        },
    )
)
FOR_EVERYBODY = document(allow("GetObject", OBJECTS, **EVERYBODY))
WRITER = "ObjectWriter"
TO_B = CANONICAL[B]

SCENES: Final = {
    "private": (Scene(), PRIVATE),
    "private, with ACLs": (Scene(WRITER), PRIVATE),
    "public-read": (Scene(WRITER, None, canned("public-read"), canned("public-read")), PUBLIC_READ),
    "public-read, owner preferred": (
        Scene("BucketOwnerPreferred", None, canned("public-read"), canned("public-read")),
        PUBLIC_READ,
    ),
    "public-read, ACLs off": (
        Scene("BucketOwnerEnforced", None, canned("public-read"), canned("public-read")),
        PRIVATE,
    ),
    "public-read, ignored": (
        Scene(
            WRITER,
            None,
            canned("public-read"),
            canned("public-read"),
            block={"IgnorePublicAcls": True},
        ),
        PRIVATE,
    ),
    "public-read, ignored by the account": (
        Scene(
            WRITER,
            None,
            canned("public-read"),
            canned("public-read"),
            account_block=PublicBlock(ignore_public_acls=True),
        ),
        PRIVATE,
    ),
    "authenticated-read": (
        Scene(WRITER, None, canned("authenticated-read"), canned("authenticated-read")),
        AUTHENTICATED_READ,
    ),
    "public-read-write": (Scene(WRITER, None, canned("public-read-write")), PUBLIC_WRITE),
    "granted to B": (
        Scene(
            WRITER,
            None,
            grants(FULL_CONTROL=[CANONICAL[A]], WRITE=[TO_B], READ_ACP=[TO_B]),
            grants(FULL_CONTROL=[CANONICAL[A]], READ=[TO_B]),
        ),
        GRANTED_TO_B,
    ),
    "a policy for everybody": (Scene(policy=FOR_EVERYBODY), POLICY_FOR_EVERYBODY),
    "the same, new ones blocked": (
        Scene(policy=FOR_EVERYBODY, block={"BlockPublicPolicy": True, "BlockPublicAcls": True}),
        POLICY_FOR_EVERYBODY,
    ),
    "the same, restricted": (
        Scene(policy=FOR_EVERYBODY, block={"RestrictPublicBuckets": True}),
        RESTRICTED,
    ),
    "the same, restricted by the account": (
        Scene(policy=FOR_EVERYBODY, account_block=PublicBlock(restrict_public_buckets=True)),
        RESTRICTED,
    ),
    "a policy for B": (
        Scene(policy=document(allow("*", ALL, Principal={"AWS": B}))),
        POLICY_FOR_B,
    ),
    "a policy for B, which is not public": (
        Scene(
            policy=document(allow("*", ALL, Principal={"AWS": f"arn:aws:iam::{B}:root"})),
            block={"RestrictPublicBuckets": True},
        ),
        POLICY_FOR_B,
    ),
    "a policy for A": (
        Scene(policy=document(allow("*", ALL, Principal={"AWS": A}))),
        POLICY_FOR_A,
    ),
    "all denied": (
        Scene(policy=document(deny("*", ALL, **EVERYBODY), allow("*", ALL, **EVERYBODY))),
        ALL_DENIED,
    ),
    "callers by name": (Scene(policy=BY_NAMES), BY_NAME),
    "an object of B's": (
        Scene(WRITER, FOR_EVERYBODY, object_owner=B),
        OBJECT_OF_B,
    ),
    "an object of B's, given to A": (
        Scene(WRITER, object_acl=canned("bucket-owner-full-control"), object_owner=B),
        OBJECT_GIVEN_TO_A,
    ),
    "an object of B's, taken over": (Scene(object_owner=B), PRIVATE),
}
"""Each with its table."""


def cells() -> Iterator[tuple[str, str, str, bool]]:
    """Scene, row, caller and what is expected."""
    for scene, (_, table) in SCENES.items():
        for line in table.strip().splitlines():
            row, *expected = line.split()
            for caller, mark in zip(CALLERS, expected, strict=True):
                yield scene, row, caller, {"Y": True, ".": False}[mark]


def test_every_table_has_every_row() -> None:
    for _, table in SCENES.values():
        assert [line.split()[0] for line in table.strip().splitlines()] == list(ROWS)


@pytest.mark.parametrize("scene", SCENES)
def test_the_table_of_a_scene(scene: str) -> None:
    made = SCENES[scene][0]
    wrong = [
        f"{caller} {row}: {decision.reason.text}"
        for name, row, caller, expected in cells()
        if name == scene
        for decision in [decide(made.access(caller, row))]
        if decision.allowed is not expected
    ]
    assert wrong == []
