"""Policies of one caller that are more than can be judged."""

from __future__ import annotations

import json
from functools import partial

from s3front.auth.identity import Rights
from s3front.authz.access import Access, arn
from s3front.authz.decide import decide
from s3front.iam.bounded_rights import RIGHTS_BYTES_MAX, TOO_MANY, bounded
from s3front.iam.holder_changes import attach, detach
from s3front.iam.policy_changes import create_policy
from s3front.iam.user_changes import create_user
from s3front.policies.policy import NamedPolicy, Policy
from tests.unit.s3front.authz.scenes import NoKeys, allow, document
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin


def named(count: int) -> NamedPolicy:
    return NamedPolicy("p", Policy(document(*[allow("Get*")] * count)))


def test_usual_ones_stay_as_they_are() -> None:
    rights = Rights([named(10)] * 100, named(1), [named(1)])
    assert bounded(rights) is rights


def test_boundaries_and_sessions_count() -> None:
    each = named(1_000).policy.memory / 1_000
    large = named(int(0.6 * RIGHTS_BYTES_MAX / each))
    half = Rights([large])
    assert bounded(half) is half
    for more in (Rights([large], large), Rights([large], None, [large]), Rights([large, large])):
        (only,) = bounded(more).policies
        assert only.name == TOO_MANY


async def test_who_has_more_may_nothing() -> None:
    """Policies of some 5,000 characters, made to be large, of which each allows everything."""
    front = Front(MetadataTwin())
    await front.change(partial(create_user, account_id=BART_ID, name="anna"))
    keys = {f"{number:x}": "::::?:*" for number in range(250)}
    text = json.dumps(
        document(
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"ArnLike": keys}},
        )
    )
    made = []
    for number in range(20):
        make = partial(create_policy, account_id=BART_ID, name=f"p{number}", text=text)
        made.append((await front.change(make)).arn)
        give = partial(attach, kind="user", account_id=BART_ID, name="anna", arn=made[-1])
        await front.change(give)
        if not may_list(front):
            break
    assert 5 < len(made) < 20
    await front.change(partial(detach, kind="user", account_id=BART_ID, name="anna", arn=made[0]))
    assert may_list(front)


def may_list(front: Front) -> bool:
    user = front.directory.user(BART_ID, "anna")
    assert user is not None
    principal = front.directory.principal_of_user(user)
    assert principal is not None
    decision = decide(Access(principal, ("s3:ListAllMyBuckets",), arn(None), NoKeys()))
    assert decision.allowed or decision.reason.policy == TOO_MANY
    return decision.allowed
