"""Signers that are remembered with their policies: each policy counts once."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest

from s3front.auth.identity import Principal, Rights
from s3front.authz.access import Access, arn
from s3front.authz.decide import decide
from s3front.iam import session_service
from s3front.iam.kept_signers import KeptSigners
from s3front.policies.policy import NamedPolicy, Policy
from tests.unit.s3front.authz.scenes import NoKeys, allow, document, root
from tests.unit.s3front.query_api.query_service import ACCOUNT
from tests.unit.s3front.query_api.sts_service import StsService


def policy(size: int = 1) -> Policy:
    return Policy(document(*[allow("Get*")] * size))


def somebody(*policies: Policy, boundary: Policy | None = None) -> Principal:
    named = [NamedPolicy("p", each) for each in policies]
    limit = None if boundary is None else NamedPolicy("b", boundary)
    return msgspec.structs.replace(root("111111111111"), rights=Rights(named, limit))


def kept_of(signers: KeptSigners[int], *keys: str) -> list[str]:
    return [key for key in keys if signers.get(key) is not None]


def test_what_is_shared_counts_once() -> None:
    signers = KeptSigners[int](10, 1_000_000)
    shared, own = policy(), policy(3)
    signers.keep("a", 1, 100, somebody(shared))
    signers.keep("b", 2, 100, somebody(shared, shared, boundary=own))
    assert signers.memory == 200 + shared.memory + own.memory
    signers.forget("a")
    assert signers.memory == 100 + shared.memory + own.memory
    signers.keep("b", 3, 50, root("111111111111"))
    assert signers.memory == 50
    signers.forget("b")
    signers.forget("b")
    assert signers.memory == 0
    assert len(signers) == 0


def test_the_least_recently_used_goes() -> None:
    signers = KeptSigners[int](2, 1_000_000)
    signers.keep("a", 1, 1, None)
    signers.keep("b", 2, 1, None)
    assert signers.get("a") == 1
    signers.keep("c", 3, 1, None)
    assert kept_of(signers, "a", "b", "c") == ["a", "c"]


def test_as_many_go_as_take_the_room_of_a_new_one() -> None:
    each = policy().memory
    signers = KeptSigners[int](100, 3 * each + 10)
    for key in "abc":
        signers.keep(key, 1, 1, somebody(policy()))
    signers.keep("d", 1, 1, somebody(policy(), policy()))
    assert kept_of(signers, *"abcd") == ["c", "d"]


def test_what_is_too_large_takes_nobody_his_place() -> None:
    signers = KeptSigners[int](100, 10_000)
    signers.keep("a", 1, 1, None)
    signers.keep("b", 1, 1, somebody(policy(100)))
    assert kept_of(signers, "a", "b") == ["a"]
    assert signers.memory == 1


async def test_sessions_with_policies_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies that are made to be large: some hundred thousand bytes a session."""
    bytes_max = 2 * 1024 * 1024
    monkeypatch.setattr(session_service, "SESSIONS_BYTES_MAX", bytes_max)
    monkeypatch.setattr("s3front.iam.policy_texts.KEPT_BYTES_MAX", bytes_max)
    iam = StsService()
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    await iam.call("CreateRole", RoleName="r", AssumeRolePolicyDocument=json.dumps(document(trust)))
    issued = []
    for number in range(60):
        agents = {"aws:UserAgent": [f"*?{number}z{each:x}*" for each in range(120)]}
        denial = {"Effect": "Deny", "Action": "*", "Resource": "*"}
        own = document({**denial, "Condition": {"StringLike": agents}})
        text = json.dumps(own, separators=(",", ":"))
        answer = await iam.sts(
            "AssumeRole", RoleArn=f"{ACCOUNT}:role/r", RoleSessionName=f"s{number}", Policy=text
        )
        issued.append(answer["Credentials"])
    tracemalloc.start()
    try:
        for each in issued:
            signer = await iam.sessions.find(each["AccessKeyId"], each["SessionToken"])
            assert signer is not None
            decide(Access(signer.principal, ("s3:ListAllMyBuckets",), arn(None), NoKeys()))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2.5 * bytes_max
