"""Which access control lists may be set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.auth.identity import ALL_ACCOUNTS, ALL_USERS
from s3front.authz.acl import canned_acl, explicit_acl
from s3front.authz.acl_limits import require_fits_ownership, require_settable
from s3front.authz.new_buckets import NewBuckets
from s3front.authz.ownership import ENFORCED, OWNERSHIP_MEMBER, OWNERSHIPS, PREFERRED, WRITER
from s3front.authz.public_block import BLOCK_MEMBER, FULL_BLOCK, NO_BLOCK, PublicBlock
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord

ME = "me"
FRESH = BucketRecord.create("bucket", ME, "Me", datetime(2026, 1, 1, tzinfo=UTC), "here")


def refusal(
    setting: str, acl: Any, block: PublicBlock = NO_BLOCK, *, own_block: Any = None
) -> str | None:
    """The code of the error, None: it may be set."""
    record = FRESH.changed({OWNERSHIP_MEMBER: setting, BLOCK_MEMBER: own_block})
    try:
        require_settable(record, acl, block)
    except S3Error as error:
        return error.code
    return None


def canned(name: str) -> dict[str, Any]:
    return canned_acl(name, of_bucket=False)


def granted(*grants: tuple[str, str]) -> dict[str, Any]:
    return explicit_acl(grants, of_bucket=False)


@pytest.mark.parametrize(
    "acl",
    [
        canned("private"),
        canned("public-read"),
        canned("bucket-owner-read"),
        granted(),
        granted((ME, "READ")),
        granted((ME, "FULL_CONTROL"), ("you", "READ")),
    ],
    ids=str,
)
def test_where_lists_do_not_count_there_are_none(acl: Any) -> None:
    assert refusal(ENFORCED, acl) == "AccessControlListNotSupported"
    assert refusal("SomethingNew", acl) == "AccessControlListNotSupported"
    assert refusal(PREFERRED, acl) is refusal(WRITER, acl) is None


@pytest.mark.parametrize(
    "acl", [canned("bucket-owner-full-control"), granted((ME, "FULL_CONTROL"))], ids=str
)
def test_what_holds_anyway_may_be_said(acl: Any) -> None:
    assert {refusal(setting, acl, FULL_BLOCK) for setting in OWNERSHIPS} == {None}


@pytest.mark.parametrize(
    ("acl", "public"),
    [
        (canned("public-read"), True),
        (canned("authenticated-read"), True),
        (granted((ALL_USERS, "WRITE_ACP")), True),
        (granted((ALL_ACCOUNTS, "READ")), True),
        (canned("private"), False),
        (granted(("you", "READ")), False),
    ],
    ids=str,
)
def test_public_ones_are_blocked_by_the_bucket_or_by_the_account(acl: Any, public: bool) -> None:
    expected = "AccessDenied" if public else None
    assert refusal(WRITER, acl) is None
    assert refusal(WRITER, acl, PublicBlock(block_public_acls=True)) == expected
    assert refusal(WRITER, acl, own_block={"BlockPublicAcls": True}) == expected
    assert refusal(WRITER, acl, own_block={"IgnorePublicAcls": True}) is None


@pytest.mark.parametrize("setting", OWNERSHIPS)
def test_a_list_and_a_setting_that_do_not_go_together(setting: str) -> None:
    require_fits_ownership(canned("private"), ME, setting)
    require_fits_ownership(granted(), ME, setting)
    for acl in (canned("public-read"), granted(("you", "READ")), {"Canned": "unknown"}):
        if setting != ENFORCED:
            require_fits_ownership(acl, ME, setting)
            continue
        with pytest.raises(S3Error, match="InvalidBucketAclWithObjectOwnership"):
            require_fits_ownership(acl, ME, setting)


# --- New buckets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "said", "stored"),
    [
        (ENFORCED, None, ENFORCED),
        (ENFORCED, WRITER, WRITER),
        (PREFERRED, None, PREFERRED),
        (WRITER, None, None),
        (WRITER, WRITER, WRITER),
        (WRITER, ENFORCED, ENFORCED),
    ],
)
def test_whose_objects_are_in_a_new_bucket(
    default: str, said: str | None, stored: str | None
) -> None:
    record = NewBuckets(default).begun(FRESH, said, None)
    assert record.document.get(OWNERSHIP_MEMBER) == stored
    assert BLOCK_MEMBER not in record.document


def test_a_new_bucket_may_be_closed_to_the_public() -> None:
    closed = NewBuckets(WRITER, blocks_public_access=True)
    block = closed.begun(FRESH, None, None).document[BLOCK_MEMBER]
    assert list(block.values()) == [True] * 4
    with pytest.raises(S3Error, match="AccessDenied"):
        closed.begun(FRESH, None, canned_acl("public-read", of_bucket=True))
    with pytest.raises(S3Error, match="AccessDenied"):
        NewBuckets(WRITER).begun(FRESH, None, canned_acl("public-read", of_bucket=True), FULL_BLOCK)


def test_the_list_of_a_new_bucket() -> None:
    public = canned_acl("public-read", of_bucket=True)
    assert NewBuckets().begun(FRESH, WRITER, public).document["acl"] == public
    with pytest.raises(S3Error, match="InvalidBucketAclWithObjectOwnership"):
        NewBuckets().begun(FRESH, None, public)
