"""Temporary credentials: given out by one front-end, known to all, gone with what they are of."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from s3front.auth.credential_sources import Signer
from s3front.iam.account_changes import set_account_status
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.holder_changes import attach, put_inline
from s3front.iam.iam_errors import IamError
from s3front.iam.policy_changes import create_policy
from s3front.iam.provider_keys import ProviderKeys
from s3front.iam.records import SESSIONS_KEY, SealingKeys
from s3front.iam.role_changes import create_role, delete_role, revoke_sessions
from s3front.iam.sealing_keys import (
    KEPT_MAX,
    LONGEST_SESSION,
    SealingKeyring,
    replaced,
    sealed_key,
)
from s3front.iam.session_principals import INLINE_NAME
from s3front.iam.session_service import TOKENS_MAX, Issued, SessionService
from s3front.iam.sessions import Kind, Passed, Session, pack, sealing_key_id
from s3front.iam.user_changes import create_user
from s3front.keys.file_keyring import MemoryKeyring
from s3front.keys.sealing import NO_KEYS, Keys
from s3front.s3_errors import S3Error
from shared.process.logs import get_logger
from shared.records.names import IAM
from shared.records.times import from_iso
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST, Front
from tests.unit.s3front.metadata_twin import MetadataTwin

KEYRING = MemoryKeyring(b64encode(bytes(32)).decode())
KEYS = Keys({KEYRING.name: KEYRING}, KEYRING)
NOW = 1_800_000_000


class SessionFront(Front):
    """A front-end that gives out temporary credentials."""

    def __init__(self, metadata: MetadataTwin, keys: Callable[[], Keys] = lambda: KEYS) -> None:
        super().__init__(metadata)
        self.now = float(NOW)
        self.service = SessionService(
            self.directory,
            SealingKeyring(self.directory, self.store, keys, get_logger()),
            ProviderKeys(_nobody, get_logger()),
            lambda: self.now,
        )

    async def begin(self, **changed: object) -> Issued:
        """Credentials of a session of the role ``reader``, or of another one."""
        role = self.directory.role(BART_ID, "reader")
        usual = Session(
            Kind.ROLE,
            "",
            BART_ID,
            "reader",
            "" if role is None else role.id,
            NOW,
            NOW + 900,
            "me",
        )
        return await self.service.issue(replace(usual, **changed))

    async def found(self, issued: Issued) -> Signer:
        signer = await self.service.find(issued.access_key, issued.token)
        assert signer is not None
        assert signer.secret == issued.secret
        return signer


async def _nobody(_place: str) -> dict[str, dict[str, str]]:
    raise AssertionError


@pytest.fixture
async def fronts() -> tuple[SessionFront, SessionFront]:
    """Two of one store, with a role."""
    metadata = MetadataTwin()
    one, other = SessionFront(metadata), SessionFront(metadata)
    tags = [("team", "red"), ("kind", "robot")]
    await one.change(lambda d: create_role(d, BART_ID, "reader", TRUST, path="/x/", tags=tags))
    return one, other


Fronts = tuple[SessionFront, SessionFront]


async def test_a_session_of_a_role(fronts: Fronts) -> None:
    one, other = fronts
    passed = pack(Passed(tags={"team": "blue"}, transitive=("team",)))
    issued = await one.begin(
        packed=passed, source_identity="anna", provider="id.example.com", claims={"a:sub": ("x",)}
    )
    # Nothing is told to the other front-end but what is stored.
    principal = (await other.found(issued)).principal
    assert principal.arn == f"arn:aws:sts::{BART_ID}:assumed-role/reader/me"
    assert principal.role_arn == f"arn:aws:iam::{BART_ID}:role/x/reader"
    role = other.directory.role(BART_ID, "reader")
    assert role is not None
    assert (principal.user_id, principal.user_name) == (f"{role.id}:me", None)
    assert (principal.account_id, principal.name, principal.kind) == (
        BART_ID,
        "Bart",
        "AssumedRole",
    )
    assert principal.federated == f"arn:aws:iam::{BART_ID}:oidc-provider/id.example.com"
    assert principal.tags == {"team": "blue", "kind": "robot"}
    assert principal.transitive_tags == ("team",)
    assert principal.is_temporary
    assert principal.keys == {
        "a:sub": ("x",),
        "aws:tokenissuetime": ("2027-01-15T08:00:00Z",),
        "aws:multifactorauthpresent": ("false",),
        "aws:sourceidentity": ("anna",),
    }


async def test_a_tag_of_a_session_takes_the_place_of_one_in_other_letters(fronts: Fronts) -> None:
    passed = pack(Passed(tags={"TEAM": "blue"}))
    issued = await fronts[0].begin(packed=passed)
    assert (await fronts[1].found(issued)).principal.tags == {"kind": "robot", "TEAM": "blue"}


async def test_credentials_have_the_forms_of_aws(fronts: Fronts) -> None:
    issued = await fronts[0].begin()
    assert issued.access_key.startswith("ASIA")
    assert (len(issued.access_key), len(issued.secret)) == (20, 40)
    assert issued.expires == NOW + 900
    assert issued.secret not in repr(issued)
    assert issued.token not in repr(issued)


async def test_a_token_is_of_one_access_key(fronts: Fronts) -> None:
    one, other = fronts
    first, second = await one.begin(), await one.begin()
    for front in (one, other):
        for _ in range(2):
            with pytest.raises(S3Error, match="InvalidToken") as refused:
                await front.service.find(first.access_key, second.token)
            assert refused.value.fields == {"Token-0": second.token}
            await front.found(second)


async def test_more_than_a_token_has_room_for(fronts: Fronts) -> None:
    await fronts[0].begin(claims={"a:sub": ("x" * 5000,)})
    with pytest.raises(IamError) as refused:
        await fronts[0].begin(claims={"a:sub": ("x" * 6500,)})
    assert refused.value.code == "PackedPolicyTooLarge"


@pytest.mark.parametrize("token", ["", "x", "A" * 400, "\udc80", "FwoGZXIvYXdzEXAMPLE"])
async def test_what_is_no_token(fronts: Fronts, token: str) -> None:
    with pytest.raises(S3Error, match="InvalidToken"):
        await fronts[0].service.find("ASIAAAAAAAAAAAAAAAAA", token)


async def test_a_token_of_another_installation(fronts: Fronts) -> None:
    foreign = SessionFront(MetadataTwin())
    await foreign.change(lambda d: create_role(d, BART_ID, "reader", TRUST))
    issued = await foreign.begin()
    with pytest.raises(S3Error, match="InvalidToken"):
        await fronts[0].service.find(issued.access_key, issued.token)


async def test_a_session_ends(fronts: Fronts) -> None:
    one, other = fronts
    issued = await one.begin()
    one.now = other.now = NOW + 899.9
    await one.found(issued)
    one.now = other.now = NOW + 900.0
    for front in (one, other):
        with pytest.raises(S3Error, match="ExpiredToken") as refused:
            await front.service.find(issued.access_key, issued.token)
        assert refused.value.status == 400


async def test_what_a_session_may_is_what_its_role_may_now(fronts: Fronts) -> None:
    one, other = fronts
    issued = await one.begin()
    signer = await other.found(issued)
    assert await other.found(issued) is signer
    await one.change(lambda d: put_inline(d, "role", BART_ID, "reader", ("reads", READS)))
    await other.directory.refresh()
    rights = (await other.found(issued)).principal.rights
    assert rights is not None
    assert [each.name for each in rights.policies] == ["role/reader/reads"]
    assert rights.session is None


async def test_session_policies(fronts: Fronts) -> None:
    one, other = fronts
    policy = await one.change(lambda d: create_policy(d, BART_ID, "managed", READS))
    aws = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    gone = f"arn:aws:iam::{BART_ID}:policy/gone"
    issued = await one.begin(packed=pack(Passed(READS, (policy.arn, aws, gone, "junk"))))
    rights = (await other.found(issued)).principal.rights
    assert rights is not None
    assert rights.session is not None
    by_name = {each.name: each.policy.document for each in rights.session}
    assert set(by_name) == {INLINE_NAME, policy.arn, aws, gone, "junk"}
    assert by_name[INLINE_NAME]["Statement"][0]["Action"] == "s3:Get*"
    assert by_name[gone] == by_name["junk"] == {}  # denies everything


async def test_managed_session_policies_alone(fronts: Fronts) -> None:
    issued = await fronts[0].begin(packed=pack(Passed(policy_arns=(ADMINISTRATOR,))))
    rights = (await fronts[1].found(issued)).principal.rights
    assert rights is not None
    assert [each.name for each in rights.session or ()] == [ADMINISTRATOR]


async def test_the_sessions_of_a_role_that_is_removed_are_over(fronts: Fronts) -> None:
    one, other = fronts
    issued = await one.begin()
    await other.found(issued)
    await one.change(lambda d: delete_role(d, BART_ID, "reader"))
    await other.directory.refresh()
    assert await other.service.find(issued.access_key, issued.token) is None
    # Another one of its name is not the same.
    await one.change(lambda d: create_role(d, BART_ID, "reader", TRUST))
    assert await one.service.find(issued.access_key, issued.token) is None
    assert await other.service.find(issued.access_key, issued.token) is None


async def test_a_role_that_was_made_elsewhere_a_moment_ago(fronts: Fronts) -> None:
    one, other = fronts
    await other.found(await one.begin())  # it knows the key that seals tokens
    await one.change(lambda d: create_role(d, BART_ID, "new", TRUST))
    role = one.directory.role(BART_ID, "new")
    assert role is not None
    issued = await one.begin(entity="new", entity_id=role.id)
    assert (await other.found(issued)).principal.role_arn == role.arn


async def test_sessions_that_were_revoked(fronts: Fronts) -> None:
    one, other = fronts
    issued, later = await one.begin(), await one.begin(issued=NOW + 1)

    before = datetime.fromtimestamp(NOW + 1, UTC)
    await one.change(lambda d: revoke_sessions(d, BART_ID, "reader", before))
    assert await one.service.find(issued.access_key, issued.token) is None
    assert await other.service.find(issued.access_key, issued.token) is None
    await other.found(later)


async def test_a_session_of_an_account_that_is_suspended(fronts: Fronts) -> None:
    one, _ = fronts
    account_id = await one.make_account()
    role = await one.change(lambda d: create_role(d, account_id, "reader", TRUST))
    issued = await one.begin(account_id=account_id, entity_id=role.id)
    assert not (await one.found(issued)).principal.suspended
    await one.change(lambda d: set_account_status(d, account_id, "suspended"))
    assert (await one.found(issued)).principal.suspended


async def test_a_session_of_a_user(fronts: Fronts) -> None:
    one, other = fronts
    tags = [("team", "red")]
    user = await one.change(lambda d: create_user(d, BART_ID, "Anna", tags=tags))
    await one.change(lambda d: put_inline(d, "user", BART_ID, "Anna", ("reads", READS)))
    issued = await one.begin(kind=Kind.SELF, entity="Anna", entity_id=user.id, name="")
    principal = (await other.found(issued)).principal
    assert (principal.arn, principal.kind, principal.user_name) == (user.arn, "User", "Anna")
    assert principal.is_temporary
    assert principal.tags == {"team": "red"}
    assert principal.rights is not None
    assert [each.name for each in principal.rights.policies] == ["user/Anna/reads"]
    await one.change(lambda d: remove_user(d, "Anna"))
    assert await one.service.find(issued.access_key, issued.token) is None
    await one.change(lambda d: create_user(d, BART_ID, "Anna"))
    assert await one.service.find(issued.access_key, issued.token) is None


def remove_user(directory: Directory, name: str) -> Change[None]:
    """Whatever it has."""
    user = directory.user(BART_ID, name)
    assert user is not None
    return Change({user.key: None}, None)


async def test_a_session_of_an_account_itself(fronts: Fronts) -> None:
    issued = await fronts[0].begin(kind=Kind.SELF, entity="", entity_id="", name="")
    principal = (await fronts[1].found(issued)).principal
    assert principal.arn == f"arn:aws:iam::{BART_ID}:root"
    assert principal.rights is None
    assert principal.is_temporary


async def test_somebody_whom_a_user_vouches_for(fronts: Fronts) -> None:
    one, other = fronts
    user = await one.change(lambda d: create_user(d, BART_ID, "Anna"))
    await one.change(lambda d: attach(d, "user", BART_ID, "Anna", ADMINISTRATOR))
    issued = await one.begin(
        kind=Kind.FEDERATED,
        entity="Anna",
        entity_id=user.id,
        name="guest",
        packed=pack(Passed(READS, tags={"a": "b"})),
    )
    principal = (await other.found(issued)).principal
    assert principal.arn == f"arn:aws:sts::{BART_ID}:federated-user/guest"
    assert (principal.kind, principal.user_id) == ("FederatedUser", f"{BART_ID}:guest")
    assert (principal.user_name, principal.tags) == (None, {"a": "b"})
    assert principal.rights is not None
    assert [each.name for each in principal.rights.policies] == [ADMINISTRATOR]
    assert [each.name for each in principal.rights.session or ()] == [INLINE_NAME]


async def test_without_a_session_policy_a_federated_user_may_nothing(fronts: Fronts) -> None:
    one, _ = fronts
    issued = await one.begin(kind=Kind.FEDERATED, entity="", entity_id="", name="guest")
    rights = (await one.found(issued)).principal.rights
    assert rights is not None
    assert [each.name for each in rights.policies] == [ADMINISTRATOR]
    assert rights.session == []


ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


# --- The key that seals tokens ------------------------------------------------------------------


async def test_the_key_that_seals_tokens_is_sealed_itself(fronts: Fronts) -> None:
    one, _ = fronts
    await one.begin()
    key = await one.service.sealing.current()
    text = one.metadata.text(IAM, SESSIONS_KEY)
    assert text is not None
    assert key.secret.hex() not in text
    assert key.key_id in text


async def test_two_front_ends_that_need_a_key_at_once_have_one(fronts: Fronts) -> None:
    one, other = fronts
    await other.directory.refresh()
    first, second = await asyncio.gather(one.begin(), other.begin())
    await other.found(first)
    await one.found(second)
    record = one.directory.identities.get(SealingKeys, SESSIONS_KEY)
    assert record is not None
    assert len(record.keys) == 1


async def test_without_a_master_key_there_are_no_sessions() -> None:
    front = SessionFront(MetadataTwin(), lambda: NO_KEYS)
    with pytest.raises(S3Error, match="s3front keys create") as refused:
        await front.begin()
    assert refused.value.code == "NotImplemented"
    with pytest.raises(S3Error, match="InvalidToken"):
        await front.service.find("ASIAAAAAAAAAAAAAAAAA", "A" * 300)


async def test_a_sealing_key_that_was_removed(fronts: Fronts) -> None:
    one, other = fronts
    issued = await one.begin()
    await other.found(issued)
    await one.change(lambda d: Change({SESSIONS_KEY: None}, None))
    await other.directory.refresh()
    for front in (one, other):
        with pytest.raises(S3Error, match="InvalidToken"):
            await front.service.find(issued.access_key, issued.token)
    assert await one.begin() != issued


async def test_another_key_for_new_tokens(fronts: Fronts) -> None:
    one, other = fronts
    before = await one.begin()
    entry = await sealed_key(KEYS)
    at = from_iso(entry.created)
    assert await one.change(lambda d: replaced(d, entry, at, end_sessions=False)) == 1
    after = await one.begin()
    assert sealing_key_id(after.token) == entry.id != sealing_key_id(before.token)
    for front in fronts:
        await front.found(before)
        await front.found(after)
    # Once no session can be of it, the first key goes.
    last = await sealed_key(KEYS)
    later = at + LONGEST_SESSION
    assert await one.change(lambda d: replaced(d, last, later, end_sessions=False)) == 1
    await other.directory.refresh()
    await other.found(after)
    with pytest.raises(S3Error, match="InvalidToken"):
        await other.found(before)


async def test_all_sessions_are_ended(fronts: Fronts) -> None:
    one, other = fronts
    issued = await one.begin()
    await other.found(issued)
    entry = await sealed_key(KEYS)
    at = from_iso(entry.created)
    assert await one.change(lambda d: replaced(d, entry, at, end_sessions=True)) == 0
    await other.directory.refresh()
    for front in fronts:
        with pytest.raises(S3Error, match="InvalidToken"):
            await front.found(issued)
        await front.found(await one.begin())


async def test_how_many_keys_are_kept(fronts: Fronts) -> None:
    one, _ = fronts
    await one.begin()
    for _ in range(KEPT_MAX + 5):
        entry = await sealed_key(KEYS)
        at = from_iso(entry.created)
        await one.change(lambda d, e=entry, at=at: replaced(d, e, at, end_sessions=False))  # type: ignore[misc]
    record = one.directory.identities.get(SealingKeys, SESSIONS_KEY)
    assert record is not None
    assert len(record.keys) == KEPT_MAX + 1


async def test_a_session_of_the_second_in_which_others_were_revoked(fronts: Fronts) -> None:
    one, _ = fronts
    at = datetime.fromtimestamp(NOW + 0.25, UTC)
    issued, later = await one.begin(), await one.begin(issued=NOW + 1)
    await one.change(lambda d: revoke_sessions(d, BART_ID, "reader", at))
    assert await one.service.find(issued.access_key, issued.token) is None
    await one.found(later)


async def test_a_master_key_that_is_gone(fronts: Fronts) -> None:
    one, _ = fronts
    issued = await one.begin()
    for keys in (NO_KEYS, _other_keys()):
        other = SessionFront(one.metadata, lambda keys=keys: keys)  # type: ignore[misc]
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await other.found(issued)


def _other_keys() -> Keys:
    keyring = MemoryKeyring(b64encode(bytes([1] * 32)).decode())
    return Keys({keyring.name: keyring}, keyring)


async def test_how_many_tokens_are_remembered(fronts: Fronts) -> None:
    one, _ = fronts
    first = await one.begin()
    for _ in range(TOKENS_MAX + 1):
        issued = await one.begin()
        await one.service.find(issued.access_key, issued.token)
    assert len(one.service._known) == TOKENS_MAX
    await one.found(first)
