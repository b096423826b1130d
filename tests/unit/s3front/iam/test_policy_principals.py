"""Whether the principals that a policy names are there."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from s3front.authz.access import Access, arn
from s3front.authz.bucket_policies import policy_members
from s3front.authz.decide import decide
from s3front.iam.policy_principals import as_named_now, meant_by, unknown_principal
from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind
from tests.unit.s3front.authz.scenes import NoKeys, Scene
from tests.unit.s3front.configurations.known import ACCOUNTS, BART
from tests.unit.s3front.query_api.query_service import ACCOUNT, ALL, QueryService

IAM = "arn:aws:iam::111111111111"


def unknown(principal: Any, element: str = "Principal") -> str | None:
    statement = {
        "Effect": "Deny" if element.startswith("Not") else "Allow",
        element: principal,
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bucket/*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return unknown_principal(parse_policy(text, Kind.BUCKET, bucket="bucket"), ACCOUNTS)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": "111111111111"},
        {"AWS": [f"{IAM}:root", "222222222222"]},
        {"CanonicalUser": BART},
        {"AWS": "AIDAQQQQQQQQQQQQQQQQQ"},
    ],
    ids=str,
)
def test_who_is_there(principal: Any) -> None:
    assert unknown(principal) is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("AWS", "333333333333"),
        ("AWS", "arn:aws:iam::333333333333:root"),
        ("AWS", f"{IAM}:user/nobody"),
        ("AWS", f"{IAM}:user/somewhere/nobody"),
        ("AWS", f"{IAM}:role/nobody"),
        ("AWS", "arn:aws:sts::111111111111:assumed-role/nobody/session"),
        ("CanonicalUser", "nobody"),
    ],
)
def test_who_is_not(kind: str, name: str) -> None:
    assert unknown({kind: name}) == f'"{kind}" : "{name}"'
    assert unknown({kind: [name, "*"]} if kind == "AWS" else {kind: [name]}) is not None
    assert unknown({kind: name}, "NotPrincipal") == f'"{kind}" : "{name}"'


TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": [f"{ACCOUNT}:user/anna", "*"]},
            "Action": "sts:AssumeRole",
        },
    }
)
RENAMED = {"UserName": "anna", "NewUserName": "bea", "NewPath": "/board/"}


async def shown_trust(iam: QueryService) -> str:
    role = (await iam.call("GetRole", RoleName="r"))["Role"]
    return unquote(role["AssumeRolePolicyDocument"])


def about(effect: str, *principals: str) -> bytes:
    statement = {
        "Effect": effect,
        "Principal": {"AWS": list(principals)},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::b/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
async def test_who_is_meant_is_meant_under_another_name(effect: str) -> None:
    iam = QueryService()
    await iam.call("CreateUser", UserName="anna")
    if effect == "Deny":
        await iam.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=ALL)
    policy = parse_policy(about(effect, f"{ACCOUNT}:user/anna"), Kind.BUCKET, bucket="b")
    anna = iam.principal("anna")
    bucket = Scene().access("root", "GetObject").bucket
    assert bucket is not None
    bucket = bucket.changed({"name": "b", "owner": anna.canonical_id})
    bucket = bucket.changed(policy_members(policy.document, meant_by(policy, iam.front.directory)))
    await iam.call("UpdateUser", **RENAMED)
    for who, meant in (("bea", True), ("anna", False)):
        if not meant:  # who has the name now, and has never been meant
            await iam.call("CreateUser", UserName="anna")
            if effect == "Deny":
                await iam.call("PutUserPolicy", UserName=who, PolicyName="p", PolicyDocument=ALL)
        access = Access(iam.principal(who), ("s3:PutObject",), arn("b", "k"), NoKeys(), bucket)
        assert decide(access).allowed is (meant if effect == "Allow" else not meant), who


async def test_who_is_meant_is_shown_as_he_is_called_now() -> None:
    iam = QueryService()
    directory = iam.front.directory
    made = await iam.call("CreateUser", UserName="anna")
    await iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    session = f"{ACCOUNT}:assumed-role/r/s".replace(":iam:", ":sts:")
    names = (f"{ACCOUNT}:user/anna", session, f"{ACCOUNT}:root", made["User"]["UserId"])
    policy = parse_policy(about("Allow", *names), Kind.BUCKET, bucket="b")
    policy = type(policy)(policy.document, policy.kind, meant_by(policy, directory))

    def shown() -> Any:
        return as_named_now(policy, directory)["Statement"][0]["Principal"]["AWS"]

    assert as_named_now(policy, directory) == {
        **policy.document,
        "Statement": [{**policy.document["Statement"][0], "Principal": {"AWS": shown()}}],
    }
    assert shown() == [*names[:3], names[0]]
    await iam.call("UpdateUser", **RENAMED)
    assert shown() == [f"{ACCOUNT}:user/board/bea", session, names[2], f"{ACCOUNT}:user/board/bea"]
    assert f"{ACCOUNT}:user/board/bea" in await shown_trust(iam)
    # Whoever is gone is shown by an ID that nobody has any more; the record says what was written.
    await iam.call("DeleteUser", UserName="bea")
    await iam.call("CreateUser", UserName="anna")
    await iam.call("DeleteRole", RoleName="r")
    await iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    assert shown() == [names[3], policy.ids[session], names[2], names[3]]
    assert policy.document["Statement"][0]["Principal"]["AWS"] == list(names)


async def test_what_is_shown_can_be_put_again_and_means_the_same() -> None:
    iam = QueryService()
    directory = iam.front.directory
    made = (await iam.call("CreateUser", UserName="anna"))["User"]
    await iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    await iam.call("DeleteUser", UserName="anna")
    trust = await shown_trust(iam)
    assert made["UserId"] in trust
    await iam.call("CreateUser", UserName="anna")
    await iam.call("UpdateAssumeRolePolicy", RoleName="r", PolicyDocument=trust)
    role = directory.role(ACCOUNT[-12:], "r")
    assert role is not None
    assert role.trusted == {}
    assert made["UserId"] in role.trust
