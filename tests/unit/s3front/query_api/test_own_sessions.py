"""GetSessionToken and GetFederationToken: credentials of users and accounts themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3front.auth.sigv4 import AccessKey
from tests.unit.s3front.iam.stored_identities import BART_ID, READS
from tests.unit.s3front.query_api.query_service import ACCOUNT, NOBODY, READ_ONLY, only, tag
from tests.unit.s3front.query_api.sts_service import StsService, trusting

GUEST = f"arn:aws:sts::{BART_ID}:federated-user/guest"
INVALID = "InvalidClientTokenId"


@pytest.fixture
async def sts() -> StsService:
    """A front-end with the users anna, who has no policies, and boss, who may everything."""
    service = StsService()
    await service.make_user("anna")
    await service.make_user("boss", only("*"))
    return service


def lasting(answer: Any) -> timedelta:
    found: timedelta = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    return found + timedelta(seconds=5)


async def test_a_user_needs_no_permission_for_a_session(sts: StsService) -> None:
    answer = sts.remember("session", await sts.sts("GetSessionToken", "anna"))
    assert set(answer) == {"Credentials"}
    assert timedelta(hours=12) <= lasting(answer) < timedelta(hours=12, minutes=1)
    identity = await sts.sts("GetCallerIdentity", "session")
    assert identity["Arn"] == f"{ACCOUNT}:user/anna"
    principal = await sts.who("session")
    assert (principal.user_name, principal.kind) == ("anna", "User")
    assert principal.is_temporary


async def test_a_policy_may_deny_it(sts: StsService) -> None:
    deny = only("sts:GetSessionToken").replace("Allow", "Deny")
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=deny)
    assert "explicit deny" in await sts.denied("GetSessionToken", "anna")


@pytest.mark.parametrize("seconds", [899, 129_601])
@pytest.mark.parametrize("call", ["GetSessionToken", "GetFederationToken"])
async def test_how_long_it_may_not_last(sts: StsService, call: str, seconds: int) -> None:
    more = {"Name": "guest"} if call == "GetFederationToken" else {}
    assert await sts.code(call, "boss", DurationSeconds=seconds, **more) == "ValidationError"


async def test_sessions_of_an_account_itself_are_short(sts: StsService) -> None:
    for call, more in (("GetSessionToken", {}), ("GetFederationToken", {"Name": "guest"})):
        for seconds, most in ((900, 900), (129_600, 3600)):
            answer = await sts.sts(call, BART_ID, DurationSeconds=seconds, **more)
            assert timedelta(seconds=most) <= lasting(answer) < timedelta(seconds=most + 60)
    sts.remember("session", await sts.sts("GetSessionToken"))
    assert (await sts.sts("GetCallerIdentity", "session"))["Arn"] == f"{ACCOUNT}:root"
    assert (await sts.who("session")).rights is None


async def test_somebody_whom_a_user_vouches_for(sts: StsService) -> None:
    parameters: dict[str, Any] = {"Name": "guest", "Policy": READS, "Tags": [tag("a", "b")]}
    answer = await sts.sts("GetFederationToken", "boss", **parameters)
    assert answer["FederatedUser"] == {"FederatedUserId": f"{BART_ID}:guest", "Arn": GUEST}
    assert answer["PackedPolicySize"] > 0
    sts.remember("guest", answer)
    identity = await sts.sts("GetCallerIdentity", "guest")
    assert identity == {"UserId": f"{BART_ID}:guest", "Account": BART_ID, "Arn": GUEST}
    principal = await sts.who("guest")
    assert principal.tags == {"a": "b"}
    assert principal.rights is not None
    assert [each.name for each in principal.rights.session or ()] == ["session policy"]


async def test_it_has_to_be_allowed(sts: StsService) -> None:
    assert "no identity-based policy" in await sts.denied(
        "GetFederationToken", "anna", Name="guest"
    )
    policy = only("sts:GetFederationToken", resource=GUEST)
    await sts.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=policy)
    await sts.sts("GetFederationToken", "anna", Name="guest")
    await sts.denied("GetFederationToken", "anna", Name="other")
    await sts.denied("GetFederationToken", "anna", Name="guest", Tags=[tag("a", "b")])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"Name": "x"}, "ValidationError"),
        ({"Name": "x" * 33}, "ValidationError"),
        ({"Name": "a b"}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"PolicyArns": [{"arn": f"{ACCOUNT}:policy/gone"}]}, "ValidationError"),
        ({"Tags": [tag("a", "b"), tag("a", "c")]}, "InvalidInput"),
    ],
)
async def test_what_cannot_be_passed(sts: StsService, more: Any, code: str) -> None:
    assert await sts.code("GetFederationToken", "boss", **{"Name": "guest", **more}) == code


async def test_managed_policies_can_be_passed(sts: StsService) -> None:
    arns = [{"arn": READ_ONLY}]
    sts.remember("guest", await sts.sts("GetFederationToken", "boss", Name="me", PolicyArns=arns))
    rights = (await sts.who("guest")).rights
    assert rights is not None
    assert [each.name for each in rights.session or ()] == [READ_ONLY]


async def test_what_sessions_cannot_ask_for(sts: StsService) -> None:
    role = await sts.make_role("role", trusting({"AWS": BART_ID}))
    await sts.call("PutRolePolicy", RoleName="role", PolicyName="p", PolicyDocument=only("*"))
    sts.remember("own", await sts.sts("GetSessionToken", "boss"))
    sts.remember("guest", await sts.sts("GetFederationToken", "boss", Name="me", Policy=only("*")))
    asked = {"RoleArn": role, "RoleSessionName": "me"}
    sts.remember("role", await sts.sts("AssumeRole", "boss", **asked))
    for who in ("own", "guest", "role"):
        for call, more in (("GetSessionToken", {}), ("GetFederationToken", {"Name": "me"})):
            message = await sts.denied(call, who, **more)
            assert message == f"Cannot call {call} with session credentials"
        await sts.sts("GetCallerIdentity", who)
    # A user's own session can take on roles, and that of somebody else cannot.
    await sts.sts("AssumeRole", "own", **asked)
    await sts.denied("AssumeRole", "guest", **asked)
    # Without a device neither can call IAM.
    for who in ("own", "guest"):
        assert (await sts.refused("ListUsers", by=who)).code == INVALID
    await sts.call("ListUsers", by="role")


async def test_a_device_that_nobody_knows(sts: StsService) -> None:
    for more in ({"SerialNumber": "GAHT12345678"}, {"TokenCode": "123456"}):
        await sts.denied("GetSessionToken", "anna", **more)


async def test_who_does_not_sign(sts: StsService) -> None:
    for call, more in (("GetSessionToken", {}), ("GetFederationToken", {"Name": "me"})):
        assert await sts.code(call, NOBODY, **more) == "MissingAuthenticationToken"


async def test_tokens_that_are_not_right(sts: StsService) -> None:
    sts.remember("session", await sts.sts("GetSessionToken", "anna"))
    sts.remember("other", await sts.sts("GetSessionToken", "anna"))
    good, other = sts.keys_of_sessions["session"], sts.keys_of_sessions["other"]
    for name, key in {
        "without": AccessKey(good.access_key, good.secret),
        "of another": AccessKey(good.access_key, good.secret, session_token=other.session_token),
        "cut": AccessKey(
            good.access_key, good.secret, session_token=(good.session_token or "")[:-4]
        ),
    }.items():
        sts.keys_of_sessions[name] = key
        error = await sts.refused("GetCallerIdentity", by=name, service="sts")
        assert (error.status, error.code) == (403, INVALID)
    sts.keys_of_sessions["secret"] = AccessKey(
        good.access_key, other.secret, session_token=good.session_token
    )
    assert await sts.code("GetCallerIdentity", "secret") == "SignatureDoesNotMatch"
    sts.now += 43_200
    error = await sts.refused("GetCallerIdentity", by="session", service="sts")
    assert (error.status, error.code) == (403, "ExpiredToken")


async def test_a_user_who_is_removed_has_no_sessions(sts: StsService) -> None:
    sts.remember("session", await sts.sts("GetSessionToken", "anna"))
    sts.remember("guest", await sts.sts("GetFederationToken", "boss", Name="me"))
    await sts.call("DeleteUser", UserName="anna")
    assert await sts.code("GetCallerIdentity", "session") == INVALID
    await sts.call("DeleteUserPolicy", UserName="boss", PolicyName="own")
    await sts.call("DeleteUser", UserName="boss")
    assert await sts.code("GetCallerIdentity", "guest") == INVALID
