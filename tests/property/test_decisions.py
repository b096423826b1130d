"""What has to hold of decisions, whatever the policies are: a Deny more never allows more, an Allow
less never does, and how a policy is written down changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from s3front.auth.identity import Principal, Rights
from s3front.authz.decide import decide
from s3front.authz.public_block import PublicBlock
from s3front.policies.grammar import stored_policy
from s3front.policies.policy import Kind, NamedPolicy
from tests.unit.s3front.authz.scenes import CALLERS, ROWS, A, B, Scene, canned, document

ACTIONS = (
    "s3:*",
    "s3:Get*",
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
    "s3:Put*Acl",
    "s3:?e*",
)
RESOURCES = (
    "*",
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/k?y",
    "arn:*",
)
PRINCIPALS = (
    "*",
    {"AWS": "*"},
    {"AWS": A},
    {"AWS": B},
    {"AWS": [f"arn:aws:iam::{A}:user/plain", f"arn:aws:iam::{B}:user/bnone"]},
    {"AWS": f"arn:aws:iam::{A}:role/wide"},
    {"CanonicalUser": "canonical-b"},
)
CONDITIONS = (
    None,
    {"StringEquals": {"aws:PrincipalAccount": A}},
    {"StringNotEqualsIfExists": {"aws:username": "plain"}},
    {"Null": {"aws:username": "true"}},
)

Statement = dict[str, Any]


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


@st.composite
def statements(draw: st.DrawFn, *, of_bucket: bool) -> Statement:
    made: Statement = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(some(ACTIONS))
    made[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(some(RESOURCES))
    if of_bucket:
        made["Principal"] = draw(st.sampled_from(PRINCIPALS))
    condition = draw(st.sampled_from(CONDITIONS))
    if condition is not None:
        made["Condition"] = condition
    return made


POLICIES = st.lists(statements(of_bucket=True), max_size=4)
OWN = st.lists(statements(of_bucket=False), max_size=4)
# RestrictPublicBuckets is left out: an Allow that makes the policy public takes from other accounts
# what the rest of it gives them.
PLACES = st.builds(
    Scene,
    ownership=st.sampled_from(["BucketOwnerEnforced", "ObjectWriter"]),
    acl=st.sampled_from([canned("private"), canned("public-read-write")]),
    object_acl=st.sampled_from([canned("private"), canned("public-read")]),
    object_owner=st.sampled_from([A, B]),
    account_block=st.sampled_from([PublicBlock(), PublicBlock(ignore_public_acls=True)]),
)
ASKED = st.tuples(st.sampled_from(list(CALLERS)), st.sampled_from(list(ROWS)))


def caller_with(name: str, own: list[Statement], boundary: list[Statement] | None) -> Principal:
    """The caller with these policies of its own, unless it is one that has none."""
    principal = CALLERS[name]
    if principal.rights is None:
        return principal
    limit = None if boundary is None else named_policy(boundary)
    rights = Rights((named_policy(own),), limit, principal.rights.session)
    return msgspec.structs.replace(principal, rights=rights)


def named_policy(own: list[Statement]) -> NamedPolicy:
    return NamedPolicy("own", stored_policy(document(*own), Kind.IDENTITY))


def allowed(
    place: Scene,
    policy: list[Statement],
    own: list[Statement],
    boundary: list[Statement] | None,
    asked: tuple[str, str],
) -> bool:
    name, row = asked
    scene = msgspec.structs.replace(place, policy=document(*policy) if policy else None)
    return decide(scene.access(caller_with(name, own, boundary), row)).allowed


@given(PLACES, POLICIES, OWN, st.none() | OWN, ASKED, st.data())
def test_a_deny_more_never_allows_more(
    place: Scene,
    policy: list[Statement],
    own: list[Statement],
    boundary: list[Statement] | None,
    asked: tuple[str, str],
    data: st.DataObject,
) -> None:
    before = allowed(place, policy, own, boundary, asked)
    denying = data.draw(statements(of_bucket=True)) | {"Effect": "Deny"}
    its_own = {key: value for key, value in denying.items() if key != "Principal"}
    assert allowed(place, [*policy, denying], own, boundary, asked) <= before
    assert allowed(place, policy, [its_own, *own], boundary, asked) <= before
    if boundary is not None:
        assert allowed(place, policy, own, [*boundary, its_own], asked) <= before


@given(PLACES, POLICIES, OWN, st.none() | OWN, ASKED)
def test_an_allow_less_never_allows_more(
    place: Scene,
    policy: list[Statement],
    own: list[Statement],
    boundary: list[Statement] | None,
    asked: tuple[str, str],
) -> None:
    before = allowed(place, policy, own, boundary, asked)
    for index, each in enumerate(policy):
        if each["Effect"] == "Allow":
            less = policy[:index] + policy[index + 1 :]
            assert allowed(place, less, own, boundary, asked) <= before
    for index, each in enumerate(own):
        if each["Effect"] == "Allow":
            less = own[:index] + own[index + 1 :]
            assert allowed(place, policy, less, boundary, asked) <= before


@given(PLACES, POLICIES, OWN, st.none() | OWN, ASKED)
def test_a_limit_never_allows_more(
    place: Scene,
    policy: list[Statement],
    own: list[Statement],
    boundary: list[Statement] | None,
    asked: tuple[str, str],
) -> None:
    if boundary is not None:
        within = allowed(place, policy, own, boundary, asked)
        assert within <= allowed(place, policy, own, None, asked)


def written_otherwise(draw: st.DrawFn, policy: list[Statement]) -> list[Statement]:
    """The same statements, renamed, in another order, and split by actions or resources."""
    again: list[Statement] = []
    for number, each in enumerate(policy):
        parts = [each]
        for key in ("Action", "Resource"):
            if key in each and draw(st.booleans()):
                parts = [{**part, key: [value]} for part in parts for value in part[key]]
        again += [{**part, "Sid": f"S{number}x{index}"} for index, part in enumerate(parts)]
    return list(draw(st.permutations(again)))


@given(PLACES, POLICIES, OWN, ASKED, st.data())
def test_how_it_is_written_down_changes_nothing(
    place: Scene,
    policy: list[Statement],
    own: list[Statement],
    asked: tuple[str, str],
    data: st.DataObject,
) -> None:
    again = st.composite(written_otherwise)
    before = allowed(place, policy, own, None, asked)
    assert allowed(place, data.draw(again(policy)), own, None, asked) is before
    assert allowed(place, policy, data.draw(again(own)), None, asked) is before
