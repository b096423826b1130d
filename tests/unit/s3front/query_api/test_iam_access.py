"""Who may make which call: what policies can say of it, and that nobody reaches further."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.s3front.iam.stored_identities import READS
from tests.unit.s3front.query_api.query_service import (
    ACCOUNT,
    ALL,
    READ_ONLY,
    QueryService,
    only,
    tag,
)


async def test_a_user_may_what_his_policy_says_of_a_path(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="boss")
    await iam.call("CreateUser", UserName="anna", Path="/staff/")
    await iam.call("CreateUser", UserName="ben", Path="/board/")
    policy = only("iam:*User", resource=f"{ACCOUNT}:user/staff/*")
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=policy)
    await iam.call("GetUser", by="boss", UserName="anna")
    await iam.call("CreateUser", by="boss", UserName="carl", Path="/staff/")
    for name, parameters in (
        ("GetUser", {"UserName": "ben"}),
        ("GetUser", {"UserName": "nobody"}),
        ("CreateUser", {"UserName": "dora"}),
        ("ListUsers", {}),
        ("PutUserPolicy", {"UserName": "anna", "PolicyName": "p", "PolicyDocument": ALL}),
    ):
        error = await iam.refused(name, by="boss", **parameters)
        assert error.code == "AccessDenied"
        assert error.message.startswith(
            f"User: {ACCOUNT}:user/boss is not authorized to perform: iam:{name} on resource: "
        )


@pytest.mark.parametrize(
    ("condition", "given", "allowed"),
    [
        ({"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}, True, True),
        ({"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}}, False, False),
        ({"StringEquals": {"aws:RequestTag/team": "x"}}, True, True),
        ({"StringEquals": {"aws:RequestTag/team": "y"}}, True, False),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}, True, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["other"]}}, True, False),
    ],
)
async def test_conditions_see_what_a_call_says(
    iam: QueryService, condition: Any, given: bool, allowed: bool
) -> None:
    await iam.call("CreateUser", UserName="boss")
    policy = only("iam:CreateUser", "iam:TagUser", condition=condition)
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=policy)
    said: dict[str, Any] = (
        {"PermissionsBoundary": READ_ONLY, "Tags": [tag("team", "x")]} if given else {}
    )
    if allowed:
        await iam.call("CreateUser", by="boss", UserName="new", **said)
    else:
        error = await iam.refused("CreateUser", by="boss", UserName="new", **said)
        assert error.code == "AccessDenied"


async def test_conditions_see_which_policy_and_whose_tags(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="boss")
    await iam.call("CreateUser", UserName="anna", Tags=[tag("team", "x")])
    await iam.call("CreateUser", UserName="ben")
    policy = only(
        "iam:AttachUserPolicy",
        condition={
            "ArnEquals": {"iam:PolicyARN": READ_ONLY},
            "StringEquals": {"iam:ResourceTag/team": "x"},
        },
    )
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=policy)
    attach = {"by": "boss", "PolicyArn": READ_ONLY}
    await iam.call("AttachUserPolicy", **attach, UserName="anna")
    assert (await iam.refused("AttachUserPolicy", **attach, UserName="ben")).status == 403
    admin = {"by": "boss", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    assert (await iam.refused("AttachUserPolicy", **admin, UserName="anna")).status == 403


@pytest.mark.parametrize("key", ["aws:ResourceTag/TEAM", "iam:resourcetag/Team"])
async def test_names_of_tags_have_no_case(iam: QueryService, key: str) -> None:
    """As they are unique without regard to it (IAM user guide, "Rules for tagging in IAM"): a
    condition on one cannot be evaded by another case."""
    await iam.call("CreateUser", UserName="boss")
    await iam.call("CreateUser", UserName="anna", Tags=[tag("tEAM", "x")])
    policies = {
        "create": only(
            "iam:CreateUser", "iam:TagUser", condition={"Null": {"aws:RequestTag/secret": "true"}}
        ),
        "delete": only("iam:DeleteUser", condition={"StringEquals": {key: "x"}}),
    }
    for name, policy in policies.items():
        given = {"UserName": "boss", "PolicyName": name, "PolicyDocument": policy}
        await iam.call("PutUserPolicy", **given)
    secret: dict[str, Any] = {"UserName": "new", "Tags": [tag("Secret", "1")]}
    assert (await iam.refused("CreateUser", by="boss", **secret)).code == "AccessDenied"
    await iam.call("CreateUser", by="boss", UserName="new", Tags=[tag("other", "1")])
    await iam.call("DeleteUser", by="boss", UserName="anna")


async def test_a_boundary_holds_for_calls_of_iam(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="boss", PermissionsBoundary=READ_ONLY)
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=ALL)
    for name, parameters in (
        ("DeleteUserPermissionsBoundary", {"UserName": "boss"}),
        ("CreateUser", {"UserName": "twin"}),
        ("CreateAccessKey", {}),
    ):
        assert (await iam.refused(name, by="boss", **parameters)).code == "AccessDenied"


async def test_nobody_reaches_into_another_account(iam: QueryService) -> None:
    other = await iam.front.make_account()
    await iam.call("CreateUser", UserName="anna")
    made = await iam.call("CreatePolicy", PolicyName="P", PolicyDocument=READS)
    arn = made["Policy"]["Arn"]
    key = (await iam.call("CreateAccessKey", UserName="anna"))["AccessKey"]["AccessKeyId"]
    for name, parameters in (
        ("GetUser", {"UserName": "anna"}),
        ("GetPolicy", {"PolicyArn": arn}),
        ("GetPolicyVersion", {"PolicyArn": arn, "VersionId": "v1"}),
        ("DeletePolicy", {"PolicyArn": arn}),
        ("ListEntitiesForPolicy", {"PolicyArn": arn}),
        ("DeleteAccessKey", {"UserName": "anna", "AccessKeyId": key}),
        ("GetAccessKeyLastUsed", {"AccessKeyId": key}),
        (
            "SimulatePrincipalPolicy",
            {"PolicySourceArn": f"{ACCOUNT}:user/anna", "ActionNames": ["s3:GetObject"]},
        ),
    ):
        error = await iam.refused(name, by=other, **parameters)
        assert error.code in ("NoSuchEntity", "AccessDenied"), name
    assert (await iam.call("ListUsers", by=other))["Users"] == []
    own = await iam.call("ListPolicies", by=other, Scope="Local")
    assert own["Policies"] == []


async def test_many_may_change_something_at_once(iam: QueryService) -> None:
    await asyncio.gather(
        *(iam.call("CreateUser", UserName=f"user{number}") for number in range(100))
    )
    assert len((await iam.call("ListUsers", MaxItems=1000))["Users"]) == 100


async def test_what_is_withdrawn_meanwhile_is_seen_before_something_is_changed(
    iam: QueryService,
) -> None:
    await iam.call("CreateUser", UserName="boss")
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=ALL)
    withdrawn, made = await asyncio.gather(
        iam.call("DeleteUserPolicy", UserName="boss", PolicyName="p"),
        iam.refused("CreateUser", by="boss", UserName="late"),
    )
    assert (withdrawn, made.code) == ({}, "AccessDenied")


async def test_tags_of_what_another_account_has_mean_nothing(iam: QueryService) -> None:
    other = await iam.front.make_account()
    tagged: dict[str, Any] = {"by": other, "Tags": [tag("team", "x")]}
    made = await iam.call("CreatePolicy", PolicyName="P", PolicyDocument=READS, **tagged)
    url = "https://login.example.com"
    provider = await iam.call("CreateOpenIDConnectProvider", Url=url, **tagged)
    await iam.call("CreateUser", UserName="boss")
    policy = only("iam:*", condition={"StringEquals": {"aws:ResourceTag/team": "x"}})
    await iam.call("PutUserPolicy", UserName="boss", PolicyName="p", PolicyDocument=policy)
    for name, parameters in (
        ("GetPolicy", {"PolicyArn": made["Policy"]["Arn"]}),
        (
            "GetOpenIDConnectProvider",
            {"OpenIDConnectProviderArn": provider["OpenIDConnectProviderArn"]},
        ),
    ):
        assert (await iam.refused(name, by="boss", **parameters)).code == "AccessDenied"


async def test_a_call_that_is_too_large(iam: QueryService) -> None:
    reply = await iam.send(b"A=" + b"x" * (1024 * 1024))
    assert reply["status_code"] == 413
    assert b"RequestEntityTooLarge" in reply["body"]
