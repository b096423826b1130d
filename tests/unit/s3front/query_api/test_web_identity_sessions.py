"""AssumeRoleWithWebIdentity: who comes with the token of an identity provider, and needs no key."""

from __future__ import annotations

import time
from typing import Any

import pytest

from s3front.iam.provider_documents import ProviderError
from s3front.iam.provider_keys import AGAIN_SECONDS
from s3front.iam.web_identity import SOURCE_IDENTITY_CLAIM, TAGS_CLAIM, KeySet
from tests.unit.s3front.iam.stored_identities import BART_ID, READS
from tests.unit.s3front.iam.web_tokens import (
    EC_KEYS,
    ISSUER,
    OTHER_KEY,
    PLACE,
    claims,
    token,
)
from tests.unit.s3front.query_api.query_service import ACCOUNT, NOBODY, only
from tests.unit.s3front.query_api.sts_service import StsService, trusting

CALL = "AssumeRoleWithWebIdentity"
PROVIDER = f"{ACCOUNT}:oidc-provider/{PLACE}"
FEDERATED = {"Federated": PROVIDER}
TRUST = trusting(FEDERATED, f"sts:{CALL}", condition={"StringEquals": {f"{PLACE}:aud": "app"}})


@pytest.fixture
async def sts() -> StsService:
    """A front-end with the provider, and the role ``web``, which trusts it."""
    service = StsService()
    await service.call("CreateOpenIDConnectProvider", Url=ISSUER, ClientIDList=["app", "other"])
    await service.make_role("web", TRUST)
    return service


def said(**changed: Any) -> dict[str, Any]:
    """The claims of a token that was issued just now."""
    now = int(time.time())
    return claims(**{"iat": now - 5, "exp": now + 600, **changed})


def asked(text: str | None = None, role: str = "web", **more: Any) -> dict[str, Any]:
    return {
        "RoleArn": f"{ACCOUNT}:role/{role}",
        "RoleSessionName": "me",
        "WebIdentityToken": token(said()) if text is None else text,
        **more,
    }


async def test_a_session(sts: StsService) -> None:
    answer = sts.remember("web", await sts.sts(CALL, NOBODY, **asked()))
    assert answer["SubjectFromWebIdentityToken"] == "somebody"
    assert (answer["Audience"], answer["Provider"]) == ("app", ISSUER)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{BART_ID}:assumed-role/web/me"
    identity = await sts.sts("GetCallerIdentity", "web")
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    principal = await sts.who("web")
    assert principal.federated == PROVIDER
    assert principal.keys[f"{PLACE}:sub"] == ("somebody",)
    assert principal.keys[f"{PLACE}:aud"] == ("app",)


async def test_who_signs_may_come_with_a_token_as_well(sts: StsService) -> None:
    await sts.sts(CALL, BART_ID, **asked())


async def test_session_policies(sts: StsService) -> None:
    answer = sts.remember("web", await sts.sts(CALL, NOBODY, **asked(Policy=READS)))
    assert answer["PackedPolicySize"] > 0
    rights = (await sts.who("web")).rights
    assert rights is not None
    assert [each.name for each in rights.session or ()] == ["session policy"]


# --- Whom a role trusts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trust",
    [
        trusting({"AWS": "*"}, "sts:AssumeRole"),
        trusting({"AWS": BART_ID}, f"sts:{CALL}"),
        trusting({"Federated": f"{ACCOUNT}:oidc-provider/other.example.com"}, f"sts:{CALL}"),
        trusting({"Federated": f"arn:aws:iam::999999999999:oidc-provider/{PLACE}"}, f"sts:{CALL}"),
        trusting(FEDERATED, f"sts:{CALL}", effect="Deny"),
        trusting(FEDERATED, "sts:AssumeRole", "sts:TagSession"),
    ],
)
async def test_roles_that_do_not_trust_the_provider(sts: StsService, trust: str) -> None:
    await sts.make_role("closed", trust)
    message = await sts.denied(CALL, NOBODY, **asked(role="closed"))
    assert message == f"Not authorized to perform sts:{CALL}"
    assert await sts.denied(CALL, NOBODY, **asked(role="gone")) == message


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (f"{PLACE}:sub", {"sub": "repo:acme/site:ref:main"}, {"sub": "repo:acme/site:ref:other"}),
        (f"{PLACE.upper()}:SUB", {"sub": "repo:acme/site:ref:main"}, {"sub": "somebody"}),
        (f"{PLACE}:azp", {"azp": "app"}, {}),
        (f"{PLACE}:azp", {"azp": "app"}, {"azp": "other"}),
    ],
)
async def test_conditions_on_claims(sts: StsService, key: str, good: Any, bad: Any) -> None:
    value = good.get("sub", "app")
    condition = {"StringEquals": {key: value}}
    await sts.make_role("narrow", trusting(FEDERATED, f"sts:{CALL}", condition=condition))
    text = token(said(**good))
    await sts.sts(CALL, NOBODY, **asked(text, "narrow"))
    await sts.denied(CALL, NOBODY, **asked(token(said(**bad)), "narrow"))


