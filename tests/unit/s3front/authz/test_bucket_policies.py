"""The policy in the record of a bucket, and whom it means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from s3front.auth.identity import Principal
from s3front.authz.access import Access
from s3front.authz.bucket_policies import bucket_policy, policy_members
from s3front.authz.decide import decide
from tests.unit.s3front.authz.scenes import A, Scene, allow, deny, document, session, user

USER = f"arn:aws:iam::{A}:user/plain"
ROLE = f"arn:aws:iam::{A}:role/narrow"
SESSION = f"arn:aws:sts::{A}:assumed-role/narrow/s"
OBJECTS = "arn:aws:s3:::bucket/*"


def asked(caller: Principal, policy: Any, ids: dict[str, str]) -> Access:
    access = Scene().access(caller, "GetObject")
    assert access.bucket is not None
    return access.on(access.bucket.changed(policy_members(policy, ids)), access.object)


def known_as(principal: Principal, user_id: str) -> Principal:
    return msgspec.structs.replace(principal, user_id=user_id)


@pytest.mark.parametrize(
    ("caller", "named"),
    [(user("plain"), USER), (session("narrow", allow("Get*")), ROLE)],
)
def test_a_policy_means_whom_it_meant_when_it_was_put(caller: Principal, named: str) -> None:
    giving = document(allow("GetObject", OBJECTS, Principal={"AWS": named}))
    for user_id, allowed in (("AIDAFIRST00000000:s", True), ("AIDASECOND0000000:s", False)):
        access = asked(known_as(caller, user_id), giving, {named: "AIDAFIRST00000000"})
        decision = decide(access)
        if named == ROLE:  # which may read by its own policies
            assert decision.allowed
            assert (decision.reason.policy == "bucket policy") is allowed
        else:
            assert decision.allowed is allowed
    # Of a policy that another server has put, only the name is known.
    assert decide(asked(known_as(caller, "AIDAANY0000000000"), giving, {})).allowed


def test_a_denial_is_for_the_one_who_was_meant_as_well() -> None:
    both = allow("GetObject", OBJECTS, Principal="*")
    denying = document(both, deny("GetObject", OBJECTS, Principal={"AWS": USER}))
    ids = {USER: "AIDAFIRST00000000"}
    for user_id, allowed in (("AIDAFIRST00000000", False), ("AIDASECOND0000000", True)):
        assert decide(asked(known_as(user("plain"), user_id), denying, ids)).allowed is allowed


def test_a_session_that_is_named_is_of_the_role_that_was_meant() -> None:
    giving = document(allow("GetObject", OBJECTS, Principal={"AWS": SESSION}))
    caller = session("narrow", allow("List*"))
    ids = {SESSION: "AROAFIRST00000000"}
    for user_id, allowed in (("AROAFIRST00000000:s", True), ("AROASECOND0000000:s", False)):
        assert decide(asked(known_as(caller, user_id), giving, ids)).allowed is allowed


def test_ids_are_those_of_their_own_policy() -> None:
    """Another server puts a policy, and knows nothing of them."""
    record = Scene().access("root", "GetObject").bucket
    assert record is not None
    giving = document(allow("GetObject", OBJECTS, Principal={"AWS": USER}))
    mine = record.changed(policy_members(giving, {USER: "AIDAFIRST00000000"}))
    policy = bucket_policy(mine)
    assert policy is not None
    assert policy.ids == {USER: "AIDAFIRST00000000"}
    theirs = bucket_policy(mine.changed({"bucketPolicy": document(deny("*", Principal="*"))}))
    assert theirs is not None
    assert theirs.ids == {}
    assert bucket_policy(mine.changed(policy_members(None))) is None
    odd = mine.changed({"bucketPolicyPrincipals": {"policy": 1, "ids": [2]}})
    assert bucket_policy(odd) is not None
