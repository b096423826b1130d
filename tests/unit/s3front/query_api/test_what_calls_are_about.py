"""What is judged is what is then acted on, however a client writes it."""

from __future__ import annotations

import json

import pytest

from tests.unit.s3front.query_api.query_service import ACCOUNT, QueryService, only

PROVIDER = f"{ACCOUNT}:oidc-provider/id.example.com"


def all_but(action: str, resource: str) -> str:
    """A policy that denies an action on something, and allows everything else."""
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow, deny]})


async def make_lead(iam: QueryService, policy: str) -> None:
    await iam.call("CreateUser", UserName="lead")
    await iam.call("PutUserPolicy", UserName="lead", PolicyName="p", PolicyDocument=policy)


@pytest.mark.parametrize("written", [PROVIDER, PROVIDER.replace("id.", "ID.")])
async def test_a_provider_is_the_same_in_any_case(iam: QueryService, written: str) -> None:
    await iam.call("CreateOpenIDConnectProvider", Url="https://id.example.com")
    await make_lead(iam, all_but("iam:*OpenIDConnectProvider*", PROVIDER))
    lead = {"by": "lead", "OpenIDConnectProviderArn": written}
    for name, parameters in (
        ("AddClientIDToOpenIDConnectProvider", {"ClientID": "other"}),
        ("DeleteOpenIDConnectProvider", {}),
    ):
        assert (await iam.refused(name, **lead, **parameters)).code == "AccessDenied"


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example.com",
        "https://id.example.com/",
        "HTTPS://id.example.com",
        "https://ID.example.com",
        "https://id.exam\tple.com",
    ],
)
async def test_a_new_provider_is_the_one_that_is_made(iam: QueryService, url: str) -> None:
    await make_lead(iam, all_but("iam:CreateOpenIDConnectProvider", PROVIDER))
    error = await iam.refused("CreateOpenIDConnectProvider", by="lead", Url=url)
    assert error.code == "AccessDenied"
    made = await iam.call("CreateOpenIDConnectProvider", Url=url)
    assert made["OpenIDConnectProviderArn"] == PROVIDER


async def test_a_new_provider_is_no_host_behind_a_name(iam: QueryService) -> None:
    error = await iam.refused("CreateOpenIDConnectProvider", Url="https://x@id.example.com")
    assert error.code == "ValidationError"


@pytest.mark.parametrize("name", ["SimulatePrincipalPolicy", "GetContextKeysForPrincipalPolicy"])
async def test_whose_policies_are_asked_for_is_named_by_the_path(
    iam: QueryService, name: str
) -> None:
    await iam.call("CreateUser", UserName="anna", Path="/board/")
    staff = f"{ACCOUNT}:user/staff/*"
    await make_lead(iam, only("iam:Simulate*", "iam:GetContextKeys*", resource=staff))
    said = {"ActionNames": ["s3:GetObject"]} if name.startswith("Simulate") else {}
    denied = await iam.refused(
        name, by="lead", PolicySourceArn=f"{ACCOUNT}:user/board/anna", **said
    )
    assert denied.code == "AccessDenied"
    none = await iam.refused(name, by="lead", PolicySourceArn=f"{ACCOUNT}:user/staff/anna", **said)
    assert none.code == "NoSuchEntity"


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"NewPath": "/staff/new/"}, True),
        ({"NewName": "ben"}, True),
        ({"NewPath": "/board/"}, False),
        ({"NewPath": "/"}, False),
        ({"NewPath": "/staff/new/", "NewName": "chief"}, False),
        ({"NewName": "chief"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["User", "Group"])
async def test_who_renames_may_do_so_on_what_comes_of_it(
    iam: QueryService, kind: str, changes: dict[str, str], allowed: bool
) -> None:
    everything = only("iam:*", resource=f"{ACCOUNT}:{kind.lower()}/staff/*")
    await make_lead(iam, everything)
    chief = f"{ACCOUNT}:{kind.lower()}/staff/*chief"
    denied = {"UserName": "lead", "PolicyName": "deny"}
    deny = all_but("iam:*", chief).replace('"Action": "*"', '"Action": "s3:*"')
    await iam.call("PutUserPolicy", **denied, PolicyDocument=deny)
    await iam.call(f"Create{kind}", **{f"{kind}Name": "anna"}, Path="/staff/")
    said = {name.replace("NewName", f"New{kind}Name"): text for name, text in changes.items()}
    call = {f"{kind}Name": "anna", **said}
    if allowed:
        await iam.call(f"Update{kind}", by="lead", **call)
        return
    error = await iam.refused(f"Update{kind}", by="lead", **call)
    assert error.code == "AccessDenied"
    path, name = changes.get("NewPath", "/staff/"), changes.get("NewName", "anna")
    assert f"on resource: {ACCOUNT}:{kind.lower()}{path}{name}" in error.message


async def test_what_a_user_becomes_has_his_tags_and_boundary(iam: QueryService) -> None:
    tags = {"StringEquals": {"aws:ResourceTag/team": "x"}}
    await make_lead(iam, only("iam:UpdateUser", condition=tags))
    for name, team in (("anna", "x"), ("ben", "y")):
        await iam.call("CreateUser", UserName=name, Tags=[{"Key": "team", "Value": team}])
    await iam.call("UpdateUser", by="lead", UserName="anna", NewUserName="carla")
    renaming = {"by": "lead", "UserName": "ben", "NewUserName": "carl"}
    assert (await iam.refused("UpdateUser", **renaming)).code == "AccessDenied"
