"""What a call is decided on: the parameters that it has, and no others; and what holds when it
changes something, not what held when it came."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from s3front.auth.credential_sources import Signer
from s3front.auth.identity import Principal
from s3front.iam.change import Decide, Result
from s3front.iam.store import Again
from s3front.iam.user_changes import create_user
from s3front.query_api import iam_subjects
from s3front.query_api.families import IAM
from tests.unit.s3front.iam.stored_identities import BART_ID
from tests.unit.s3front.query_api.query_service import (
    ALL,
    READ_ONLY,
    QueryService,
    model,
    only,
)

LIMITS = {
    "PermissionsBoundary": {"StringEquals": {"iam:PermissionsBoundary": READ_ONLY}},
    "PolicyArn": {"ArnEquals": {"iam:PolicyARN": READ_ONLY}},
    "Tags": {"StringEquals": {"aws:RequestTag/team": "x"}},
    "TagKeys": {"StringEquals": {"aws:TagKeys": "team"}},
}
SAID = {
    "PermissionsBoundary": {"PermissionsBoundary": READ_ONLY},
    "PolicyArn": {"PolicyArn": READ_ONLY},
    "Tags": {"Tags.member.1.Key": "team", "Tags.member.1.Value": "x"},
    "TagKeys": {"TagKeys.member.1": "team"},
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_parameter_that_a_call_does_not_have_meets_no_condition(
    iam: QueryService, limit: str
) -> None:
    """Else whoever may do something under a condition could do everything by saying it."""
    await iam.call("CreateUser", UserName="lead")
    policy = only("iam:*", condition=LIMITS[limit])
    await iam.call("PutUserPolicy", UserName="lead", PolicyName="p", PolicyDocument=policy)
    form = {
        "Version": "2010-05-08",
        "Action": "PutUserPolicy",
        "UserName": "lead",
        "PolicyName": "more",
        "PolicyDocument": ALL,
        **SAID[limit],
    }
    reply = await iam.send(urlencode(form).encode(), "lead")
    assert reply["status_code"] == 403


@pytest.mark.parametrize("limit", ["Tags", "TagKeys"])
@pytest.mark.parametrize(
    ("service", "body"),
    [
        ("iam", b"Version=2010-05-08&Action=CreateUser&UserName=new"),
        ("sts", b"Version=2011-06-15&Action=GetFederationToken&Name=new"),
    ],
)
async def test_a_header_that_is_for_objects_meets_no_condition(
    iam: QueryService, service: str, body: bytes, limit: str
) -> None:
    await iam.call("CreateUser", UserName="lead")
    policy = only(f"{service}:*", condition=LIMITS[limit])
    await iam.call("PutUserPolicy", UserName="lead", PolicyName="p", PolicyDocument=policy)
    tags = {"x-amz-tagging": "team=x"}
    reply = await iam.send(body, "lead", service, tags)
    assert reply["status_code"] == 403


@pytest.mark.parametrize(
    ("parameter", "calls"),
    [
        ("PermissionsBoundary", iam_subjects.GIVE_BOUNDARIES),
        ("Tags", iam_subjects.GIVE_TAGS),
        ("TagKeys", iam_subjects.TAKE_TAGS),
    ],
)
def test_the_calls_that_have_a_parameter_are_those_of_the_model(
    parameter: str, calls: frozenset[str]
) -> None:
    having = {
        name
        for name in IAM.calls
        for shape in [model("iam").operation_model(name).input_shape]
        if shape is not None and parameter in shape.members
    }
    assert having == calls & set(IAM.calls)
    assert having


async def test_who_may_no_more_changes_nothing(iam: QueryService) -> None:
    """His policy goes between the look at it and the change."""
    await iam.call("CreateUser", UserName="lead")
    allowing = {"UserName": "lead", "PolicyName": "p"}
    await iam.call("PutUserPolicy", **allowing, PolicyDocument=only("iam:CreateUser"))
    store = iam.front.store
    change = store.change
    withdrawn: list[bool] = []

    async def change_late(
        decide: Decide[Result],
        request_id: str = "iam",
        allowed: tuple[int, Again] | None = None,
    ) -> Result:
        if not withdrawn:
            withdrawn.append(True)
            await iam.call("DeleteUserPolicy", **allowing)
        return await change(decide, request_id, allowed)

    store.change = change_late  # type: ignore[method-assign]
    error = await iam.refused("CreateUser", by="lead", UserName="late")
    assert (error.status, error.code) == (403, "AccessDenied")
    store.change = change  # type: ignore[method-assign]
    listed = await iam.call("ListUsers")
    assert [user["UserName"] for user in listed["Users"]] == ["lead"]


async def test_who_still_may_is_held_up_by_no_change_of_others(iam: QueryService) -> None:
    store = iam.front.store
    change = store.change
    others: list[str] = []

    async def change_late(
        decide: Decide[Result],
        request_id: str = "iam",
        allowed: tuple[int, Again] | None = None,
    ) -> Result:
        if len(others) < 3:
            others.append(f"other-{len(others)}")
            await iam.call("CreateUser", UserName=others[-1])
        return await change(decide, request_id, allowed)

    store.change = change_late  # type: ignore[method-assign]
    await iam.call("CreateUser", UserName="mine")
    store.change = change  # type: ignore[method-assign]
    listed = await iam.call("ListUsers")
    assert {user["UserName"] for user in listed["Users"]} == {"mine", *others}


async def test_who_asked_is_looked_up_again_without_his_secret(
    iam: QueryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open one may take seconds, for which all other changes would wait."""
    opened: list[str] = []
    find, whose, change = iam.find, iam.whose, iam.front.store.change
    looked_up: list[str] = []

    async def counted(access_key: str, token: str | None = None) -> Signer | None:
        opened.append(access_key)
        return await find(access_key, token)

    async def looked(access_key: str, token: str | None = None) -> Principal | None:
        looked_up.append(access_key)
        return await whose(access_key, token)

    async def change_late(
        decide: Decide[Result],
        request_id: str = "iam",
        allowed: tuple[int, Again] | None = None,
    ) -> Result:
        if not looked_up:
            await change(lambda directory: create_user(directory, BART_ID, "other"))
        return await change(decide, request_id, allowed)

    monkeypatch.setattr(iam, "find", counted)
    monkeypatch.setattr(iam, "whose", looked)
    monkeypatch.setattr(iam.front.store, "change", change_late)
    await iam.call("CreateUser", UserName="mine")
    assert (opened, looked_up) == ([BART_ID], [BART_ID])


