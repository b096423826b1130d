"""Every call of IAM, by everybody: who signs nothing, a user without a policy, one with exactly the
action that it needs, one with all but that, and one who is suspended with his account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3front.iam.account_changes import set_account_status
from s3front.iam.user_changes import create_user
from s3front.query_api.families import IAM
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST
from tests.unit.s3front.query_api.query_service import (
    ACCOUNT,
    NOBODY,
    CallFailedError,
    QueryService,
    model,
    only,
)

# What the parameters say that a call must have.
SAID: dict[str, Any] = {
    "AccessKeyId": "AKIAAAAAAAAAAAAAAAAA",
    "AccountAlias": "springfield",
    "ActionNames": ["s3:GetObject"],
    "AssumeRolePolicyDocument": TRUST,
    "ClientID": "app",
    "Description": "d",
    "GroupName": "group",
    "InstanceProfileName": "i",
    "OpenIDConnectProviderArn": f"{ACCOUNT}:oidc-provider/login.example.com",
    "PermissionsBoundary": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
    "PolicyArn": f"{ACCOUNT}:policy/policy",
    "PolicyDocument": READS,
    "PolicyInputList": [READS],
    "PolicyName": "policy",
    "PolicySourceArn": f"{ACCOUNT}:user/user",
    "RoleName": "role",
    "SAMLProviderArn": f"{ACCOUNT}:saml-provider/saml",
    "ServerCertificateName": "c",
    "Status": "Active",
    "TagKeys": ["a"],
    "Tags": [{"Key": "a", "Value": "b"}],
    "ThumbprintList": ["ab" * 20],
    "Url": "https://login.example.com",
    "UserName": "user",
    "VersionId": "v1",
}
calls = pytest.mark.parametrize("name", sorted(IAM.calls))


def said(name: str) -> dict[str, Any]:
    """The parameters that a call must have."""
    shape = model("iam").operation_model(name).input_shape
    required = () if shape is None else shape.required_members
    return {member: SAID[member] for member in required}


async def code_of(iam: QueryService, name: str, by: str) -> str | None:
    """How a call is refused; None: it is not."""
    try:
        await iam.call(name, by, **said(name))
    except CallFailedError as error:
        return error.code
    return None


async def given_to(iam: QueryService, document: str | None) -> None:
    """Make a user who has this policy, and the user whom calls are about."""
    for name in ("user", "somebody"):
        await iam.call("CreateUser", UserName=name)
    if document is not None:
        await iam.call(
            "PutUserPolicy", UserName="somebody", PolicyName="p", PolicyDocument=document
        )


@calls
async def test_nobody_is_not_answered(iam: QueryService, name: str) -> None:
    form = f"Action={name}&Version=2010-05-08".encode()
    reply = await iam.send(form, NOBODY)
    assert reply["status_code"] == 403
    assert b"MissingAuthenticationToken" in reply["body"]


@calls
async def test_a_user_without_a_policy_is_refused(iam: QueryService, name: str) -> None:
    await given_to(iam, None)
    assert await code_of(iam, name, "somebody") == "AccessDenied"


@calls
async def test_a_user_with_exactly_the_action_is_not(iam: QueryService, name: str) -> None:
    await given_to(iam, only(f"iam:{name}"))
    code = await code_of(iam, name, "somebody")
    # No such access key is answered so as well, and tells nothing that is not known.
    assert code != "AccessDenied" or name == "GetAccessKeyLastUsed"


@calls
async def test_a_user_with_everything_else_is_refused(iam: QueryService, name: str) -> None:
    statement = {"Effect": "Allow", "NotAction": f"iam:{name}", "Resource": "*"}
    await given_to(iam, json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert await code_of(iam, name, "somebody") == "AccessDenied"


@calls
async def test_the_account_may(iam: QueryService, name: str) -> None:
    await given_to(iam, None)
    code = await code_of(iam, name, BART_ID)
    assert code != "AccessDenied" or name == "GetAccessKeyLastUsed"


@calls
async def test_a_suspended_account_may_not(iam: QueryService, name: str) -> None:
    account_id = await iam.front.make_account()
    await iam.front.change(lambda directory: create_user(directory, account_id, "user"))
    await iam.front.change(lambda directory: set_account_status(directory, account_id, "suspended"))
    assert await code_of(iam, name, account_id) == "AccessDenied"
