"""Access keys are made, changed and removed."""

from __future__ import annotations

import pytest

from s3front.iam.access_key_changes import (
    create_access_key,
    delete_access_key,
    new_access_key,
    update_access_key,
)
from s3front.iam.iam_errors import IamError
from s3front.iam.last_used import last_use
from s3front.iam.user_changes import create_user, delete_user
from shared.records.names import IAM_LAST_USED
from tests.unit.s3front.iam.stored_identities import BART_ID, Front, new_keys
from tests.unit.s3front.metadata_twin import MetadataTwin


@pytest.fixture
async def front() -> Front:
    made = Front(MetadataTwin())
    await made.change(lambda d: create_user(d, BART_ID, "anna"))
    return made


async def test_two_of_a_user_and_two_of_an_account(front: Front) -> None:
    for user in ("anna", None):
        made = [await front.make_key(BART_ID, user) for _ in range(2)]
        with pytest.raises(IamError) as caught:
            await front.make_key(BART_ID, user)
        assert caught.value.code == "LimitExceeded"
        await front.change(
            lambda d, u=user, k=made[0].record.id: delete_access_key(d, BART_ID, u, k)  # type: ignore[misc]
        )
        await front.make_key(BART_ID, user)


async def test_a_user_with_keys_is_not_removed(front: Front) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    with pytest.raises(IamError) as caught:
        await front.change(lambda d: delete_user(d, BART_ID, "anna"))
    assert caught.value.code == "DeleteConflict"
    await front.change(lambda d: delete_access_key(d, BART_ID, "anna", key_id))
    await front.change(lambda d: delete_user(d, BART_ID, "anna"))


async def test_a_key_of_somebody_else_is_not_found(front: Front) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    await front.change(lambda d: create_user(d, BART_ID, "berta"))
    for user in ("berta", None, "nobody"):
        with pytest.raises(IamError) as caught:
            await front.change(
                lambda d, u=user: update_access_key(d, BART_ID, u, key_id, status="Inactive")  # type: ignore[misc]
            )
        assert caught.value.code == "NoSuchEntity"


async def test_a_key_from_elsewhere_can_be_brought_along(front: Front) -> None:
    given = ("OLDSERVERACCESSKEY", "its/secret+key")
    new = await new_access_key(new_keys(), BART_ID, "anna", given=given)
    await front.change(lambda d: create_access_key(d, new))
    signer = await front.credentials.find(given[0])
    assert signer is not None
    assert signer.secret == given[1]
    again = await new_access_key(new_keys(), BART_ID, "anna", given=given)
    with pytest.raises(IamError) as caught:
        await front.change(lambda d: create_access_key(d, again))
    assert caught.value.code == "EntityAlreadyExists"


@pytest.mark.parametrize(
    "given",
    [("short", "longenough"), ("a" * 129, "longenough"), ("A" * 16, "x"), ("A" * 20, "ä" * 9)],
)
async def test_keys_that_cannot_be(given: tuple[str, str]) -> None:
    with pytest.raises(IamError) as caught:
        await new_access_key(new_keys(), BART_ID, "anna", given=given)
    assert caught.value.code == "ValidationError"


async def test_the_last_use_of_a_key_is_written_now_and_then(front: Front) -> None:
    now = 0.0
    uses = front.uses
    uses._clock = lambda: now
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    signer = await front.credentials.find(key_id)
    assert signer is not None
    assert await last_use(front.metadata, key_id) is None
    commits = front.metadata.commits
    for _ in range(10):
        signer.used("s3", "us-east-1")
    await uses.flush()
    first = await last_use(front.metadata, key_id)
    assert first is not None
    assert (first.service, first.region) == ("s3", "us-east-1")
    signer.used("iam", "eu-west-1")
    await uses.flush()
    assert front.metadata.commits == commits + 1
    now = 301.0
    signer.used("iam", "eu-west-1")
    await uses.flush()
    second = await last_use(front.metadata, key_id)
    assert second is not None
    assert second.service == "iam"


async def test_what_cannot_be_written_waits(front: Front) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    front.uses.of(key_id)("s3", "here")
    front.metadata.is_away = True
    await front.uses.flush()
    front.metadata.is_away = False
    await front.uses.flush()
    assert await last_use(front.metadata, key_id) is not None


async def test_nothing_is_known_of_a_key_that_is_gone(front: Front) -> None:
    made = [(await front.make_key(BART_ID, "anna")).record.id for _ in range(2)]
    for key_id in made:
        front.uses.of(key_id)("s3", "here")
    await front.change(lambda d: delete_access_key(d, BART_ID, "anna", made[0]))
    await front.uses.flush()
    assert await last_use(front.metadata, made[0]) is None
    assert await last_use(front.metadata, made[1]) is not None
    await front.change(lambda d: delete_access_key(d, BART_ID, "anna", made[1]))
    assert front.metadata.text(IAM_LAST_USED, made[1]) is None
