"""A decision ends after some milliseconds, whoever wrote the policies, however many there are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from s3front.auth.identity import Rights
from s3front.authz.access import Access, Keys, arn
from s3front.authz.decide import decide
from s3front.authz.reasons import Decision, Why
from s3front.objects.object_record import ObjectRecord
from s3front.policies.work import STEPS_MAX
from shared.records.bucket import BucketRecord
from tests.unit.s3front.authz.scenes import (
    BUCKET,
    CANONICAL,
    NOW,
    A,
    allow,
    deny,
    document,
    named,
    root,
    user,
)

SECONDS_MAX = STEPS_MAX * 10e-9
"""A step is about a nanosecond, on a machine that has nothing else to do."""

ACTIONS = ("s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:PutObjectRetention")
SLOW = {"StringLike": {"aws:UserAgent": [f"*aaaaaa?b{number:x}*" for number in range(1000)]}}
PLAIN = BucketRecord.create(BUCKET, CANONICAL[A], "a", NOW, "us-east-1")
OBJECT = ObjectRecord({"owner-id": CANONICAL[A]})


class Sent(msgspec.Struct, frozen=True):
    """A request with a long User-Agent."""

    is_secure: bool = True

    def of_version(self, version_id: str | None) -> Keys:
        return self

    def values(self, key: str) -> Sequence[str] | None:
        return ("a" * 7_500,) if key.lower() == "aws:useragent" else None


def timed(access: Access) -> Decision:
    decide(access)  # compiles the policies
    begun = time.process_time()
    decision = decide(access)
    assert time.process_time() - begun < SECONDS_MAX
    return decision


def everybody(each: Mapping[str, Any]) -> dict[str, Any]:
    return {**each, "Principal": "*"}


@pytest.mark.parametrize("effect", [allow, deny])
def test_the_policy_of_a_bucket(effect: Any) -> None:
    slow = everybody(effect("*", "arn:aws:s3:::bucket/*", Condition=SLOW))
    bucket = PLAIN.changed({"bucketPolicy": document(everybody(allow("*")), slow)})
    decision = timed(Access(root(A), ACTIONS, arn(BUCKET, "k"), Sent(), bucket, OBJECT))
    assert decision.allowed is (effect is allow)
    if effect is deny:
        assert decision.reason.why is Why.POLICY_DENIES
        assert "too much work" in decision.reason.statement


def test_whoever_owns_a_bucket_can_always_replace_its_policy() -> None:
    bucket = PLAIN.changed({"bucketPolicy": document(everybody(deny("*", Condition=SLOW)))})
    for action, allowed in (("s3:PutBucketPolicy", True), ("s3:ListBucket", False)):
        access = Access(root(A), (action,), arn(BUCKET), Sent(), bucket)
        assert timed(access).allowed is allowed


def test_many_policies_of_a_user() -> None:
    each = [deny("Get*", f"arn:aws:s3:::bucket/*a?{number}*") for number in range(50)]
    policies = [named(allow("Put*"), *each, name=f"{number}") for number in range(220)]
    principal = msgspec.structs.replace(user("u"), rights=Rights(policies))
    key = arn(BUCKET, "a" * 1_000)
    asked = Access(principal, ("s3:PutObject",), key, Sent(), PLAIN, OBJECT)
    assert timed(asked).allowed
    asked = Access(principal, ("s3:GetObject",), key, Sent(), PLAIN, OBJECT)
    assert timed(asked).reason.why is Why.POLICY_DENIES
