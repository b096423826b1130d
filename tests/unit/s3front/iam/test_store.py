"""Changes are decided on all that is stored, and made only if that is still so."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from s3front.iam import quotas
from s3front.iam.account_changes import delete_account
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.user_changes import create_user, delete_user
from s3front.metadata import gateway
from s3front.s3_errors import S3Error
from shared.records.names import SPLITTER, USERS_BUCKET
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin


async def test_a_change_is_known_here_at_once_and_elsewhere_after_a_look() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await other.directory.refresh()
    user = await one.change(lambda d: create_user(d, BART_ID, "Anna"))
    assert one.directory.user(BART_ID, "anna") == user
    assert other.directory.user(BART_ID, "anna") is None
    await other.directory.refresh()
    assert other.directory.user(BART_ID, "anna") == user


async def test_a_change_is_decided_on_what_others_have_done() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await one.change(lambda d: create_user(d, BART_ID, "Anna"))
    with pytest.raises(IamError) as caught:
        await other.change(lambda d: create_user(d, BART_ID, "ANNA"))
    assert caught.value.code == "EntityAlreadyExists"
    await other.change(lambda d: delete_user(d, BART_ID, "Anna"))
    await one.directory.refresh()
    assert one.directory.user(BART_ID, "Anna") is None


async def test_of_two_that_make_the_same_at_once_one_does() -> None:
    metadata = MetadataTwin()
    fronts = [Front(metadata) for _ in range(3)]
    results = await asyncio.gather(
        *(front.change(lambda d: create_user(d, BART_ID, "Anna")) for front in fronts),
        return_exceptions=True,
    )
    errors = [each for each in results if isinstance(each, IamError)]
    assert [error.code for error in errors] == ["EntityAlreadyExists"] * 2


async def test_changes_at_once_are_all_made() -> None:
    metadata = MetadataTwin()
    fronts = [Front(metadata) for _ in range(3)]

    async def make(front: Front, name: str) -> None:
        await front.change(lambda d: create_user(d, BART_ID, name))

    await asyncio.gather(
        *(
            make(front, f"u{number}-{index}")
            for number in range(5)
            for index, front in enumerate(fronts)
        )
    )
    for front in fronts:
        await front.directory.refresh()
        assert len(front.directory.identities.keys(f"user/{BART_ID}")) == 15


async def test_what_changes_nothing_is_no_commit() -> None:
    metadata = MetadataTwin()
    assert await Front(metadata).change(lambda _: Change({}, 7)) == 7
    assert not metadata.commits


async def test_metadata_that_are_away_refuse_changes_as_unavailable() -> None:
    metadata = MetadataTwin()
    metadata.is_away = True
    with pytest.raises(S3Error) as caught:
        await Front(metadata).change(lambda d: create_user(d, BART_ID, "Anna"))
    assert caught.value.code == "ServiceUnavailable"


async def test_a_change_that_never_gets_its_turn_says_so() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    number = 0

    def decide(directory: Directory) -> Change[object]:
        return create_user(directory, BART_ID, "Anna")  # type: ignore[return-value]

    commit = one.following.commit

    async def late(*arguments: object) -> None:
        nonlocal number
        number += 1
        await other.change(lambda d: create_user(d, BART_ID, f"other{number}"))
        await commit(*arguments)  # type: ignore[arg-type]

    one.following.commit = late  # type: ignore[method-assign, assignment]
    one.store.pause_seconds_max = 0.0
    with pytest.raises(IamError) as caught:
        await one.change(decide)
    assert caught.value.code == "ConcurrentModification"


async def test_an_account_with_buckets_is_not_removed() -> None:
    metadata = MetadataTwin()
    front = Front(metadata)
    account_id = await front.make_account()
    account = front.directory.account(account_id)
    assert account is not None
    entry = f"{account.canonical_id}{SPLITTER}bucket"
    await metadata.commit([gateway.put(USERS_BUCKET, entry, "{}")], [], "test")
    with pytest.raises(IamError, match="must delete buckets first") as caught:
        await front.change(lambda d: delete_account(d, account_id))
    assert caught.value.code == "DeleteConflict"
    await metadata.commit([gateway.delete(USERS_BUCKET, entry)], [], "test")
    await front.change(lambda d: delete_account(d, account_id))
    assert front.directory.account(account_id) is None


async def test_an_account_has_no_more_than_front_ends_can_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quotas, "IDENTITY_BYTES_MAX", 5_000)
    front = Front(MetadataTwin())

    async def make_users() -> None:
        for number in range(100):
            await front.change(partial(create_user, account_id=BART_ID, name=f"u{number}"))

    with pytest.raises(IamError) as caught:
        await make_users()
    assert caught.value.code == "LimitExceeded"
    assert "IdentityBytesPerAccount: 5000" in str(caught.value)
    made = len(front.directory.identities.keys(f"user/{BART_ID}"))
    assert 2 < made < 10
    size = front.directory.identities.size(BART_ID)
    assert size <= 5_000
    # What takes no more room is done, of whatever there is too much.
    monkeypatch.setattr(quotas, "IDENTITY_BYTES_MAX", 1_000)
    await front.change(partial(delete_user, account_id=BART_ID, name="u0"))
    assert front.directory.identities.size(BART_ID) < size
