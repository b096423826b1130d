"""Who gets what from an access control list."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.auth.identity import ALL_ACCOUNTS, ALL_USERS, ANONYMOUS, Principal
from s3front.authz.acl import (
    BUCKET_PERMISSIONS,
    CANNED_OF_BUCKETS,
    LOG_DELIVERY,
    OBJECT_PERMISSIONS,
    PERMISSIONS,
    canned_acl,
    explicit_acl,
    granted,
    grants_of,
    is_private_acl,
    is_public_acl,
)
from s3front.objects.object_record import PRIVATE_OBJECT_ACL
from shared.records.bucket import PRIVATE_BUCKET_ACL

BUCKET_OWNER = Principal("b" * 64, "Bucket", "111111111111", "arn:aws:iam::111111111111:root")
WRITER = Principal("c" * 64, "Writer", "222222222222", "arn:aws:iam::222222222222:root")
OTHER = Principal("d" * 64, "Other", "333333333333", "arn:aws:iam::333333333333:root")


def given(acl: Any, principal: Principal, *, ignore_public: bool = False) -> set[str]:
    """The permissions that a list of an object gives which ``WRITER`` owns."""
    return {
        permission
        for permission in PERMISSIONS
        if granted(
            acl,
            WRITER.canonical_id,
            BUCKET_OWNER.canonical_id,
            principal,
            permission,
            ignore_public=ignore_public,
        )
    }


ALL = set(PERMISSIONS)
CANNED: dict[str, tuple[set[str], set[str], set[str]]] = {
    # What the owner of the bucket, another account, and anybody get.
    "private": (set(), set(), set()),
    "public-read": ({"READ"}, {"READ"}, {"READ"}),
    "public-read-write": ({"READ", "WRITE"}, {"READ", "WRITE"}, {"READ", "WRITE"}),
    "authenticated-read": ({"READ"}, {"READ"}, set()),
    "bucket-owner-read": ({"READ"}, set(), set()),
    "bucket-owner-full-control": (ALL, set(), set()),
    "log-delivery-write": (set(), set(), set()),
}


@pytest.mark.parametrize("name", CANNED)
def test_what_a_canned_list_gives(name: str) -> None:
    acl = {"Canned": name}
    bucket_owner, other, anybody = CANNED[name]
    assert given(acl, WRITER) == ALL
    assert given(acl, BUCKET_OWNER) == bucket_owner
    assert given(acl, OTHER) == other
    assert given(acl, ANONYMOUS) == anybody


def test_every_canned_list_is_in_the_table() -> None:
    assert set(CANNED) == CANNED_OF_BUCKETS


@pytest.mark.parametrize("name", CANNED)
def test_nothing_for_strangers_where_public_lists_are_ignored(name: str) -> None:
    acl = {"Canned": name}
    assert given(acl, WRITER, ignore_public=True) == ALL
    assert given(acl, OTHER, ignore_public=True) == set()
    assert given(acl, ANONYMOUS, ignore_public=True) == set()
    kept = CANNED[name][0] if name.startswith("bucket-owner") else set()
    assert given(acl, BUCKET_OWNER, ignore_public=True) == kept


def test_what_was_given_one_by_one() -> None:
    grants = [(OTHER.canonical_id, "READ_ACP"), (ALL_ACCOUNTS, "READ"), (LOG_DELIVERY, "WRITE")]
    acl = explicit_acl(grants, of_bucket=True)
    assert given(acl, OTHER) == {"READ", "READ_ACP"}
    assert given(acl, BUCKET_OWNER) == {"READ"}
    assert given(acl, ANONYMOUS) == set()
    assert given(acl, WRITER) == {"READ"}, "nothing was left to the owner"


def test_full_control_is_all_of_it() -> None:
    acl = explicit_acl([(OTHER.canonical_id, "FULL_CONTROL")], of_bucket=False)
    assert given(acl, OTHER) == ALL
    reason = granted(acl, "", "", OTHER, "READ")
    assert reason == f"acl FULL_CONTROL {OTHER.canonical_id}"


def test_nobody_is_the_user_whose_id_is_everybody() -> None:
    """Anybody has the URI of everybody for an ID, and is no account."""
    assert given({"Canned": "", "READ": [ALL_USERS]}, ANONYMOUS, ignore_public=True) == set()


@pytest.mark.parametrize(
    "acl",
    [
        {"Canned": "everything"},
        {"Canned": 7},
        {"Canned": "", "READ": 7},
        {"Canned": "", "READ": [7]},
        {"Canned": "", "READ": [None]},
        {"Canned": "", "READ": {"ID": ALL_USERS}},
        "public-read",
        ["public-read"],
        7,
    ],
    ids=str,
)
def test_what_cannot_be_understood_gives_nothing(acl: Any) -> None:
    for principal in (WRITER, BUCKET_OWNER, OTHER, ANONYMOUS):
        assert given(acl, principal) == set()
    assert not is_public_acl(acl)
    assert not is_private_acl(acl, WRITER.canonical_id)


@pytest.mark.parametrize("acl", [None, {}, PRIVATE_BUCKET_ACL, PRIVATE_OBJECT_ACL])
def test_no_list_is_a_private_one(acl: Any) -> None:
    assert list(grants_of(acl, "me", "them")) == [("me", "FULL_CONTROL")]
    assert is_private_acl(acl, "me")
    assert not is_public_acl(acl)


@pytest.mark.parametrize("name", CANNED)
def test_which_canned_lists_are_public(name: str) -> None:
    acl = canned_acl(name, of_bucket=True)
    assert is_public_acl(acl) == (
        name in {"public-read", "public-read-write", "authenticated-read"}
    )
    private = name in {"private", "bucket-owner-read", "bucket-owner-full-control"}
    assert is_private_acl(acl, "me") == private


@pytest.mark.parametrize(
    ("grants", "public", "private"),
    [
        ([], False, True),
        ([("me", "FULL_CONTROL")], False, True),
        ([("me", "FULL_CONTROL"), ("you", "READ")], False, False),
        ([(ALL_USERS, "READ_ACP")], True, False),
        ([(ALL_ACCOUNTS, "WRITE")], True, False),
        ([(LOG_DELIVERY, "WRITE")], False, False),
    ],
)
def test_which_explicit_lists_are(
    grants: list[tuple[str, str]], public: bool, private: bool
) -> None:
    acl = explicit_acl(grants, of_bucket=True)
    assert (is_public_acl(acl), is_private_acl(acl, "me")) == (public, private)


def test_the_form_in_records() -> None:
    """It is CloudServer's, to the member."""
    assert canned_acl("private", of_bucket=True) == PRIVATE_BUCKET_ACL
    assert canned_acl("private", of_bucket=False) == PRIVATE_OBJECT_ACL
    twice = [("a", "READ"), ("b", "READ"), ("a", "READ")]
    assert explicit_acl(twice, of_bucket=False) == {
        "Canned": "",
        "FULL_CONTROL": [],
        "WRITE_ACP": [],
        "READ": ["a", "b"],
        "READ_ACP": [],
    }
    assert explicit_acl(twice, of_bucket=True)["WRITE"] == []
    assert explicit_acl([("a", "WRITE")], of_bucket=False)["WRITE"] == ["a"]


def test_actions_are_named_once() -> None:
    assert not set(BUCKET_PERMISSIONS) & set(OBJECT_PERMISSIONS)
    assert {*BUCKET_PERMISSIONS.values(), *OBJECT_PERMISSIONS.values()} == ALL - {"FULL_CONTROL"}
