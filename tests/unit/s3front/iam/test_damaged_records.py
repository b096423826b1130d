"""What is there and cannot be read is not written over, and keeps what it may refer to."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.iam.account_changes import create_account, create_alias
from s3front.iam.change import Decide
from s3front.iam.group_changes import create_group, delete_group, update_group
from s3front.iam.iam_errors import IamError
from s3front.iam.policy_changes import create_policy, delete_policy
from s3front.iam.provider_changes import create_provider
from s3front.iam.records import account_key, provider_key, user_key
from s3front.iam.role_changes import create_role
from s3front.iam.user_changes import create_user, update_user
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST, Front
from tests.unit.s3front.metadata_twin import MetadataTwin

OTHER_ID = "555555555555"


@pytest.fixture
def front() -> Front:
    return Front(MetadataTwin())


async def damage(front: Front, key: str, text: str = "{damaged") -> None:
    await front.following.commit({key: text}, "test")


@pytest.mark.parametrize("text", ["{damaged", '{"id": "AIDA"}'], ids=["nothing", "its-links"])
async def test_what_cannot_be_read_has_its_name(front: Front, text: str) -> None:
    """Also where as much is known as whom it refers to."""
    await front.change(lambda d: create_user(d, BART_ID, "ben"))
    await front.change(lambda d: create_group(d, BART_ID, "staff"))
    keys = [f"{kind}/{BART_ID}/anna" for kind in ("user", "group", "role", "policy")]
    keys += [provider_key(BART_ID, "id.example.com"), account_key(OTHER_ID)]
    for key in keys:
        await damage(front, key, text)
    changes: tuple[Decide[Any], ...] = (
        lambda d: create_user(d, BART_ID, "Anna"),
        lambda d: update_user(d, BART_ID, "ben", new_name="anna"),
        lambda d: create_group(d, BART_ID, "anna"),
        lambda d: update_group(d, BART_ID, "staff", new_name="anna"),
        lambda d: create_role(d, BART_ID, "anna", TRUST),
        lambda d: create_policy(d, BART_ID, "anna", READS),
        lambda d: create_provider(d, BART_ID, "https://id.example.com"),
        lambda d: create_account(d, "Other", "o@x.org", account_id=OTHER_ID),
    )
    for make in changes:
        with pytest.raises(IamError) as caught:
            await front.change(make)
        assert caught.value.code == "EntityAlreadyExists"
    assert [front.directory.identities.text(key) for key in keys] == [text] * len(keys)


async def test_what_may_be_referred_to_is_not_removed(front: Front) -> None:
    policy = await front.change(lambda d: create_policy(d, BART_ID, "p", READS))
    await front.change(lambda d: create_group(d, BART_ID, "staff"))
    deletions: tuple[Decide[None], ...] = (
        lambda d: delete_policy(d, BART_ID, policy.arn),
        lambda d: delete_group(d, BART_ID, "staff"),
    )
    await damage(front, user_key(OTHER_ID, "zoe"))
    await damage(front, user_key(BART_ID, "anna"))
    for delete in deletions:
        with pytest.raises(IamError, match="anna cannot be read") as caught:
            await front.change(delete)
        assert caught.value.code == "DeleteConflict"
    await front.following.commit({user_key(BART_ID, "anna"): None}, "test")
    for delete in deletions:
        await front.change(delete)


async def test_an_account_of_the_configuration_keeps_what_cannot_be_read(front: Front) -> None:
    """It is there without its record, which may name access keys."""
    await damage(front, account_key(BART_ID))
    with pytest.raises(IamError, match="cannot be read") as caught:
        await front.change(lambda d: create_alias(d, BART_ID, "barts"))
    assert caught.value.code == "ServiceFailure"
    assert front.directory.identities.text(account_key(BART_ID)) == "{damaged"
