"""By what policies name a session that a user has vouched for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.auth.identity import Principal
from s3front.authz.access import Access, arn
from s3front.authz.bucket_policies import policy_members
from s3front.authz.decide import decide
from s3front.iam.session_principals import session_principal
from s3front.iam.sessions import Kind, Passed, Session, pack
from shared.records.bucket import BucketRecord
from tests.unit.s3front.authz.scenes import NoKeys
from tests.unit.s3front.iam.stored_identities import BART_ID
from tests.unit.s3front.query_api.query_service import ACCOUNT, ALL, QueryService, only

ANNA = f"{ACCOUNT}:user/anna"


async def callers(own: str | None, session_policy: str) -> tuple[QueryService, Principal, str]:
    """Anna's session, and her unique ID."""
    iam = QueryService()
    user = (await iam.call("CreateUser", UserName="anna"))["User"]
    if own is not None:
        await iam.call("PutUserPolicy", UserName="anna", PolicyName="p", PolicyDocument=own)
    passed = pack(Passed(session_policy))
    session = Session(Kind.FEDERATED, "x", BART_ID, "anna", user["UserId"], 0, 1, "x", passed)
    principal = session_principal(iam.front.directory, session)
    assert principal is not None
    return iam, principal, user["UserId"]


def may(principal: Principal, statement: dict[str, Any], ids: dict[str, str]) -> bool:
    whole = {"Action": "s3:*", "Resource": "arn:aws:s3:::b/*", **statement}
    document = {"Version": "2012-10-17", "Statement": [whole]}
    made = datetime(2026, 1, 1, tzinfo=UTC)
    bucket = BucketRecord.create("b", principal.canonical_id, "n", made, "")
    bucket = bucket.changed(policy_members(document, ids))
    return decide(Access(principal, ("s3:PutObject",), arn("b", "k"), NoKeys(), bucket)).allowed


@pytest.mark.parametrize("known", [False, True], ids=["by name", "by ID"])
async def test_what_is_denied_to_the_user_is_denied_to_the_session(known: bool) -> None:
    _, session, unique_id = await callers(ALL, ALL)
    ids = {ANNA: unique_id} if known else {}
    assert may(session, {"Effect": "Deny", "Principal": {"AWS": f"{ANNA}2"}}, {})
    assert not may(session, {"Effect": "Deny", "Principal": {"AWS": ANNA}}, ids)


@pytest.mark.parametrize("known", [False, True], ids=["by name", "by ID"])
async def test_what_the_user_is_given_the_session_has_within_its_policy(known: bool) -> None:
    given = {"Effect": "Allow", "Principal": {"AWS": ANNA}}
    for session_policy, allowed in ((ALL, True), (only("s3:GetObject"), False), ("", False)):
        _, session, unique_id = await callers(None, session_policy)
        assert may(session, given, {ANNA: unique_id} if known else {}) is allowed
        assert not may(session, given, {ANNA: "AIDAOTHER00000000"})


async def test_what_is_said_of_sessions_of_the_user_is_not_about_the_user() -> None:
    """What a policy lets off has to be named whole: the account and the session are that."""
    _, session, _ = await callers(ALL, ALL)
    off = {"AWS": [f"{ACCOUNT}:root", session.arn]}
    assert may(session, {"Effect": "Deny", "NotPrincipal": off}, {})
    user = {"AWS": [f"{ACCOUNT}:root", ANNA]}
    assert not may(session, {"Effect": "Deny", "NotPrincipal": user}, {})
