"""Identities in our daemon, and in one that knows nothing but the original's calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from s3front.iam.access_key_changes import delete_access_key
from s3front.iam.account_changes import create_account, delete_account, stays
from s3front.iam.holder_changes import put_inline
from s3front.iam.iam_errors import IamError
from s3front.iam.last_used import last_use
from s3front.iam.user_changes import create_user, delete_user, update_user
from s3front.metadata.bucket_store import BucketEnding, BucketStore
from s3front.metadata.gateway import ChangedError, MetadataGateway
from shared.records.bucket import BucketRecord
from shared.records.times import now
from tests.interop.gateways import gateway_to
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, Front
from tests.unit.s3front.metadata_twin import MetadataTwin


@pytest.fixture(params=["ours", "foreign"])
async def metadata(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MetadataGateway]:
    async with gateway_to(request.param, tmp_path) as connected:
        yield connected


def front_of(metadata: MetadataGateway) -> Front:
    return Front(cast(MetadataTwin, metadata))  # what it asks for, both have


async def test_a_user_lives_as_usual(metadata: MetadataGateway) -> None:
    one, other = front_of(metadata), front_of(metadata)
    await one.change(lambda d: create_user(d, BART_ID, "Anna"))
    await one.change(lambda d: put_inline(d, "user", BART_ID, "anna", ("reads", READS)))
    new = await one.make_key(BART_ID, "anna")
    signer = await other.credentials.find(new.record.id)
    assert signer is not None
    assert signer.secret == new.secret
    assert signer.principal.rights is not None
    assert [policy.name for policy in signer.principal.rights.policies] == ["user/Anna/reads"]

    signer.used("s3", "here")
    await other.uses.flush()
    use = await last_use(metadata, new.record.id)
    assert use is not None
    assert use.region == "here"

    await one.change(lambda d: update_user(d, BART_ID, "anna", new_name="berta"))
    await other.directory.refresh()
    assert other.directory.user(BART_ID, "anna") is None
    assert await other.credentials.find(new.record.id) is not None
    with pytest.raises(IamError):
        await other.change(lambda d: delete_user(d, BART_ID, "berta"))
    await other.change(lambda d: delete_access_key(d, BART_ID, "berta", new.record.id))
    await one.directory.refresh()
    assert await one.credentials.find(new.record.id) is None
    assert await last_use(metadata, new.record.id) is None


async def test_what_was_never_used_is_removed(metadata: MetadataGateway) -> None:
    front = front_of(metadata)
    account = await front.change(lambda d: create_account(d, "A", "a@x.org"))
    new = await front.make_key(account.id, None)
    await front.change(lambda d: delete_access_key(d, account.id, None, new.record.id))
    await front.change(lambda d: delete_account(d, account.id))
    assert front.directory.account(account.id) is None


async def test_changes_come_to_all_in_the_end(metadata: MetadataGateway) -> None:
    fronts = [front_of(metadata) for _ in range(3)]
    for number in range(12):
        front = fronts[number % 3]
        await front.change(lambda d, n=number: create_user(d, BART_ID, f"user-{n:02}"))  # type: ignore[misc]
    await asyncio.gather(*(front.directory.refresh() for front in fronts))
    expected = [f"user/{BART_ID}/user-{number:02}" for number in range(12)]
    assert [list(front.directory.identities.keys(f"user/{BART_ID}")) for front in fronts] == [
        expected
    ] * 3


async def test_everything_is_read_in_several_packets(metadata: MetadataGateway) -> None:
    one = front_of(metadata)
    for number in range(40):
        await one.change(lambda d, n=number: create_user(d, BART_ID, f"u{n:03}" + "x" * 50))  # type: ignore[misc]
    other = front_of(metadata)
    await other.directory.refresh()
    assert len(other.directory.identities) == len(one.directory.identities) == 40


async def test_an_account_that_goes_gets_no_bucket(metadata: MetadataGateway) -> None:
    one, other = front_of(metadata), front_of(metadata)
    account = await one.change(lambda d: create_account(d, "A", "a@x.org"))
    await other.directory.refresh()
    buckets = BucketStore(metadata)

    async def make(name: str, account_id: str) -> None:
        owner = other.directory.account(account_id)
        assert owner is not None
        record = BucketRecord.create(name, owner.canonical_id, owner.name, now(), "here")
        await buckets.create(record, "test", stays(other.directory, account_id))

    await make("first", account.id)
    with pytest.raises(IamError, match="must delete buckets first"):
        await one.change(lambda d: delete_account(d, account.id))
    first = await buckets.read("first", "test")
    assert first is not None
    await buckets.delete(first, BucketEnding([], [], is_complete=True), "test")
    await one.change(lambda d: delete_account(d, account.id))
    with pytest.raises(ChangedError):
        await make("second", account.id)
    assert await buckets.read("second", "test") is None
    await make("third", BART_ID)