async def test_a_condition_on_how_somebody_was_recognised(sts: StsService) -> None:
    condition = {"ForAnyValue:StringEquals": {f"{PLACE}:amr": "mfa"}}
    await sts.make_role("narrow", trusting(FEDERATED, f"sts:{CALL}", condition=condition))
    await sts.sts(CALL, NOBODY, **asked(token(said(amr=["pwd", "mfa"])), "narrow"))
    await sts.denied(CALL, NOBODY, **asked(token(said(amr=["pwd"])), "narrow"))
    await sts.denied(CALL, NOBODY, **asked(role="narrow"))


async def test_an_audience_that_the_role_does_not_want(sts: StsService) -> None:
    # The provider has it, for other roles.
    await sts.denied(CALL, NOBODY, **asked(token(said(aud="other"))))


async def test_tags_and_source_identity(sts: StsService) -> None:
    tags = {"principal_tags": {"team": ["red"]}, "transitive_tag_keys": ["team"]}
    text = token(said(**{TAGS_CLAIM: tags, SOURCE_IDENTITY_CLAIM: "anna"}))
    await sts.denied(CALL, NOBODY, **asked(text))
    condition = {
        "StringEquals": {"aws:RequestTag/team": "red"},
        "StringLike": {"sts:SourceIdentity": "an*"},
    }
    actions = (f"sts:{CALL}", "sts:TagSession", "sts:SetSourceIdentity")
    await sts.make_role("tagged", trusting(FEDERATED, *actions, condition=condition))
    answer = sts.remember("web", await sts.sts(CALL, NOBODY, **asked(text, "tagged")))
    assert answer["SourceIdentity"] == "anna"
    principal = await sts.who("web")
    assert (principal.tags, principal.transitive_tags) == ({"team": "red"}, ("team",))
    other = {"principal_tags": {"team": ["blue"]}}
    text = token(said(**{TAGS_CLAIM: other, SOURCE_IDENTITY_CLAIM: "anna"}))
    await sts.denied(CALL, NOBODY, **asked(text, "tagged"))
    many = {"principal_tags": {f"k{number}": ["v"] for number in range(51)}}
    text = token(said(**{TAGS_CLAIM: many}))
    assert await sts.code(CALL, NOBODY, **asked(text, "tagged")) == "ValidationError"


async def test_a_session_is_not_its_provider(sts: StsService) -> None:
    """What trusts a provider trusts who comes with its token, and no session that began so."""
    await sts.make_role("other", trusting(FEDERATED, "sts:AssumeRole*"))
    await sts.sts(CALL, NOBODY, **asked(role="other"))
    sts.remember("web", await sts.sts(CALL, NOBODY, **asked()))
    role = {"RoleArn": f"{ACCOUNT}:role/other", "RoleSessionName": "me"}
    await sts.denied("AssumeRole", "web", **role)


async def test_claims_that_are_long(sts: StsService) -> None:
    await sts.make_role("any", trusting(FEDERATED, f"sts:{CALL}"))
    text = token(said(sub="ä" * 1000, email="ü" * 1000))
    sts.remember("web", await sts.sts(CALL, NOBODY, **asked(text, "any")))
    await sts.sts("GetCallerIdentity", "web")


# --- Tokens --------------------------------------------------------------------------------------


