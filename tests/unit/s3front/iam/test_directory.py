"""Who there is, as requests ask."""

from __future__ import annotations

import msgspec
import orjson
import pytest

from s3front.authz.decide import decide
from s3front.authz.owners import OwnerFacts
from s3front.authz.public_block import FULL_BLOCK
from s3front.authz.reasons import Why
from s3front.iam.directory import Directory
from s3front.iam.records import (
    Account,
    Group,
    ManagedPolicy,
    PolicyVersion,
    Record,
    Role,
    User,
)
from shared.config import Account as FileAccount
from shared.config import Accounts
from shared.records.names import SERVICE_ID_PREFIX
from tests.unit.s3front.authz.scenes import A, Scene, allow, document, root

_ID = "123456789012"
_BART = FileAccount("Bart", "bart@x.org", f"arn:aws:iam::{_ID}:root", "b" * 64, _ID)
_STORED = Account(id="222222222222", name="Stored", email="S@x.org", canonical_id="5" * 64)


def _directory(*records: Record) -> Directory:
    directory = Directory(Accounts([_BART], []))
    directory.identities.replace_all([(each.key, each.stored()) for each in records])
    directory.changed()
    return directory


def _policy(name: str) -> ManagedPolicy:
    version = PolicyVersion(id="v1", text=_text(name))
    return ManagedPolicy(account=_ID, name=name, id=f"ANPA{name}", versions=(version,))


