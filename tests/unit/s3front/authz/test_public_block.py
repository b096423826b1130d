"""What of a public access block counts."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.authz.public_block import BLOCK_MEMBER, FULL_BLOCK, NO_BLOCK, PublicBlock, block_of

SETTINGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@pytest.mark.parametrize("document", [None, {}, dict.fromkeys(SETTINGS, False)])
def test_no_block(document: Any) -> None:
    assert block_of({BLOCK_MEMBER: document}) == NO_BLOCK
    assert block_of({}) == NO_BLOCK


@pytest.mark.parametrize(
    "document", [dict.fromkeys(SETTINGS, True), dict.fromkeys(SETTINGS), "TRUE", 1, [True]], ids=str
)
def test_what_cannot_be_understood_blocks(document: Any) -> None:
    assert block_of({BLOCK_MEMBER: document}) == FULL_BLOCK


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("BlockPublicAcls", PublicBlock(block_public_acls=True)),
        ("IgnorePublicAcls", PublicBlock(ignore_public_acls=True)),
        ("BlockPublicPolicy", PublicBlock(block_public_policy=True)),
        ("RestrictPublicBuckets", PublicBlock(restrict_public_buckets=True)),
    ],
)
def test_one_setting(name: str, block: PublicBlock) -> None:
    assert block_of({BLOCK_MEMBER: {name: True}}) == block
    assert block | NO_BLOCK == NO_BLOCK | block == block


def test_what_the_account_says_counts_as_well() -> None:
    bucket, account = PublicBlock(ignore_public_acls=True), PublicBlock(block_public_policy=True)
    assert bucket | account == PublicBlock(ignore_public_acls=True, block_public_policy=True)
