"""What of a public access block counts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.authz.public_block import (
    FULL_BLOCK,
    NO_BLOCK,
    PUBLIC_BLOCK_MEMBER,
    SETTINGS,
    PublicBlock,
    block_in,
    block_of,
)
from shared.records.bucket import BucketRecord


@pytest.mark.parametrize("document", [None, {}, dict.fromkeys(SETTINGS, False)])
def test_no_block(document: Any) -> None:
    assert block_in(document) == NO_BLOCK


@pytest.mark.parametrize(
    "document", [dict.fromkeys(SETTINGS, True), dict.fromkeys(SETTINGS), "TRUE", 1, [True]], ids=str
)
def test_what_cannot_be_understood_blocks(document: Any) -> None:
    assert block_in(document) == FULL_BLOCK


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("BlockPublicAcls", PublicBlock(block_acls=True)),
        ("IgnorePublicAcls", PublicBlock(ignore_acls=True)),
        ("BlockPublicPolicy", PublicBlock(block_policy=True)),
        ("RestrictPublicBuckets", PublicBlock(restrict_buckets=True)),
    ],
)
def test_one_setting(name: str, block: PublicBlock) -> None:
    assert block_in({name: True}) == block
    assert block.and_also(NO_BLOCK) == NO_BLOCK.and_also(block) == block


def test_what_the_account_says_counts_as_well() -> None:
    created = datetime(2026, 1, 1, tzinfo=UTC)
    bucket = BucketRecord.create("bucket", "me", "Me", created, "here")
    assert block_of(bucket) == NO_BLOCK
    bucket = bucket.changed({PUBLIC_BLOCK_MEMBER: {"IgnorePublicAcls": True}})
    account = PublicBlock(block_policy=True)
    assert block_of(bucket) == PublicBlock(ignore_acls=True)
    assert block_of(bucket, account) == PublicBlock(ignore_acls=True, block_policy=True)
