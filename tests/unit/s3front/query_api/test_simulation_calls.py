"""Calls that say what would be decided."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from s3front.iam.callers import caller_named
from s3front.query_api.simulation_calls import PAGE_SECONDS
from s3front.query_api.simulation_thread import WAITING_OF_ACCOUNT_MAX
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST
from tests.unit.s3front.query_api.query_service import ACCOUNT, ALL, READ_ONLY, QueryService

NO_DELETING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}],
    }
)
OF_ADDRESS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::b/${aws:username}/*",
                "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            }
        ],
    }
)


def decisions(answer: dict[str, Any]) -> list[str]:
    return [result["EvalDecision"] for result in answer["EvaluationResults"]]


async def test_a_principal_is_simulated(iam: QueryService) -> None:
    await iam.call("CreateUser", UserName="anna")
    await iam.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=READS)
    asked: dict[str, Any] = {
        "PolicySourceArn": f"{ACCOUNT}:user/anna",
        "ActionNames": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "ResourceArns": ["arn:aws:s3:::b/anna/k"],
        "PolicyInputList": [NO_DELETING, OF_ADDRESS],
    }
    answer = await iam.call("SimulatePrincipalPolicy", **asked)
    assert decisions(answer) == ["allowed", "implicitDeny", "explicitDeny"]
    results = answer["EvaluationResults"]
    assert results[0]["MatchedStatements"] == [
        {"SourcePolicyId": "user_anna_p", "SourcePolicyType": "user"}
    ]
    assert results[1]["MissingContextValues"] == ["aws:SourceIp"]
    assert results[2]["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"
    entry = {
        "ContextKeyName": "aws:sourceip",
        "ContextKeyValues": ["10.1.2.3"],
        "ContextKeyType": "ip",
    }
    within = await iam.call("SimulatePrincipalPolicy", **asked, ContextEntries=[entry])
    assert decisions(within) == ["allowed", "allowed", "explicitDeny"]
    names = await iam.call(
        "GetContextKeysForPrincipalPolicy",
        PolicySourceArn=asked["PolicySourceArn"],
        PolicyInputList=[OF_ADDRESS],
    )
    assert names["ContextKeyNames"] == ["aws:SourceIp", "aws:username"]


async def test_a_boundary_is_simulated(iam: QueryService) -> None:
    await iam.call("CreateRole", RoleName="R", AssumeRolePolicyDocument=TRUST)
    await iam.call("PutRolePolicy", RoleName="R", PolicyName="p", PolicyDocument=ALL)
    await iam.call("PutRolePermissionsBoundary", RoleName="R", PermissionsBoundary=READ_ONLY)
    answer = await iam.call(
        "SimulatePrincipalPolicy",
        PolicySourceArn=f"{ACCOUNT}:role/R",
        ActionNames=["s3:GetObject", "s3:PutObject"],
    )
    assert decisions(answer) == ["allowed", "implicitDeny"]
    assert [
        result["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"]
        for result in answer["EvaluationResults"]
    ] == [True, False]


async def test_a_group_is_simulated(iam: QueryService) -> None:
    await iam.call("CreateGroup", GroupName="G")
    await iam.call("AttachGroupPolicy", GroupName="G", PolicyArn=READ_ONLY)
    answer = await iam.call(
        "SimulatePrincipalPolicy",
        PolicySourceArn=f"{ACCOUNT}:group/G",
        ActionNames=["s3:GetObject", "s3:PutObject"],
    )
    assert decisions(answer) == ["allowed", "implicitDeny"]


async def test_policies_alone_are_simulated_in_pages(iam: QueryService) -> None:
    asked: dict[str, Any] = {
        "PolicyInputList": [READS],
        "ActionNames": ["s3:GetObject", "s3:PutObject"],
    }
    resources = [f"arn:aws:s3:::b/{number}" for number in range(3)]
    pages = []
    marker: dict[str, str] = {}
    while True:
        page = await iam.call(
            "SimulateCustomPolicy", **asked, ResourceArns=resources, MaxItems=4, **marker
        )
        pages.append(decisions(page))
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert pages == [["allowed"] * 3 + ["implicitDeny"], ["implicitDeny"] * 2]
    names = await iam.call("GetContextKeysForCustomPolicy", PolicyInputList=[OF_ADDRESS])
    assert names["ContextKeyNames"] == ["aws:SourceIp", "aws:username"]
    bad = await iam.refused("SimulateCustomPolicy", **{**asked, "PolicyInputList": ["{"]})
    assert bad.code == "InvalidInput"


async def test_the_policy_of_a_resource_is_simulated(iam: QueryService) -> None:
    other = await iam.front.make_account()
    await iam.call("CreateUser", UserName="anna")
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"{ACCOUNT}:user/anna"},
                    "Action": "s3:GetObject",
                    "Resource": "arn:aws:s3:::b/*",
                }
            ],
        }
    )
    asked: dict[str, Any] = {
        "PolicySourceArn": f"{ACCOUNT}:user/anna",
        "ActionNames": ["s3:GetObject"],
        "ResourceArns": ["arn:aws:s3:::b/k"],
        "ResourcePolicy": policy,
    }
    assert decisions(await iam.call("SimulatePrincipalPolicy", **asked)) == ["allowed"]
    foreign = {**asked, "ResourceOwner": f"arn:aws:iam::{other}:root"}
    assert decisions(await iam.call("SimulatePrincipalPolicy", **foreign)) == ["implicitDeny"]


async def test_of_many_statements_a_page_is_shorter(iam: QueryService) -> None:
    many = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}] * 2000,
        }
    )
    resources = [f"arn:aws:s3:::b/{number}" for number in range(100)]
    asked: dict[str, Any] = {"PolicyInputList": [READS, many], "ActionNames": ["s3:GetObject"]}
    page = await iam.call("SimulateCustomPolicy", **asked, ResourceArns=resources)
    assert decisions(page) == ["allowed"] * 99
    rest = await iam.call(
        "SimulateCustomPolicy", **asked, ResourceArns=resources, Marker=page["Marker"]
    )
    assert (decisions(rest), rest["IsTruncated"]) == (["allowed"], False)


@pytest.mark.parametrize("policy", ['{"Statement":0}', '{"Statement":null}', "{}", "[]", "{", "1"])
async def test_the_policy_of_a_resource_that_is_none(iam: QueryService, policy: str) -> None:
    asked = {"PolicyInputList": [READS], "ActionNames": ["s3:GetObject"]}
    error = await iam.refused("SimulateCustomPolicy", **asked, ResourcePolicy=policy)
    assert (error.status, error.code) == (400, "InvalidInput")


HARD = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "*",
                "Resource": "*",
                "Condition": {"StringLike": {"s3:prefix": [f"*?z{n:x}*" for n in range(2_000)]}},
            }
        ],
    }
)
KEYS = [
    {"ContextKeyName": "s3:prefix", "ContextKeyValues": ["z" * 9_000], "ContextKeyType": "string"}
]


async def test_when_it_takes_long_a_page_is_shorter(iam: QueryService) -> None:
    asked: dict[str, Any] = {
        "PolicyInputList": [HARD],
        "ActionNames": ["s3:ListBucket"],
        "ResourceArns": [f"arn:aws:s3:::b{number}" for number in range(1_000)],
        "ContextEntries": KEYS,
        "MaxItems": 1_000,
    }
    begun = time.process_time()
    page = await iam.call("SimulateCustomPolicy", **asked)
    assert time.process_time() - begun < 10 * PAGE_SECONDS
    shown = len(page["EvaluationResults"])
    assert set(decisions(page)) == {"implicitDeny"}
    assert (0 < shown < 1_000, page["IsTruncated"]) == (True, True)
    rest = await iam.call("SimulateCustomPolicy", **asked, Marker=page["Marker"])
    assert rest["EvaluationResults"][0]["EvalResourceName"] == f"arn:aws:s3:::b{shown}"


async def test_an_account_cannot_have_many_at_once(iam: QueryService) -> None:
    asked: dict[str, Any] = {
        "PolicyInputList": [HARD],
        "ActionNames": ["s3:ListBucket"],
        "ContextEntries": KEYS,
    }
    answers = await asyncio.gather(
        *(iam.call("SimulateCustomPolicy", **asked) for _ in range(WAITING_OF_ACCOUNT_MAX + 2)),
        return_exceptions=True,
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 2
    assert all("Throttling" in str(error) for error in refused)
    assert decisions(await iam.call("SimulateCustomPolicy", **asked)) == ["implicitDeny"]


async def test_a_role_is_simulated_as_a_session_of_it(iam: QueryService) -> None:
    """As it signs, and as the command for operators does: its ARN and ID are those of a session."""
    made = await iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=TRUST)
    role_id = made["Role"]["RoleId"]
    session = {
        "Effect": "Allow",
        "Action": "s3:GetObject",
        "Resource": "*",
        "Condition": {
            "StringLike": {"aws:userid": f"{role_id}:*"},
            "ArnEquals": {"aws:PrincipalArn": made["Role"]["Arn"]},
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [session]})
    await iam.call("PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=policy)
    asked = {"PolicySourceArn": made["Role"]["Arn"], "ActionNames": ["s3:GetObject"]}
    assert decisions(await iam.call("SimulatePrincipalPolicy", **asked)) == ["allowed"]
    principal = caller_named(iam.front.directory, made["Role"]["Arn"])
    assert principal.arn == f"arn:aws:sts::{BART_ID}:assumed-role/r/simulated"