def _text(sid: str) -> str:
    statement = {"Sid": sid, "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    return orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode()


def test_accounts_of_the_configuration_and_stored_ones_are_found_alike() -> None:
    directory = _directory(_STORED)
    assert [each.name for each in directory.accounts()] == ["Bart", "Stored"]
    for account, email in [(directory.account(_ID), "BART@x.org"), (_STORED, "s@x.ORG")]:
        assert account is not None
        assert directory.account_by_canonical_id(account.canonical_id) == account
        assert directory.account_by_email(email) == account
    assert directory.account_by_email("nobody@x.org") is None


def test_nobody_stored_takes_the_place_of_an_account_of_the_configuration() -> None:
    thief = Account(
        id=_ID,
        name="Thief",
        email="t@x.org",
        canonical_id="7" * 64,
        alias="ours",
        status="suspended",
    )
    other = Account(id="333333333333", name="O", email="bart@x.org", canonical_id="b" * 64)
    directory = _directory(thief, other)
    bart = directory.account(_ID)
    assert bart is not None
    assert (bart.name, bart.canonical_id, bart.alias) == ("Bart", "b" * 64, "ours")
    assert not bart.is_suspended
    assert directory.account_by_canonical_id("b" * 64) == bart
    assert directory.account_by_email("bart@x.org") == bart
    assert directory.account_by_canonical_id("7" * 64) is None


def test_what_is_stored_of_an_account_that_the_file_has_no_more_is_no_account() -> None:
    left = Account(id="444444444444", name="", email="", canonical_id="", from_file=True)
    directory = _directory(left)
    assert directory.account(left.id) is None
    assert [each.name for each in directory.accounts()] == ["Bart"]


def test_decisions_know_of_owners_what_they_block() -> None:
    blocked = Account(
        id="222222222222",
        name="S",
        email="s@x",
        canonical_id="5" * 64,
        public_access_block={"BlockPublicAcls": True},
    )
    directory = _directory(blocked)
    facts = directory.owner("5" * 64)
    assert facts is not None
    assert facts.account_id == "222222222222"
    assert facts.block.block_public_acls
    assert not facts.block.block_public_policy
    assert directory.owner("6" * 64) is None
    directory.identities.apply({blocked.key: _STORED.stored()})
    directory.changed()
    facts = directory.owner("5" * 64)
    assert facts is not None
    assert not facts.block.block_public_acls


def test_what_an_account_that_cannot_be_read_may_have_blocked_is_blocked() -> None:
    of_file = Account(id=_ID, name="", email="", canonical_id="", from_file=True)
    directory = _directory(_STORED, of_file)
    for record in (of_file, _STORED):
        canonical_id = "b" * 64 if record is of_file else _STORED.canonical_id
        assert directory.owner(canonical_id) == OwnerFacts(record.id)
        directory.identities.apply({record.key: "{damaged"})
        found = directory.owner(canonical_id)
        assert found is not None
        assert found.block == FULL_BLOCK
        directory.identities.apply({record.key: None})
        assert directory.owner(canonical_id) == (OwnerFacts(_ID) if record is of_file else None)


def test_a_service_account_says_of_which_service() -> None:
    account = Account(id=_ID, name="R", email="r@x", canonical_id=f"{SERVICE_ID_PREFIX}lifecycle")
    assert account.service == "lifecycle"
    assert _STORED.service is None


def test_the_rights_of_a_user_are_its_own_policies_and_those_of_its_groups() -> None:
    reads, writes, limit = _policy("Reads"), _policy("Writes"), _policy("Limit")
    group = Group(
        account=_ID, name="Staff", id="AGPA1", inline={"i": _text("g")}, attached=(writes.arn,)
    )
    user = User(
        account=_ID,
        name="Anna",
        id="AIDA1",
        path="/x/",
        inline={"own": _text("own")},
        attached=(reads.arn, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"),
        groups=("AGPA1",),
        boundary=limit.arn,
        tags={"team": "blue"},
    )
    directory = _directory(reads, writes, limit, group, user)
    principal = directory.principal_of_user(user)
    assert principal is not None
    assert principal.arn == f"arn:aws:iam::{_ID}:user/x/Anna"
    assert (principal.kind, principal.user_id, principal.user_name) == ("User", "AIDA1", "Anna")
    assert (principal.canonical_id, principal.name, principal.account_id) == ("b" * 64, "Bart", _ID)
    assert principal.tags == {"team": "blue"}
    assert principal.rights is not None
    assert [each.name for each in principal.rights.policies] == [
        "user/Anna/own",
        reads.arn,
        "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        "group/Staff/i",
        writes.arn,
    ]
    assert principal.rights.boundary is not None
    assert principal.rights.boundary.name == limit.arn


def _denies(directory: Directory, user: User) -> bool:
    """Whether what the user is given is denied: by the policy of a bucket, which no boundary
    limits, as well as by the user's own."""
    principal = directory.principal_of_user(user)
    assert principal is not None
    everybody = allow("GetObject", "arn:aws:s3:::bucket/*", Principal={"AWS": principal.arn})
    access = Scene(policy=document(everybody)).access(root(A), "GetObject")
    assert access.bucket is not None
    bucket = access.bucket.changed({"owner": principal.canonical_id})
    asked = msgspec.structs.replace(access, principal=principal, bucket=bucket)
    decision = decide(asked)
    assert decision.allowed or decision.reason.why is Why.POLICY_DENIES
    return not decision.allowed


_OWN = {"own": _text("own")}
_GROUP = Group(account=_ID, name="Staff", id="AGPA1", attached=(_policy("Reads").arn,))
_OLDER = msgspec.structs.replace(_policy("Reads"), default="v2")


@pytest.mark.parametrize(
    "user",
    [
        User(account=_ID, name="a", id="AIDA1", inline=_OWN, attached=(_policy("Reads").arn,)),
        User(account=_ID, name="a", id="AIDA1", inline=_OWN, boundary=_policy("Reads").arn),
        User(account=_ID, name="a", id="AIDA1", inline=_OWN, groups=("AGPA1",)),
    ],
    ids=["attached", "boundary", "of a group"],
)
def test_a_policy_that_cannot_be_had_denies_what_it_may_have_denied(user: User) -> None:
    reads = _policy("Reads")
    directory = _directory(user, _GROUP, reads)
    assert not _denies(directory, user)
    for text in (None, "{damaged", _policy("Reads").stored().replace("Reads", "")):
        directory.identities.apply({reads.key: text})
        directory.changed()
        assert _denies(directory, user)
    assert _denies(_directory(user, _GROUP, _OLDER), user)
    assert _denies(_directory(user, _GROUP, _policy("Other")), user)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"Statement": 1}'])
def test_a_text_that_is_no_policy_denies(text: str) -> None:
    user = User(account=_ID, name="a", id="AIDA1", inline={**_OWN, "odd": text})
    assert _denies(_directory(user), user)


def test_a_group_that_cannot_be_read_denies_until_it_can() -> None:
    user = User(account=_ID, name="a", id="AIDA1", inline=_OWN, groups=("AGPA1",))
    directory = _directory(user, _policy("Reads"))
    assert _denies(directory, user)
    # What was made of it is not kept beyond the next change.
    assert any(
        directory.identities.text(key) is not text for key, text in directory.texts_behind(user)
    )
    directory.identities.apply({_GROUP.key: _GROUP.stored()})
    assert not _denies(directory, user)
    assert not any(
        directory.identities.text(key) is not text for key, text in directory.texts_behind(user)
    )


def test_an_attachment_that_is_no_arn_denies() -> None:
    user = User(account=_ID, name="a", id="AIDA1", inline=_OWN, attached=("nonsense",))
    directory = _directory(user)
    assert _denies(directory, user)
    assert directory.texts_behind(user)


def test_a_user_of_a_suspended_account_is_suspended() -> None:
    account = Account(
        id="222222222222", name="S", email="s@x", canonical_id="5" * 64, status="suspended"
    )
    user = User(account=account.id, name="a", id="AIDA1")
    directory = _directory(account, user)
    principal = directory.principal_of_user(user)
    assert principal is not None
    assert principal.suspended
    assert directory.principal_of_account(account).suspended
    assert directory.principal_of_account(account).rights is None


def test_a_user_of_no_account_is_nobody() -> None:
    user = User(account="999999999999", name="a", id="AIDA1")
    assert _directory(user).principal_of_user(user) is None


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::aws:policy/AdministratorAccess", "AdministratorAccess"),
        ("arn:aws:iam::aws:policy/NoSuchPolicy", None),
        (f"arn:aws:iam::{_ID}:policy/Reads", "Reads"),
        (f"arn:aws:iam::{_ID}:policy/path/Reads", None),
    ],
)
def test_policies_are_found_by_their_arns(arn: str, name: str | None) -> None:
    found = _directory(_policy("Reads")).policy(arn)
    assert (None if found is None else found.name) == name


def test_users_and_roles_are_found_by_their_unique_ids() -> None:
    user = User(account=_ID, name="a", id="AIDA1")
    role = Role(account=_ID, name="a", id="AROA1", trust="{}")
    directory = _directory(user, role)
    assert directory.user_by_id("AIDA1") == user
    assert directory.role_by_id("AROA1") == role
    assert directory.role_by_id("AIDA1") is None
    assert directory.user_by_id("AROA1") is None


def test_the_texts_behind_a_user_are_those_that_its_rights_are_made_of() -> None:
    reads, limit = _policy("Reads"), _policy("Limit")
    group = Group(account=_ID, name="Staff", id="AGPA1", attached=(reads.arn,))
    user = User(account=_ID, name="a", id="AIDA1", groups=("AGPA1",), boundary=limit.arn)
    directory = _directory(reads, limit, group, user)
    keys = {key for key, _ in directory.texts_behind(user)}
    assert keys == {user.key, f"account/{_ID}", group.key, reads.key, limit.key}