async def test_a_key_that_is_another_users_by_now_changes_nothing(
    iam: QueryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An access key may be taken over from another installation by its ID."""
    for name in ("lead", "boss"):
        await iam.call("CreateUser", UserName=name)
        await iam.call("PutUserPolicy", UserName=name, PolicyName="p", PolicyDocument=ALL)
    change = iam.front.store.change

    async def boss(_access_key: str, _token: str | None = None) -> Principal | None:
        return iam.principal("boss")

    async def change_late(
        decide: Decide[Result],
        request_id: str = "iam",
        allowed: tuple[int, Again] | None = None,
    ) -> Result:
        await change(lambda directory: create_user(directory, BART_ID, "other"))
        return await change(decide, request_id, allowed)

    monkeypatch.setattr(iam, "whose", boss)
    monkeypatch.setattr(iam.front.store, "change", change_late)
    error = await iam.refused("CreateUser", by="lead", UserName="mine")
    assert error.code == "InvalidClientTokenId"


async def test_who_makes_something_with_tags_has_to_be_allowed_to_tag_it(
    iam: QueryService,
) -> None:
    """Else any tag that policies look at could be given to what is new."""
    await iam.call("CreateUser", UserName="lead")
    allowing = {"UserName": "lead", "PolicyName": "p"}
    await iam.call("PutUserPolicy", **allowing, PolicyDocument=only("iam:Create*"))
    tags = [{"Key": "team", "Value": "board"}]
    made: dict[str, dict[str, Any]] = {
        "CreateUser": {"UserName": "new"},
        "CreatePolicy": {"PolicyName": "new", "PolicyDocument": ALL},
    }
    for call, parameters in made.items():
        error = await iam.refused(call, by="lead", **parameters, Tags=tags)
        assert (error.status, error.code) == (403, "AccessDenied")
        kind = call.removeprefix("Create")
        assert f"is not authorized to perform: iam:Tag{kind}" in error.message
    policy = only("iam:Create*", "iam:Tag*")
    await iam.call("PutUserPolicy", **allowing, PolicyDocument=policy)
    for call, parameters in made.items():
        await iam.call(call, by="lead", **parameters, Tags=tags)
