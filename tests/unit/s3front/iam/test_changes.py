"""What can be changed of users, groups, roles, policies, providers and accounts, and what cannot:
with IAM's codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from s3front.iam import quotas
from s3front.iam.account_changes import (
    create_account,
    create_alias,
    delete_account,
    delete_alias,
    set_account_status,
    set_public_access_block,
    update_account,
)
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.group_changes import create_group, delete_group, update_group
from s3front.iam.holder_changes import (
    add_tags,
    attach,
    delete_inline,
    detach,
    put_inline,
    remove_tags,
    set_boundary,
)
from s3front.iam.iam_errors import IamError
from s3front.iam.policy_changes import (
    add_policy_tags,
    create_policy,
    create_policy_version,
    delete_policy,
    delete_policy_version,
    remove_policy_tags,
    set_default_version,
)
from s3front.iam.provider_changes import (
    add_client_id,
    create_provider,
    delete_provider,
    remove_client_id,
    update_thumbprints,
)
from s3front.iam.role_changes import create_role, delete_role, update_role, update_trust
from s3front.iam.user_changes import (
    add_to_group,
    create_user,
    delete_user,
    remove_from_group,
    update_user,
)
from tests.unit.s3front.iam.stored_identities import BART_ID, FILE_ACCOUNTS, READS, TRUST

_ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


class World:
    """Changes that are made at once."""

    def __init__(self) -> None:
        self.directory = Directory(FILE_ACCOUNTS)

    def do(self, function: Callable[..., Change[Any]], *arguments: Any, **named: Any) -> Any:
        change = function(self.directory, *arguments, **named)
        texts = {
            key: None if each is None else each.stored() for key, each in change.writes.items()
        }
        self.directory.identities.apply(texts)
        self.directory.changed()
        return change.result

    def refused(self, function: Callable[..., Change[Any]], *arguments: Any, **named: Any) -> str:
        with pytest.raises(IamError) as caught:
            self.do(function, *arguments, **named)
        return caught.value.code


@pytest.fixture
def world() -> World:
    return World()


# --- Users ---------------------------------------------------------------------------------------


def test_a_user_is_made_changed_and_removed(world: World) -> None:
    user = world.do(create_user, BART_ID, "Anna", path="/a/", tags=[("team", "x")])
    assert user.arn == f"arn:aws:iam::{BART_ID}:user/a/Anna"
    again = world.do(update_user, BART_ID, "ANNA", new_name="Berta", new_path="/b/")
    assert (again.id, again.name, again.path) == (user.id, "Berta", "/b/")
    assert world.directory.user(BART_ID, "Anna") is None
    assert world.directory.user_by_id(user.id) == again
    world.do(delete_user, BART_ID, "Berta")
    assert world.refused(delete_user, BART_ID, "Berta") == "NoSuchEntity"


def test_the_case_of_a_name_can_be_changed(world: World) -> None:
    world.do(create_user, BART_ID, "anna")
    world.do(update_user, BART_ID, "anna", new_name="Anna")
    found = world.directory.user(BART_ID, "anna")
    assert found is not None
    assert found.name == "Anna"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a" * 65, "a\n", "a*"])
def test_names_that_cannot_be(world: World, name: str) -> None:
    assert world.refused(create_user, BART_ID, name) == "ValidationError"


@pytest.mark.parametrize("path", ["", "a", "/a", "a/", "/a b/", "/" + "a" * 511 + "/", "/ä/"])
def test_paths_that_cannot_be(world: World, path: str) -> None:
    assert world.refused(create_user, BART_ID, "a", path=path) == "ValidationError"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([("a", "1"), ("A", "2")], "InvalidInput"),
        ([("aws:a", "1")], "InvalidInput"),
        ([("a;b", "1")], "InvalidInput"),
        ([("", "1")], "ValidationError"),
        ([("a" * 129, "1")], "ValidationError"),
        ([("a", "1" * 257)], "ValidationError"),
        ([(f"t{number}", "") for number in range(51)], "LimitExceeded"),
    ],
)
def test_tags_that_cannot_be(world: World, tags: list[tuple[str, str]], code: str) -> None:
    assert world.refused(create_user, BART_ID, "a", tags=tags) == code


def test_a_user_of_an_account_that_is_not_there(world: World) -> None:
    assert world.refused(create_user, "999999999999", "a") == "NoSuchEntity"


def test_a_user_with_anything_is_not_removed(world: World) -> None:
    world.do(create_user, BART_ID, "a")
    world.do(create_group, BART_ID, "g")
    pairs: list[tuple[Any, Any]] = [
        ((attach, "user", BART_ID, "a", _ADMIN), (detach, "user", BART_ID, "a", _ADMIN)),
        (
            (put_inline, "user", BART_ID, "a", ("p", READS)),
            (delete_inline, "user", BART_ID, "a", "p"),
        ),
        ((add_to_group, BART_ID, "g", "a"), (remove_from_group, BART_ID, "g", "a")),
    ]
    for give, take in pairs:
        world.do(*give)
        assert world.refused(delete_user, BART_ID, "a") == "DeleteConflict"
        world.do(*take)
    world.do(delete_user, BART_ID, "a")


def test_tags_are_added_replaced_and_removed_without_regard_to_case(world: World) -> None:
    world.do(create_user, BART_ID, "a", tags=[("Team", "x"), ("b", "1")])
    world.do(add_tags, "user", BART_ID, "a", [("team", "y")])
    world.do(remove_tags, "user", BART_ID, "a", ["B", "none"])
    user = world.directory.user(BART_ID, "a")
    assert user is not None
    assert user.tags == {"team": "y"}


def test_quotas(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "USERS_MAX", 1)
    monkeypatch.setattr(quotas, "GROUPS_MAX", 1)
    monkeypatch.setattr(quotas, "ROLES_MAX", 1)
    monkeypatch.setattr(quotas, "POLICIES_MAX", 1)
    monkeypatch.setattr(quotas, "PROVIDERS_MAX", 1)
    monkeypatch.setattr(quotas, "ACCOUNTS_MAX", 2)
    pairs: list[tuple[Any, Any]] = [
        ((create_user, BART_ID, "a"), (create_user, BART_ID, "b")),
        ((create_group, BART_ID, "a"), (create_group, BART_ID, "b")),
        ((create_role, BART_ID, "a", TRUST), (create_role, BART_ID, "b", TRUST)),
        ((create_policy, BART_ID, "a", READS), (create_policy, BART_ID, "b", READS)),
        (
            (create_provider, BART_ID, "https://a.example"),
            (create_provider, BART_ID, "https://b.example"),
        ),
        ((create_account, "A", "a@x.org"), (create_account, "B", "b@x.org")),
    ]
    for first, second in pairs:
        world.do(*first)
        assert world.refused(*second) == "LimitExceeded"


# --- Groups --------------------------------------------------------------------------------------


def test_a_group_keeps_its_members_under_another_name(world: World) -> None:
    world.do(create_user, BART_ID, "a")
    group = world.do(create_group, BART_ID, "g")
    assert world.refused(create_group, BART_ID, "G") == "EntityAlreadyExists"
    world.do(add_to_group, BART_ID, "g", "a")
    world.do(add_to_group, BART_ID, "g", "a")
    world.do(update_group, BART_ID, "g", new_name="h", new_path="/x/")
    assert world.directory.identities.members(group.id) == [f"user/{BART_ID}/a"]
    assert world.refused(delete_group, BART_ID, "h") == "DeleteConflict"
    world.do(remove_from_group, BART_ID, "h", "a")
    world.do(remove_from_group, BART_ID, "h", "a")
    world.do(delete_group, BART_ID, "h")
    assert world.refused(add_to_group, BART_ID, "h", "a") == "NoSuchEntity"


def test_a_user_is_in_ten_groups_at_most(world: World) -> None:
    world.do(create_user, BART_ID, "a")
    for number in range(11):
        world.do(create_group, BART_ID, f"g{number}")
    for number in range(10):
        world.do(add_to_group, BART_ID, f"g{number}", "a")
    assert world.refused(add_to_group, BART_ID, "g10", "a") == "LimitExceeded"


# --- Policies that somebody has ------------------------------------------------------------------


def test_policies_are_attached_once_and_twenty_at_most(world: World) -> None:
    world.do(create_group, BART_ID, "g")
    arns = [world.do(create_policy, BART_ID, f"p{number}", READS).arn for number in range(21)]
    for arn in arns[:20]:
        world.do(attach, "group", BART_ID, "g", arn)
    world.do(attach, "group", BART_ID, "g", arns[0])
    assert world.refused(attach, "group", BART_ID, "g", arns[20]) == "LimitExceeded"
    assert world.refused(detach, "group", BART_ID, "g", arns[20]) == "NoSuchEntity"


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        (f"arn:aws:iam::{BART_ID}:policy/none", "NoSuchEntity"),
        ("arn:aws:iam::aws:policy/none", "NoSuchEntity"),
        ("none", "InvalidInput"),
    ],
)
def test_only_policies_that_are_there_can_be_attached(world: World, arn: str, code: str) -> None:
    world.do(create_user, BART_ID, "a")
    assert world.refused(attach, "user", BART_ID, "a", arn) == code
    assert world.refused(set_boundary, "user", BART_ID, "a", arn) == code
    assert world.refused(create_user, BART_ID, "b", boundary=arn) == code


def test_the_policies_of_other_accounts_cannot_be_attached(world: World) -> None:
    other = world.do(create_account, "Other", "o@x.org")
    policy = world.do(create_policy, other.id, "p", READS)
    world.do(create_user, BART_ID, "a")
    assert world.refused(attach, "user", BART_ID, "a", policy.arn) == "NoSuchEntity"
    assert world.refused(delete_policy, BART_ID, policy.arn) == "NoSuchEntity"


@pytest.mark.parametrize("text", ["", "{}x", "[]", "{", '{"Version": "2012-10-17", "a'])
def test_what_is_no_policy_is_refused(world: World, text: str) -> None:
    world.do(create_user, BART_ID, "a")
    world.do(create_role, BART_ID, "r", TRUST)
    policy = world.do(create_policy, BART_ID, "p", READS)
    bad = "MalformedPolicyDocument"
    assert world.refused(put_inline, "user", BART_ID, "a", ("p", text)) == bad
    assert world.refused(create_policy, BART_ID, "q", text) == bad
    assert (
        world.refused(create_policy_version, BART_ID, policy.arn, text, set_as_default=True) == bad
    )
    assert world.refused(create_role, BART_ID, "s", text) == bad
    assert world.refused(update_trust, BART_ID, "r", text) == bad


def test_inline_policies_are_of_a_size_all_together(world: World) -> None:
    world.do(create_user, BART_ID, "a")
    size = len("".join(READS.split()))
    fit = quotas.INLINE_SIZE_MAX["user"] // size
    for number in range(fit):
        # White space does not count.
        world.do(put_inline, "user", BART_ID, "a", (f"p{number}", READS.replace(",", ", \n")))
    more = ("more", READS)
    assert world.refused(put_inline, "user", BART_ID, "a", more) == "LimitExceeded"
    world.do(put_inline, "user", BART_ID, "a", ("p0", READS))


def test_white_space_is_kept_as_far_as_people_write_it(world: World) -> None:
    world.do(create_user, BART_ID, "a")
    printed = json.dumps(json.loads(READS), indent=4)
    padded = READS.replace(",", "," + " " * 5000)
    world.do(put_inline, "user", BART_ID, "a", ("printed", printed))
    world.do(put_inline, "user", BART_ID, "a", ("padded", padded))
    user = world.directory.user(BART_ID, "a")
    assert user is not None
    assert user.inline["printed"] == printed
    assert len(user.inline["padded"]) < 200
    assert json.loads(user.inline["padded"]) == json.loads(READS)


def test_a_boundary_is_set_and_removed(world: World) -> None:
    policy = world.do(create_policy, BART_ID, "p", READS)
    for kind in ("user", "role"):
        arguments = (
            (create_user, BART_ID, "a") if kind == "user" else (create_role, BART_ID, "a", TRUST)
        )
        world.do(*arguments)
        assert world.refused(set_boundary, kind, BART_ID, "a", None) == "NoSuchEntity"
        world.do(set_boundary, kind, BART_ID, "a", policy.arn)
        assert world.refused(delete_policy, BART_ID, policy.arn) == "DeleteConflict"
        world.do(set_boundary, kind, BART_ID, "a", None)
    world.do(delete_policy, BART_ID, policy.arn)


# --- Managed policies ----------------------------------------------------------------------------


def test_a_policy_has_five_versions_at_most(world: World) -> None:
    arn = world.do(create_policy, BART_ID, "p", READS, path="/x/").arn
    for number in range(2, 6):
        version = world.do(create_policy_version, BART_ID, arn, READS, set_as_default=number == 3)
        assert version.id == f"v{number}"
    assert (
        world.refused(create_policy_version, BART_ID, arn, READS, set_as_default=True)
        == "LimitExceeded"
    )
    assert world.refused(delete_policy_version, BART_ID, arn, "v3") == "DeleteConflict"
    assert world.refused(delete_policy_version, BART_ID, arn, "v9") == "NoSuchEntity"
    assert world.refused(set_default_version, BART_ID, arn, "v9") == "NoSuchEntity"
    world.do(delete_policy_version, BART_ID, arn, "v5")
    made = world.do(create_policy_version, BART_ID, arn, READS, set_as_default=False)
    assert made.id == "v6"  # a number is never given again
    world.do(set_default_version, BART_ID, arn, "v6")
    policy = world.directory.policy(arn)
    assert policy is not None
    assert policy.default == "v6"
    assert world.refused(delete_policy, BART_ID, arn) == "DeleteConflict"
    for version_id in ("v1", "v2", "v3", "v4"):
        world.do(delete_policy_version, BART_ID, arn, version_id)
    world.do(delete_policy, BART_ID, arn)
    assert world.refused(delete_policy, BART_ID, arn) == "NoSuchEntity"


def test_a_policy_is_of_a_size(world: World) -> None:
    large = READS.replace('"s3:Get*"', '"s3:' + "G" * quotas.POLICY_SIZE_MAX + '"')
    assert world.refused(create_policy, BART_ID, "p", large) == "LimitExceeded"


def test_names_of_policies_are_taken_without_regard_to_case_and_path(world: World) -> None:
    world.do(create_policy, BART_ID, "p", READS, path="/x/")
    assert world.refused(create_policy, BART_ID, "P", READS) == "EntityAlreadyExists"


def test_the_policies_of_aws_cannot_be_changed(world: World) -> None:
    assert world.refused(delete_policy, BART_ID, _ADMIN) == "AccessDenied"
    assert world.refused(set_default_version, BART_ID, _ADMIN, "v1") == "AccessDenied"


def test_tags_of_a_policy(world: World) -> None:
    arn = world.do(create_policy, BART_ID, "p", READS, tags=[("a", "1")]).arn
    world.do(add_policy_tags, BART_ID, arn, [("A", "2"), ("b", "3")])
    world.do(remove_policy_tags, BART_ID, arn, ["B"])
    policy = world.directory.policy(arn)
    assert policy is not None
    assert policy.tags == {"A": "2"}


# --- Roles ---------------------------------------------------------------------------------------


def test_a_role_is_made_changed_and_removed(world: World) -> None:
    role = world.do(create_role, BART_ID, "r", TRUST, path="/x/", max_session_seconds=7200)
    assert role.arn == f"arn:aws:iam::{BART_ID}:role/x/r"
    assert world.refused(create_role, BART_ID, "R", TRUST) == "EntityAlreadyExists"
    changed = world.do(update_role, BART_ID, "r", description="d", max_session_seconds=3600)
    assert (changed.description, changed.max_session_seconds) == ("d", 3600)
    world.do(update_trust, BART_ID, "r", TRUST)
    world.do(put_inline, "role", BART_ID, "r", ("p", READS))
    assert world.refused(delete_role, BART_ID, "r") == "DeleteConflict"
    world.do(delete_inline, "role", BART_ID, "r", "p")
    assert world.refused(delete_inline, "role", BART_ID, "r", "p") == "NoSuchEntity"
    world.do(delete_role, BART_ID, "r")
    assert world.refused(delete_role, BART_ID, "r") == "NoSuchEntity"


@pytest.mark.parametrize("seconds", [0, 3599, 43_201])
def test_sessions_are_of_a_length(world: World, seconds: int) -> None:
    assert (
        world.refused(create_role, BART_ID, "r", TRUST, max_session_seconds=seconds)
        == "ValidationError"
    )


# --- OpenID Connect providers --------------------------------------------------------------------


def test_a_provider_is_made_changed_and_removed(world: World) -> None:
    provider = world.do(
        create_provider,
        BART_ID,
        "https://login.example/realms/a/",
        client_ids=["s3"],
        thumbprints=["AB" * 20],
    )
    arn = provider.arn
    assert arn == f"arn:aws:iam::{BART_ID}:oidc-provider/login.example/realms/a"
    assert (
        world.refused(create_provider, BART_ID, "https://login.example/realms/a")
        == "EntityAlreadyExists"
    )
    world.do(add_client_id, BART_ID, arn, "other")
    world.do(add_client_id, BART_ID, arn, "other")
    world.do(remove_client_id, BART_ID, arn, "s3")
    world.do(update_thumbprints, BART_ID, arn, [])
    found = world.directory.provider(BART_ID, "login.example/realms/a")
    assert found is not None
    assert (found.client_ids, found.thumbprints) == (("other",), ())
    world.do(delete_provider, BART_ID, arn)
    world.do(delete_provider, BART_ID, arn)
    assert world.refused(add_client_id, BART_ID, arn, "x") == "NoSuchEntity"


@pytest.mark.parametrize(
    "url", ["http://a.example", "a.example", "https://", "https://a?b", "https://[", "https://a#b"]
)
def test_urls_that_are_of_no_provider(world: World, url: str) -> None:
    assert world.refused(create_provider, BART_ID, url) == "ValidationError"


# --- Accounts ------------------------------------------------------------------------------------


def test_an_account_is_made_changed_and_removed(world: World) -> None:
    account = world.do(create_account, "Partner", "p@x.org")
    assert (len(account.id), len(account.canonical_id)) == (12, 64)
    changed = world.do(update_account, account.id, name="Other", email="O@x.org")
    assert (changed.name, changed.email) == ("Other", "O@x.org")
    world.do(update_account, account.id, name="Other", email="o@x.org")
    world.do(set_account_status, account.id, "suspended")
    found = world.directory.account(account.id)
    assert found is not None
    assert found.is_suspended
    world.do(create_user, account.id, "a")
    assert world.refused(delete_account, account.id) == "DeleteConflict"
    world.do(delete_user, account.id, "a")
    world.do(delete_account, account.id)
    assert world.refused(delete_account, account.id) == "NoSuchEntity"


@pytest.mark.parametrize(
    ("arguments", "named", "code"),
    [
        (("Bart", "n@x.org"), {}, "EntityAlreadyExists"),
        (("N", "BART@x.org"), {}, "EntityAlreadyExists"),
        (("N", "n@x.org"), {"account_id": BART_ID}, "EntityAlreadyExists"),
        (("N", "n@x.org"), {"canonical_id": "b" * 64}, "EntityAlreadyExists"),
        (("", "n@x.org"), {}, "ValidationError"),
        (("a\n", "n@x.org"), {}, "ValidationError"),
        (("N", "n"), {}, "ValidationError"),
        (("N", "n@x.org"), {"account_id": "1"}, "ValidationError"),
        (("N", "n@x.org"), {"canonical_id": "B" * 64}, "ValidationError"),
        (("N", "n@x.org"), {"service": "../x"}, "ValidationError"),
    ],
)
def test_accounts_that_cannot_be(
    world: World, arguments: tuple[str, str], named: dict[str, str], code: str
) -> None:
    assert world.refused(create_account, *arguments, **named) == code


def test_a_service_account_has_the_canonical_id_of_the_original(world: World) -> None:
    account = world.do(create_account, "R", "r@x.org", service="replication")
    assert account.canonical_id == "http://acs.zenko.io/accounts/service/replication"
    assert account.service == "replication"


def test_an_account_of_the_configuration_is_its_own_to_change(world: World) -> None:
    for refused in (
        (update_account, BART_ID),
        (set_account_status, BART_ID, "suspended"),
        (delete_account, BART_ID),
    ):
        assert world.refused(*refused) == "UnmodifiableEntity"
    world.do(create_alias, BART_ID, "barts-shop")
    world.do(set_public_access_block, BART_ID, {"BlockPublicAcls": True})
    found = world.directory.account_by_alias("barts-shop")
    assert found is not None
    assert (found.name, found.public_access_block) == ("Bart", {"BlockPublicAcls": True})


def test_an_alias_is_that_of_one_account(world: World) -> None:
    account = world.do(create_account, "Partner", "p@x.org")
    world.do(create_alias, BART_ID, "shop")
    assert world.refused(create_alias, account.id, "shop") == "EntityAlreadyExists"
    world.do(create_alias, BART_ID, "shop-two")
    assert world.refused(delete_alias, BART_ID, "shop") == "NoSuchEntity"
    world.do(delete_alias, BART_ID, "shop-two")
    assert world.directory.account_by_alias("shop-two") is None


@pytest.mark.parametrize("alias", ["ab", "a--b", "-ab", "ab-", "Abc", BART_ID, "a" * 64])
def test_aliases_that_cannot_be(world: World, alias: str) -> None:
    assert world.refused(create_alias, BART_ID, alias) == "ValidationError"