async def test_tokens_that_are_not_right(sts: StsService) -> None:
    now = int(time.time())
    for text, code in (
        ("junk", "InvalidIdentityToken"),
        (token(said(), key=OTHER_KEY), "InvalidIdentityToken"),
        (token(said(aud="nobody")), "InvalidIdentityToken"),
        (token(said(iss="https://other.example.com")), "InvalidIdentityToken"),
        (token(said(iss=ISSUER.upper().replace("HTTPS", "https"))), "InvalidIdentityToken"),
        (token(said(nbf=now + 600)), "InvalidIdentityToken"),
        (token(said(exp=now - 120)), "ExpiredTokenException"),
    ):
        error = await sts.refused(CALL, by=NOBODY, service="sts", **asked(text))
        assert (error.status, error.code) == (400, code)


async def test_elliptic_curves(sts: StsService) -> None:
    text = token(said(), key=EC_KEYS["ES256"], algorithm="ES256", key_id="ES256")
    await sts.sts(CALL, NOBODY, **asked(text))


async def test_a_provider_of_another_account(sts: StsService) -> None:
    other = await sts.front.make_account()
    await sts.call(
        "CreateRole",
        by=other,
        RoleName="web",
        AssumeRolePolicyDocument=trusting(FEDERATED, f"sts:{CALL}"),
    )
    error = await sts.refused(
        CALL, by=NOBODY, service="sts", **asked(RoleArn=f"arn:aws:iam::{other}:role/web")
    )
    assert error.code == "InvalidIdentityToken"
    assert error.message == f"No OpenIDConnect provider found in your account for {ISSUER}"


async def test_a_provider_that_was_removed(sts: StsService) -> None:
    sts.remember("web", await sts.sts(CALL, NOBODY, **asked()))
    await sts.call("DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=PROVIDER)
    assert await sts.code(CALL, NOBODY, **asked()) == "InvalidIdentityToken"
    # Sessions that began before last until they end, as with AWS.
    await sts.sts("GetCallerIdentity", "web")


async def test_a_client_id_that_was_removed(sts: StsService) -> None:
    await sts.call(
        "RemoveClientIDFromOpenIDConnectProvider",
        OpenIDConnectProviderArn=PROVIDER,
        ClientID="app",
    )
    assert await sts.code(CALL, NOBODY, **asked()) == "InvalidIdentityToken"


async def test_a_provider_that_is_away(sts: StsService, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]

    async def away(_place: str) -> KeySet:
        raise ProviderError("it is away")

    monkeypatch.setattr(sts.sessions.providers, "_fetch", away)
    monkeypatch.setattr(sts.sessions.providers, "_clock", lambda: now[0])
    error = await sts.refused(CALL, by=NOBODY, service="sts", **asked())
    assert (error.status, error.code) == (400, "IDPCommunicationError")
    monkeypatch.setattr(sts.sessions.providers, "_fetch", sts._fetch)
    now[0] += AGAIN_SECONDS
    await sts.sts(CALL, NOBODY, **asked())


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"WebIdentityToken": "x"}, "ValidationError"),
        ({"WebIdentityToken": "x" * 20_001}, "ValidationError"),
        ({"RoleArn": "x" * 20}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"ProviderId": "www.amazon.com"}, "ValidationError"),
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"Policy": "{}"}, "MalformedPolicyDocument"),
    ],
)
async def test_what_cannot_be_asked_for(sts: StsService, more: Any, code: str) -> None:
    assert await sts.code(CALL, NOBODY, **asked(**more)) == code


async def test_with_an_aws_condition_variable(sts: StsService) -> None:
    """What a provider said is known when the session asks for something."""
    policy = only("iam:ListUsers", condition={"StringEquals": {f"{PLACE}:sub": "somebody"}})
    await sts.call("PutRolePolicy", RoleName="web", PolicyName="p", PolicyDocument=policy)
    sts.remember("web", await sts.sts(CALL, NOBODY, **asked()))
    await sts.call("ListUsers", by="web")
    text = token(said(sub="other"))
    sts.remember("other", await sts.sts(CALL, NOBODY, **asked(text)))
    assert (await sts.refused("ListUsers", by="other")).code == "AccessDenied"
