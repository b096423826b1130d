"""Whatever a form says, IAM answers it: no call fails for what a client sent."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3front.query_api.families import IAM
from tests.unit.s3front.iam.stored_identities import BART_ID, READS, TRUST
from tests.unit.s3front.iam.test_session_service import KEYS
from tests.unit.s3front.query_api.query_service import ALL, READ_ONLY, QueryService, model

ODD = [
    "",
    "*",
    "a" * 5000,
    "\0",
    "é\N{SNOWMAN}",
    "..",
    "/",
    "//",
    "-1",
    "0",
    "99999999999999999999",
    "true",
    "[]",
    "{}",
    "{" * 200,
    "v1",
    "v0",
    "AAAA",
    "arn:aws:iam::",
    "arn:aws:iam::123456789012:user/",
    "arn:aws:iam::aws:policy/None",
]
GOOD = [
    "anna",
    "ANNA",
    "group",
    "role",
    READS,
    TRUST,
    ALL,
    READ_ONLY,
    f"arn:aws:iam::{BART_ID}:user/anna",
    f"arn:aws:iam::{BART_ID}:group/group",
    f"arn:aws:iam::{BART_ID}:role/role",
    f"arn:aws:iam::{BART_ID}:policy/p",
    f"arn:aws:iam::{BART_ID}:oidc-provider/login.example.com",
    "https://login.example.com",
    "ab" * 20,
    "Active",
    "s3:GetObject",
    "3600",
]


@cache
def names_of(call: str) -> list[str]:
    """The parameters of a call, as a form has them."""
    shape = model("iam").operation_model(call).input_shape
    if shape is None:
        return []
    names = []
    for name, member in shape.members.items():
        if member.type_name != "list":
            names.append(name)
        elif member.member.type_name == "structure":
            names += [f"{name}.member.1.{inner}" for inner in member.member.members]
        else:
            names += [f"{name}.member.1", f"{name}.member.2"]
    return names


@st.composite
def forms(draw: Any) -> bytes:
    call = draw(st.sampled_from(sorted(IAM.calls)))
    values = st.sampled_from(GOOD) | st.sampled_from(ODD) | st.text(max_size=20)
    names = st.sampled_from(names_of(call)) if names_of(call) else st.just("UserName")
    pairs = draw(st.dictionaries(names, values, max_size=6))
    made = {"Action": call, "Version": "2010-05-08", **pairs}
    return urlencode(made, quote_via=quote, errors="surrogatepass").encode()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(forms(), min_size=1, max_size=8), st.sampled_from([BART_ID, "anna"]))
def test_no_form_is_an_error_of_ours(bodies: list[bytes], by: str) -> None:
    async def send() -> None:
        iam = QueryService(KEYS)
        await iam.call("CreateUser", UserName="anna")
        await iam.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=ALL)
        await iam.call("CreateGroup", GroupName="group")
        await iam.call("CreateRole", RoleName="role", AssumeRolePolicyDocument=TRUST)
        await iam.call("CreatePolicy", PolicyName="p", PolicyDocument=READS)
        for body in bodies:
            if by != BART_ID and iam.front.directory.user(BART_ID, by) is None:
                break
            reply = await iam.send(body, by)
            assert reply["status_code"] < 500, (body, reply["body"])

    asyncio.run(send())


@given(st.binary(max_size=200))
def test_what_is_no_form_is_refused(body: bytes) -> None:
    async def send() -> None:
        assert 400 <= (await QueryService(KEYS).send(body))["status_code"] < 500

    asyncio.run(send())
