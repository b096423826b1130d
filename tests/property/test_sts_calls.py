"""Whatever calls of STS are sent, they are answered or refused in its words, and nothing breaks."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.s3front.iam.stored_identities import BART_ID, READS
from tests.unit.s3front.iam.web_tokens import ISSUER, KEYS, claims, raw, token
from tests.unit.s3front.query_api.query_service import ACCOUNT, NOBODY, READ_ONLY
from tests.unit.s3front.query_api.sts_service import StsService, trusting

_ODD = st.text(max_size=30) | st.sampled_from(
    ("", " ", "*", "a\0b", "x" * 3000, "-1", "1e9", "9" * 18, "٣٤٥٦", "ä", "\x7f", "../..", "%00")
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_TOKENS = st.builds(
    lambda head, said: raw(head, said, signature="AAAA"),
    st.dictionaries(
        st.sampled_from(("alg", "kid", "crit", "typ")), _JSON | st.sampled_from(("RS256", "rsa"))
    ),
    st.dictionaries(st.sampled_from(("iss", "sub", "aud", "exp", "iat")), _JSON | st.just(ISSUER)),
)
_USUAL: dict[str, st.SearchStrategy[str]] = {
    "Action": st.sampled_from(
        ("AssumeRole", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken")
    ),
    "Version": st.just("2011-06-15"),
    "RoleArn": st.sampled_from((f"{ACCOUNT}:role/open", f"{ACCOUNT}:role/gone")),
    "RoleSessionName": st.just("me"),
    "Name": st.just("guest"),
    "WebIdentityToken": _TOKENS | st.just(token(claims(exp=1 << 39, iat=0))),
}
_OTHERS: dict[str, st.SearchStrategy[str]] = {
    "DurationSeconds": st.integers(900, 3600).map(str),
    "Policy": st.sampled_from((READS, "{}", "[" * 2000)),
    "PolicyArns.member.1.arn": st.sampled_from((READ_ONLY, f"{ACCOUNT}:policy/gone")),
    "Tags.member.1.Key": st.just("team"),
    "Tags.member.1.Value": st.just("red"),
    "Tags.member.2.Key": st.sampled_from(("Team", "other")),
    "Tags.member.2.Value": st.just(""),
    "TransitiveTagKeys.member.1": st.sampled_from(("team", "none")),
    "ExternalId": st.just("tenant"),
    "SourceIdentity": st.just("anna"),
}
_NAMES = (*_USUAL, *_OTHERS, "SerialNumber", "TokenCode", "ProviderId")
_FORMS = st.builds(
    lambda usual, odd: {**usual, **odd},
    st.fixed_dictionaries(_USUAL, optional=_OTHERS),
    st.dictionaries(st.sampled_from(_NAMES[2:]), _ODD, max_size=2),
)


@pytest.fixture(scope="module")
def sts() -> StsService:
    """A role that everybody may take on, in every way."""
    service = StsService()

    async def prepare() -> None:
        await service.call("CreateOpenIDConnectProvider", Url=ISSUER, ClientIDList=["app"])
        place = ISSUER.removeprefix("https://")
        principal = {"AWS": "*", "Federated": f"{ACCOUNT}:oidc-provider/{place}"}
        await service.make_role("open", trusting(principal, "sts:*"))
        await service.make_user("anna")
        assert KEYS

    asyncio.run(prepare())
    return service


@given(form=_FORMS, by=st.sampled_from((NOBODY, BART_ID, "anna")))
def test_calls_are_answered(sts: StsService, form: dict[str, str], by: str) -> None:
    body = urlencode(form, errors="surrogatepass").encode()
    reply: dict[str, Any] = asyncio.run(sts.send(body, by, "sts"))
    tree = fromstring(reply["body"])  # noqa: S314  # ours
    if reply["status_code"] == 200:
        assert tree.tag.endswith(f"{form['Action']}Response")
    else:
        assert reply["status_code"] in (400, 403)
        code = tree.findtext(".//{*}Code")
        assert code
        assert code != "InternalFailure"
