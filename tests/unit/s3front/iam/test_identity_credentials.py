"""Who signs with an access key."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from s3front.auth.credential_sources import Signer
from s3front.iam import following
from s3front.iam.access_key_changes import (
    create_access_key,
    delete_access_key,
    new_access_key,
    update_access_key,
)
from s3front.iam.account_changes import set_account_status
from s3front.iam.group_changes import create_group
from s3front.iam.holder_changes import attach, put_inline
from s3front.iam.policy_changes import create_policy, create_policy_version
from s3front.iam.records import INACTIVE, access_key_key
from s3front.iam.user_changes import add_to_group, create_user, delete_user
from s3front.keys import sealed_text
from s3front.keys.sealing import NO_KEYS, Keys
from s3front.s3_errors import S3Error
from tests.unit.s3front.iam.stored_identities import BART_ID, BART_KEY, READS, Front, new_keys
from tests.unit.s3front.metadata_twin import MetadataTwin


@pytest.fixture
def metadata() -> MetadataTwin:
    return MetadataTwin()


@pytest.fixture
async def front(metadata: MetadataTwin) -> Front:
    made = Front(metadata)
    await made.change(lambda d: create_user(d, BART_ID, "anna"))
    return made


class _Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def _names(signer: Signer | None) -> list[str]:
    assert signer is not None
    assert signer.principal.rights is not None
    return [policy.name for policy in signer.principal.rights.policies]


async def test_a_key_of_the_configuration_needs_no_metadata(metadata: MetadataTwin) -> None:
    metadata.is_away = True
    signer = await Front(metadata).credentials.find("accessKey1")
    assert signer is not None
    assert signer.secret == BART_KEY.secret
    assert signer.principal.rights is None


async def test_a_key_of_the_configuration_has_no_token(front: Front) -> None:
    for key in ("accessKey1", "none"):
        with pytest.raises(S3Error) as caught:
            await front.credentials.find(key, "token")
        assert caught.value.code == "InvalidToken"


async def test_the_key_of_a_user(front: Front) -> None:
    new = await front.make_key(BART_ID, "anna")
    signer = await front.credentials.find(new.record.id)
    assert signer is not None
    assert signer.secret == new.secret
    assert signer.principal.arn == f"arn:aws:iam::{BART_ID}:user/anna"
    assert await front.credentials.find(new.record.id) is signer


async def test_the_key_of_a_stored_account_is_root(front: Front) -> None:
    account_id = await front.make_account()
    new = await front.make_key(account_id, None)
    signer = await front.credentials.find(new.record.id)
    assert signer is not None
    assert signer.principal.rights is None
    assert signer.principal.arn == f"arn:aws:iam::{account_id}:root"


async def test_the_secret_is_nowhere_readable(front: Front) -> None:
    new = await front.make_key(BART_ID, "anna")
    assert not any(new.secret in text for text, _ in front.metadata.records.values())
    assert new.secret not in repr(new)
    assert new.secret not in repr(await front.credentials.find(new.record.id))


async def test_a_key_that_another_process_has_made_is_good_at_once(
    front: Front, metadata: MetadataTwin
) -> None:
    other = Front(metadata)
    await other.directory.refresh()
    new = await front.make_key(BART_ID, "anna")
    assert await other.credentials.find(new.record.id) is not None


async def test_a_key_that_another_process_has_enabled_is_good_at_once(
    front: Front, metadata: MetadataTwin
) -> None:
    new = await front.make_key(BART_ID, "anna")
    key_id, other = new.record.id, Front(metadata)
    await front.change(lambda d: update_access_key(d, BART_ID, "anna", key_id, status="Inactive"))
    assert await other.credentials.find(key_id) is None
    await front.change(lambda d: update_access_key(d, BART_ID, "anna", key_id, status="Active"))
    assert await other.credentials.find(key_id) is not None


async def test_a_key_that_was_disabled_or_removed_is_good_until_the_next_look(
    front: Front, metadata: MetadataTwin
) -> None:
    for change in ("disable", "remove"):
        new = await front.make_key(BART_ID, "anna")
        key_id, other = new.record.id, Front(metadata)
        assert await other.credentials.find(key_id) is not None
        if change == "disable":
            await front.change(
                lambda d, k=key_id: update_access_key(d, BART_ID, "anna", k, status="Inactive")  # type: ignore[misc]
            )
        else:
            await front.change(lambda d, k=key_id: delete_access_key(d, BART_ID, "anna", k))  # type: ignore[misc]
        assert await other.credentials.find(key_id) is not None
        await other.directory.refresh()
        assert await other.credentials.find(key_id) is None
        assert await front.credentials.find(key_id) is None


async def test_a_key_is_not_that_of_another_user_of_the_same_name(front: Front) -> None:
    new = await front.make_key(BART_ID, "anna")
    record = front.metadata.records["..iam", access_key_key(new.record.id)]
    await front.change(lambda d: delete_access_key(d, BART_ID, "anna", new.record.id))
    await front.change(lambda d: delete_user(d, BART_ID, "anna"))
    await front.change(lambda d: create_user(d, BART_ID, "anna"))
    front.directory.identities.apply({access_key_key(new.record.id): record[0]})
    front.directory.changed()
    assert await front.credentials.find(new.record.id) is None


async def test_a_key_expires(metadata: MetadataTwin) -> None:
    clock = _Clock(datetime.now(UTC).timestamp())
    front = Front(metadata, wall_clock=clock)
    await front.change(lambda d: create_user(d, BART_ID, "anna"))
    end = datetime.now(UTC) + timedelta(hours=1)
    new = await front.make_key(BART_ID, "anna", expires=end)
    assert await front.credentials.find(new.record.id) is not None
    clock.now += 3601
    assert await front.credentials.find(new.record.id) is None
    assert await Front(metadata, wall_clock=clock).credentials.find(new.record.id) is None


async def test_what_a_user_may_is_as_it_was_changed(front: Front) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    assert _names(await front.credentials.find(key_id)) == []
    await front.change(lambda d: put_inline(d, "user", BART_ID, "anna", ("own", READS)))
    assert _names(await front.credentials.find(key_id)) == ["user/anna/own"]
    await front.change(lambda d: create_group(d, BART_ID, "g"))
    await front.change(lambda d: put_inline(d, "group", BART_ID, "g", ("p", READS)))
    await front.change(lambda d: add_to_group(d, BART_ID, "g", "anna"))
    assert _names(await front.credentials.find(key_id)) == ["user/anna/own", "group/g/p"]
    policy = await front.change(lambda d: create_policy(d, BART_ID, "m", READS))
    await front.change(lambda d: attach(d, "group", BART_ID, "g", policy.arn))
    signer = await front.credentials.find(key_id)
    assert _names(signer)[-1] == policy.arn
    text = READS.replace("Get*", "List*")
    await front.change(
        lambda d: create_policy_version(d, BART_ID, policy.arn, text, set_as_default=True)
    )
    signer = await front.credentials.find(key_id)
    assert signer is not None
    assert signer.principal.rights is not None
    last = signer.principal.rights.policies[-1].policy
    assert last.document["Statement"][0]["Action"] == "s3:List*"


async def test_who_signs_is_remembered_when_others_are_changed(front: Front) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    signer = await front.credentials.find(key_id)
    await front.change(lambda d: create_user(d, BART_ID, "berta"))
    assert await front.credentials.find(key_id) is signer


async def test_an_account_is_suspended_with_its_users(front: Front) -> None:
    account_id = await front.make_account()
    await front.change(lambda d: create_user(d, account_id, "u"))
    keys = [(await front.make_key(account_id, user)).record.id for user in (None, "u")]
    await front.change(lambda d: set_account_status(d, account_id, "suspended"))
    for key_id in keys:
        signer = await front.credentials.find(key_id)
        assert signer is not None
        assert signer.principal.suspended


async def test_without_metadata_a_known_key_is_good_for_a_while_and_no_other_is_refused(
    metadata: MetadataTwin,
) -> None:
    clock = _Clock(100.0)
    front = Front(metadata, clock)
    await front.change(lambda d: create_user(d, BART_ID, "anna"))
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    await front.credentials.find(key_id)
    metadata.is_away = True
    assert await front.credentials.find(key_id) is not None
    with pytest.raises(S3Error) as caught:
        await front.credentials.find("AKIANONE")
    assert caught.value.code == "ServiceUnavailable"
    clock.now += following.FRESH_SECONDS
    with pytest.raises(S3Error) as caught:
        await front.credentials.find(key_id)
    assert caught.value.code == "ServiceUnavailable"


async def test_a_secret_is_opened_once_for_all_that_wait(
    front: Front, metadata: MetadataTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id
    opened = 0

    async def slow(keys: Keys, document: Mapping[str, str], name: str) -> str:
        nonlocal opened
        opened += 1
        await asyncio.sleep(0.01)
        return await sealed_text.open_text(keys, document, name)

    monkeypatch.setattr("s3front.iam.identity_credentials.open_text", slow)
    other = Front(metadata)
    finding = [asyncio.create_task(other.credentials.find(key_id)) for _ in range(10)]
    await asyncio.sleep(0.005)
    finding[0].cancel()
    found = await asyncio.gather(*finding[1:])
    assert all(signer is not None for signer in found)
    assert opened == 1
    await front.change(lambda d: put_inline(d, "user", BART_ID, "anna", ("own", READS)))
    await other.directory.refresh()
    assert _names(await other.credentials.find(key_id)) == ["user/anna/own"]
    assert opened == 1


@pytest.mark.parametrize("change", ["remove", "disable"])
async def test_a_key_that_is_withdrawn_while_its_secret_is_opened_is_none(
    front: Front, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    key_id = (await front.make_key(BART_ID, "anna")).record.id

    async def slow(keys: Keys, document: Mapping[str, str], name: str) -> str:
        if change == "remove":
            await front.change(lambda d: delete_access_key(d, BART_ID, "anna", key_id))
        else:
            await front.change(
                lambda d: update_access_key(d, BART_ID, "anna", key_id, status="Inactive")
            )
        return await sealed_text.open_text(keys, document, name)

    monkeypatch.setattr("s3front.iam.identity_credentials.open_text", slow)
    assert await front.credentials.find(key_id) is None


async def test_a_secret_whose_master_key_is_missing_makes_the_key_unavailable(
    front: Front,
) -> None:
    new = await front.make_key(BART_ID, "anna")
    front.keys = NO_KEYS
    with pytest.raises(S3Error) as caught:
        await front.credentials.find(new.record.id)
    assert caught.value.code == "ServiceUnavailable"
    assert new.secret not in repr(front.log.lines)
    front.keys = new_keys()
    assert await front.credentials.find(new.record.id) is not None


async def test_without_a_master_key_no_key_is_made(front: Front) -> None:
    front.keys = NO_KEYS
    with pytest.raises(S3Error, match="s3front keys create") as caught:
        await front.make_key(BART_ID, "anna")
    assert caught.value.code == "NotImplemented"


async def test_a_key_that_its_owner_does_not_name_is_none(front: Front) -> None:
    """So it is where a daemon without commits has died half-way."""
    account_id = await front.make_account()
    for owner, user in ((BART_ID, "anna"), (account_id, None)):
        key_id = (await front.make_key(owner, user)).record.id
        record = front.metadata.records["..iam", access_key_key(key_id)]
        await front.change(lambda d, o=owner, u=user, k=key_id: delete_access_key(d, o, u, k))  # type: ignore[misc]
        front.directory.identities.apply({access_key_key(key_id): record[0]})
        front.directory.changed()
        assert front.directory.access_key(key_id) is not None
        assert await front.credentials.find(key_id) is None


async def test_a_key_that_is_made_again_has_its_new_secret(front: Front) -> None:
    key_id = "AKIAOFANOTHERSERVER"
    for secret in ("the-first-secret", "the-second-secret"):
        new = await new_access_key(front.keys, BART_ID, "anna", given=(key_id, secret))
        await front.change(lambda d, new=new: create_access_key(d, new))  # type: ignore[misc]
        signer = await front.credentials.find(key_id)
        assert signer is not None
        assert signer.secret == secret
        await front.change(lambda d: delete_access_key(d, BART_ID, "anna", key_id))


async def test_a_secret_that_is_being_opened_is_not_taken_for_that_of_the_next_key(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_id = "AKIAOFANOTHERSERVER"

    async def make(secret: str) -> None:
        new = await new_access_key(front.keys, BART_ID, "anna", given=(key_id, secret))
        await front.change(lambda d: create_access_key(d, new))

    begun, done = asyncio.Event(), asyncio.Event()

    async def slow(keys: Keys, document: Mapping[str, str], name: str) -> str:
        begun.set()
        await done.wait()
        return await sealed_text.open_text(keys, document, name)

    await make("the-first-secret")
    monkeypatch.setattr("s3front.iam.identity_credentials.open_text", slow)
    first = asyncio.create_task(front.credentials.find(key_id))
    await begun.wait()
    await front.change(lambda d: delete_access_key(d, BART_ID, "anna", key_id))
    await make("the-second-secret")
    done.set()
    for signer in (await front.credentials.find(key_id), await first):
        assert signer is not None
        assert signer.secret == "the-second-secret"


async def test_whose_a_key_is_takes_no_secret(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_keys: Keys, _document: Mapping[str, str], _name: str) -> str:
        raise S3Error("ServiceUnavailable")

    monkeypatch.setattr("s3front.iam.identity_credentials.open_text", unreachable)
    new = await front.make_key(BART_ID, "anna")
    whose = front.credentials.whose
    found = await whose(new.record.id)
    assert found is not None
    assert found.user_name == "anna"
    await front.change(
        lambda d: update_access_key(d, BART_ID, "anna", new.record.id, status=INACTIVE)
    )
    assert await whose(new.record.id) is None
    of_file = await whose("accessKey1")
    assert of_file is not None
    assert of_file.account_id == BART_ID
    assert await whose("AKIAOFNOBODYATALL") is None
    with pytest.raises(S3Error, match="InvalidToken"):
        await whose("accessKey1", "token")


async def test_a_key_is_nobodys_once_it_has_expired(metadata: MetadataTwin) -> None:
    clock = _Clock(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    front = Front(metadata, wall_clock=clock)
    await front.change(lambda d: create_user(d, BART_ID, "anna"))
    tomorrow = datetime(2026, 1, 2, tzinfo=UTC)
    new = await front.make_key(BART_ID, "anna", expires=tomorrow)
    assert await front.credentials.whose(new.record.id) is not None
    clock.now += 86_400
    assert await front.credentials.whose(new.record.id) is None
