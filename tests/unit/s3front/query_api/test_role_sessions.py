"""AssumeRole: whom trust policies let in, under which conditions, and as whom."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3front.iam.account_changes import set_account_status
from s3front.keys.sealing import NO_KEYS
from tests.unit.s3front.iam.stored_identities import BART_ID, READS
from tests.unit.s3front.query_api.query_service import ACCOUNT, NOBODY, READ_ONLY, only, tag
from tests.unit.s3front.query_api.sts_service import StsService, trusting, user

NAME = "me"


@pytest.fixture
async def sts() -> StsService:
    """A front-end with the users anna and ben, who have no policies."""
    service = StsService()
    await service.make_user("anna")
    await service.make_user("ben")
    return service


def asked(arn: str, **more: Any) -> dict[str, Any]:
    return {"RoleArn": arn, "RoleSessionName": NAME, **more}


async def test_a_session_of_a_role(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    before = datetime.now(UTC).replace(microsecond=0)
    answer = sts.remember("session", await sts.sts("AssumeRole", "anna", **asked(role)))
    assert set(answer) == {"Credentials", "AssumedRoleUser"}
    told = answer["Credentials"]
    assert told["AccessKeyId"].startswith("ASIA")
    assert len(told["SecretAccessKey"]) == 40
    lasting = told["Expiration"] - before
    assert timedelta(minutes=59) < lasting < timedelta(minutes=61)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{BART_ID}:assumed-role/reader/me"
    role_id, _, name = answer["AssumedRoleUser"]["AssumedRoleId"].partition(":")
    assert role_id.startswith("AROA")
    assert name == NAME
    identity = await sts.sts("GetCallerIdentity", "session")
    assert identity == {
        "UserId": f"{role_id}:me",
        "Account": BART_ID,
        "Arn": answer["AssumedRoleUser"]["Arn"],
    }


# --- Who is trusted ----------------------------------------------------------------------------


async def test_a_trust_policy_that_names_a_user_is_enough(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    await sts.sts("AssumeRole", "anna", **asked(role))
    for other in ("ben", BART_ID):
        message = await sts.denied("AssumeRole", other, **asked(role))
        arn = f"{ACCOUNT}:root" if other == BART_ID else f"{ACCOUNT}:user/ben"
        assert message == (
            f"User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
        )


async def test_another_user_of_the_name_is_not_the_one_who_was_trusted(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    await sts.call("DeleteUser", UserName="anna")
    await sts.make_user("anna")
    await sts.denied("AssumeRole", "anna", **asked(role))
    # Until somebody says so again.
    trust = trusting(user("anna"))
    await sts.call("UpdateAssumeRolePolicy", RoleName="reader", PolicyDocument=trust)
    await sts.sts("AssumeRole", "anna", **asked(role))


async def test_nobody_is_trusted_who_is_not_there(sts: StsService) -> None:
    await sts.make_role("there", trusting(user("ben")))
    nobody = trusting(user("nobody"))
    for call, parameters in (
        ("CreateRole", {"RoleName": "made", "AssumeRolePolicyDocument": nobody}),
        ("UpdateAssumeRolePolicy", {"RoleName": "there", "PolicyDocument": nobody}),
    ):
        error = await sts.refused(call, **parameters)
        assert (error.code, error.message) == (
            "MalformedPolicyDocument",
            f'Invalid principal in policy: "AWS" : "{ACCOUNT}:user/nobody"',
        )


async def test_a_trust_policy_that_names_the_account_leaves_it_to_policies(
    sts: StsService,
) -> None:
    role = await sts.make_role("reader", trusting({"AWS": BART_ID}))
    await sts.denied("AssumeRole", "anna", **asked(role))
    policy = only("sts:AssumeRole", resource=role)
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=policy)
    await sts.sts("AssumeRole", "anna", **asked(role))
    # An account itself may, which AWS does not let it.
    await sts.sts("AssumeRole", BART_ID, **asked(role))


async def test_what_the_callers_own_policies_deny(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    deny = only("sts:*").replace("Allow", "Deny")
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=deny)
    await sts.denied("AssumeRole", "anna", **asked(role))


async def test_between_accounts_it_takes_both(sts: StsService) -> None:
    other = await sts.front.make_account()
    trust = trusting({"AWS": f"{ACCOUNT}:user/anna"})
    await sts.call("CreateRole", by=other, RoleName="far", AssumeRolePolicyDocument=trust)
    role = f"arn:aws:iam::{other}:role/far"
    message = await sts.denied("AssumeRole", "anna", **asked(role))
    assert "because" not in message
    policy = only("sts:AssumeRole", resource=role)
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=policy)
    answer = await sts.sts("AssumeRole", "anna", **asked(role))
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{other}:assumed-role/far/me"
    sts.remember("session", answer)
    assert (await sts.sts("GetCallerIdentity", "session"))["Account"] == other
    # What ben's policy gives is not for the other account to be bound by.
    await sts.call("PutUserPolicy", UserName="ben", PolicyName="p", PolicyDocument=only("*"))
    await sts.denied("AssumeRole", "ben", **asked(role))


async def test_a_role_that_there_is_not_reads_as_one_that_is_not_for_the_caller(
    sts: StsService,
) -> None:
    closed = await sts.make_role("closed", trusting(user("ben")))
    told = {
        (await sts.denied("AssumeRole", "anna", **asked(arn))).removesuffix(arn)
        for arn in (
            closed,
            f"{ACCOUNT}:role/gone",
            "arn:aws:iam::999999999999:role/gone",
            f"{ACCOUNT}:user/anna",
            f"{ACCOUNT}:role/path/closed",
            "twenty characters at least",
        )
    }
    assert len(told) == 1


async def test_who_does_not_sign(sts: StsService) -> None:
    role = await sts.make_role("open", trusting({"AWS": "*"}))
    assert await sts.code("AssumeRole", NOBODY, **asked(role)) == "MissingAuthenticationToken"


async def test_a_suspended_account_has_no_roles(sts: StsService) -> None:
    other = await sts.front.make_account()
    trust = trusting({"AWS": f"{ACCOUNT}:user/anna"})
    await sts.call("CreateRole", by=other, RoleName="far", AssumeRolePolicyDocument=trust)
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=only("*"))
    role = f"arn:aws:iam::{other}:role/far"
    sts.remember("session", await sts.sts("AssumeRole", "anna", **asked(role)))
    await sts.front.change(lambda d: set_account_status(d, other, "suspended"))
    await sts.denied("AssumeRole", "anna", **asked(role))
    assert (await sts.who("session")).suspended


# --- Conditions --------------------------------------------------------------------------------


async def test_the_confused_deputy_does_not_know_the_external_id(sts: StsService) -> None:
    condition = {"StringEquals": {"sts:ExternalId": "tenant-17"}}
    role = await sts.make_role("reader", trusting(user("anna"), condition=condition))
    await sts.denied("AssumeRole", "anna", **asked(role))
    for other in ("tenant-18", "TENANT-17", "tenant-17/", "tenant-1"):
        await sts.denied("AssumeRole", "anna", **asked(role, ExternalId=other))
    await sts.sts("AssumeRole", "anna", **asked(role, ExternalId="tenant-17"))


@pytest.mark.parametrize("bad", ["x", "a b", "a*b\n", "x" * 1225, "ä-ä"])
async def test_an_external_id_that_is_none(sts: StsService, bad: str) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    assert await sts.code("AssumeRole", "anna", **asked(role, ExternalId=bad)) == "ValidationError"


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        ({"StringLike": {"sts:RoleSessionName": "m*"}}, {}, {"RoleSessionName": "you"}),
        (
            {"NumericLessThanEquals": {"sts:DurationSeconds": "900"}},
            {"DurationSeconds": 900},
            {"DurationSeconds": 901},
        ),
        (
            {"StringEquals": {"aws:RequestTag/team": "red"}},
            {"Tags": [tag("team", "red")]},
            {"Tags": [tag("team", "blue")]},
        ),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
            {"Tags": [tag("team", "red")]},
            {"Tags": [tag("team", "red"), tag("other", "x")]},
        ),
        (
            {"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": "team"}},
            {"Tags": [tag("team", "red")], "TransitiveTagKeys": ["team"]},
            {"Tags": [tag("team", "red")]},
        ),
        (
            {"StringLike": {"sts:SourceIdentity": "a*"}},
            {"SourceIdentity": "anna"},
            {"SourceIdentity": "ben"},
        ),
        ({"Null": {"sts:SourceIdentity": "true"}}, {}, {"SourceIdentity": "ben"}),
        ({"StringEquals": {"aws:ResourceTag/kind": "robot"}}, {}, None),
        ({"StringEquals": {"iam:ResourceTag/kind": "robot"}}, {}, None),
        ({"StringEquals": {"aws:ResourceTag/kind": "other"}}, None, {}),
        ({"StringEquals": {"aws:ResourceTag/KIND": "robot"}}, {}, None),
        (
            {"StringEquals": {"aws:RequestTag/Team": "red"}},
            {"Tags": [tag("team", "red")]},
            {"Tags": [tag("TEAM", "blue")]},
        ),
        ({"StringEquals": {"aws:PrincipalTag/team": "red"}}, {}, None),
        ({"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}, None, {}),
        (
            {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}},
            {"Tags": [tag("team", "red")]},
            {"Tags": [tag("team", "blue")]},
        ),
        ({"StringEquals": {"aws:username": "anna"}}, {}, None),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, None),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/24"}}, {}, None),
        ({"IpAddress": {"aws:SourceIp": "10.0.1.0/24"}}, None, {}),
    ],
)
async def test_conditions(sts: StsService, condition: Any, good: Any, bad: Any) -> None:
    await sts.call("TagUser", UserName="anna", Tags=[tag("team", "red")])
    actions = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    trust = trusting(user("anna"), *actions, condition=condition)
    role = await sts.make_role("reader", trust, Tags=[tag("kind", "robot")])
    if good is not None:
        await sts.sts("AssumeRole", "anna", **{**asked(role), **good})
    if bad is not None:
        await sts.denied("AssumeRole", "anna", **{**asked(role), **bad})


async def test_tags_and_source_identity_need_to_be_allowed(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    await sts.denied("AssumeRole", "anna", **asked(role, Tags=[tag("a", "b")]))
    await sts.denied("AssumeRole", "anna", **asked(role, SourceIdentity="anna"))


# --- What is passed ----------------------------------------------------------------------------


async def test_session_policies_and_tags(sts: StsService) -> None:
    trust = trusting(user("anna"), "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = await sts.make_role("reader", trust, Tags=[tag("team", "red"), tag("kind", "robot")])
    await sts.call("AttachRolePolicy", RoleName="reader", PolicyArn=READ_ONLY)
    answer = await sts.sts(
        "AssumeRole",
        "anna",
        **asked(
            role,
            Policy=READS,
            PolicyArns=[{"arn": READ_ONLY}],
            Tags=[tag("team", "blue"), tag("empty", "")],
            TransitiveTagKeys=["team"],
            SourceIdentity="anna",
        ),
    )
    assert 1 <= answer["PackedPolicySize"] <= 20
    assert answer["SourceIdentity"] == "anna"
    sts.remember("session", answer)
    principal = await sts.who("session")
    assert principal.tags == {"team": "blue", "empty": "", "kind": "robot"}
    assert principal.keys["aws:sourceidentity"] == ("anna",)
    assert principal.rights is not None
    assert [each.name for each in principal.rights.policies] == [READ_ONLY]
    assert [each.name for each in principal.rights.session or ()] == [READ_ONLY, "session policy"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Policy": "{}"}, "MalformedPolicyDocument"),
        ({"Policy": "junk"}, "MalformedPolicyDocument"),
        ({"Policy": READS + " " * 2048}, "ValidationError"),
        ({"PolicyArns": [{"arn": f"{ACCOUNT}:policy/gone"}]}, "ValidationError"),
        ({"PolicyArns": [{"arn": f"{ACCOUNT}:role/reader"}]}, "ValidationError"),
        ({"PolicyArns": [{"arn": READ_ONLY}] * 11}, "ValidationError"),
        ({"PolicyArns": [{"arn": READ_ONLY + "x" * 2048}]}, "ValidationError"),
        ({"Tags": [tag("a", "b"), tag("A", "c")]}, "InvalidInput"),
        ({"Tags": [tag("aws:a", "b")]}, "InvalidInput"),
        ({"Tags": [tag("a", "x" * 257)]}, "ValidationError"),
        ({"Tags": [tag("", "x")]}, "ValidationError"),
        ({"Tags": [tag(f"k{number}", "v") for number in range(51)]}, "ValidationError"),
        ({"TransitiveTagKeys": ["a"]}, "ValidationError"),
        ({"SourceIdentity": "a b"}, "ValidationError"),
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 43_201}, "ValidationError"),
        ({"DurationSeconds": 3_601}, "ValidationError"),
        ({"RoleSessionName": "x"}, "ValidationError"),
        ({"RoleSessionName": "x" * 65}, "ValidationError"),
        ({"RoleSessionName": "a/b"}, "ValidationError"),
        ({"RoleArn": "short"}, "ValidationError"),
        ({"SerialNumber": "GAHT12345678", "TokenCode": "123456"}, "AccessDenied"),
    ],
)
async def test_what_cannot_be_passed(sts: StsService, more: Any, code: str) -> None:
    trust = trusting(user("anna"), "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = await sts.make_role("reader", trust)
    assert await sts.code("AssumeRole", "anna", **{**asked(role), **more}) == code


async def test_more_than_can_be_packed(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna"), "sts:*"))
    tags = [tag(f"{secrets.token_hex(32)}", secrets.token_hex(64)) for _ in range(50)]
    error = await sts.refused("AssumeRole", by="anna", service="sts", **asked(role, Tags=tags))
    assert (error.status, error.code) == (400, "PackedPolicyTooLarge")
    # Many that are alike have room.
    tags = [tag(f"department-{number}", "engineering") for number in range(50)]
    answer = await sts.sts("AssumeRole", "anna", **asked(role, Tags=tags))
    assert answer["PackedPolicySize"] < 100


async def test_policies_of_another_account_cannot_be_passed(sts: StsService) -> None:
    other = await sts.front.make_account()
    await sts.call("CreatePolicy", by=other, PolicyName="far", PolicyDocument=READS)
    role = await sts.make_role("reader", trusting(user("anna")))
    arns = [{"arn": f"arn:aws:iam::{other}:policy/far"}]
    assert await sts.code("AssumeRole", "anna", **asked(role, PolicyArns=arns)) == "ValidationError"


async def test_how_long_a_session_of_a_role_may_last(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")), MaxSessionDuration=7200)
    answer = await sts.sts("AssumeRole", "anna", **asked(role, DurationSeconds=7200))
    lasting = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    assert timedelta(minutes=119) < lasting <= timedelta(hours=2)
    error = await sts.refused(
        "AssumeRole", by="anna", service="sts", **asked(role, DurationSeconds=7201)
    )
    assert "MaxSessionDuration" in error.message


# --- From session to session -------------------------------------------------------------------


async def test_from_one_role_to_another(sts: StsService) -> None:
    actions = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    first = await sts.make_role("first", trusting(user("anna"), *actions))
    trust = trusting({"AWS": first}, *actions)
    second = await sts.make_role("second", trust, MaxSessionDuration=7200)
    sts.remember(
        "one",
        await sts.sts(
            "AssumeRole",
            "anna",
            **asked(
                first,
                Tags=[tag("team", "red"), tag("own", "x")],
                TransitiveTagKeys=["team"],
                SourceIdentity="anna",
            ),
        ),
    )
    answer = await sts.sts("AssumeRole", "one", **asked(second, Tags=[tag("more", "y")]))
    assert answer["SourceIdentity"] == "anna"
    sts.remember("two", answer)
    principal = await sts.who("two")
    assert principal.tags == {"team": "red", "more": "y"}
    assert principal.transitive_tags == ("team",)
    assert principal.keys["aws:sourceidentity"] == ("anna",)
    # What was handed on cannot be replaced.
    for more, code in (
        ({"Tags": [tag("Team", "blue")]}, "ValidationError"),
        ({"SourceIdentity": "ben"}, "AccessDenied"),
        ({"DurationSeconds": 3601}, "ValidationError"),
    ):
        assert await sts.code("AssumeRole", "one", **asked(second, **more)) == code
    await sts.sts("AssumeRole", "one", **asked(second, DurationSeconds=3600))


async def test_what_is_handed_on_needs_to_be_allowed(sts: StsService) -> None:
    first = await sts.make_role("first", trusting(user("anna"), "sts:*"))
    second = await sts.make_role("second", trusting({"AWS": first}))
    passed: list[dict[str, Any]] = [
        {"Tags": [tag("a", "b")], "TransitiveTagKeys": ["a"]},
        {"SourceIdentity": "anna"},
    ]
    for each in passed:
        sts.remember("one", await sts.sts("AssumeRole", "anna", **asked(first, **each)))
        await sts.denied("AssumeRole", "one", **asked(second))
    sts.remember("one", await sts.sts("AssumeRole", "anna", **asked(first)))
    await sts.sts("AssumeRole", "one", **asked(second))


async def test_a_role_does_not_trust_itself(sts: StsService) -> None:
    role = await sts.make_role("reader", trusting(user("anna")))
    await sts.call("PutRolePolicy", RoleName="reader", PolicyName="p", PolicyDocument=only("*"))
    sts.remember("session", await sts.sts("AssumeRole", "anna", **asked(role)))
    await sts.denied("AssumeRole", "session", **asked(role))


async def test_a_session_policy_limits_which_roles_can_be_taken_on(sts: StsService) -> None:
    first = await sts.make_role("first", trusting(user("anna")))
    second = await sts.make_role("second", trusting({"AWS": first}))
    narrow = only("s3:*")
    sts.remember("session", await sts.sts("AssumeRole", "anna", **asked(first, Policy=narrow)))
    third = await sts.make_role("third", trusting({"AWS": BART_ID}))
    await sts.call("PutRolePolicy", RoleName="first", PolicyName="p", PolicyDocument=only("*"))
    await sts.denied("AssumeRole", "session", **asked(third))
    sts.remember("wide", await sts.sts("AssumeRole", "anna", **asked(first)))
    await sts.sts("AssumeRole", "wide", **asked(third))
    await sts.sts("AssumeRole", "wide", **asked(second))


# --- The rest ----------------------------------------------------------------------------------


async def test_without_a_master_key() -> None:
    sts = StsService(lambda: NO_KEYS)
    role = await sts.make_role("reader", trusting({"AWS": BART_ID}))
    error = await sts.refused("AssumeRole", service="sts", **asked(role))
    assert (error.status, error.code) == (501, "NotImplemented")
    assert "s3front keys create" in error.message


async def test_the_sessions_of_roles_can_call_iam(sts: StsService) -> None:
    role = await sts.make_role("admin", trusting(user("anna")))
    await sts.call("PutRolePolicy", RoleName="admin", PolicyName="p", PolicyDocument=only("iam:*"))
    sts.remember("session", await sts.sts("AssumeRole", "anna", **asked(role)))
    assert len((await sts.call("ListUsers", by="session"))["Users"]) == 2


async def test_a_policy_that_ends_older_sessions(sts: StsService) -> None:
    """As AWS's console does it."""
    role = await sts.make_role("admin", trusting(user("anna")))
    await sts.call("PutRolePolicy", RoleName="admin", PolicyName="p", PolicyDocument=only("iam:*"))
    sts.now -= 60
    sts.remember("old", await sts.sts("AssumeRole", "anna", **asked(role)))
    sts.now += 60
    sts.remember("new", await sts.sts("AssumeRole", "anna", **asked(role)))
    before = datetime.fromtimestamp(sts.now - 30, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Action": ["*"],
                "Resource": ["*"],
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": before}},
            }
        ],
    }
    await sts.call("ListUsers", by="old")
    await sts.call(
        "PutRolePolicy",
        RoleName="admin",
        PolicyName="AWSRevokeOlderSessions",
        PolicyDocument=json.dumps(deny),
    )
    assert (await sts.refused("ListUsers", by="old")).code == "AccessDenied"
    await sts.call("ListUsers", by="new")
