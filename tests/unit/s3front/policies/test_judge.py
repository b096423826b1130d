"""What policies say to questions: whom and what statements are about, and which of them wins."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.policies.grammar import parse_policy, stored_policy
from s3front.policies.judge import judge
from s3front.policies.policy import Kind, Policy
from s3front.policies.question import CallerNames
from s3front.policies.verdict import NOTHING, Effect, How, Verdict
from tests.unit.s3front.policies.asking import (
    ACCOUNT,
    ACCOUNT_ITSELF,
    ANNA,
    ANNA_ARN,
    ANYBODY,
    CANONICAL_ID,
    ROLE_ARN,
    ROOT_ARN,
    SESSION,
    SESSION_ARN,
    Asked,
    policy,
    statement,
)

OTHER = CallerNames("arn:aws:iam::210987654321:root", "210987654321", "other")


@pytest.mark.parametrize(
    ("principal", "names", "how"),
    [
        ("*", ANYBODY, How.EVERYBODY),
        ("*", ANNA, How.EVERYBODY),
        ({"AWS": "*"}, ANYBODY, How.EVERYBODY),
        ({"AWS": ACCOUNT}, ACCOUNT_ITSELF, How.ACCOUNT),
        ({"AWS": ACCOUNT}, ANNA, How.ACCOUNT),
        ({"AWS": ROOT_ARN}, ANNA, How.ACCOUNT),
        ({"AWS": ROOT_ARN}, OTHER, None),
        ({"AWS": ROOT_ARN}, ANYBODY, None),
        ({"AWS": "arn:aws-cn:iam::123456789012:root"}, ANNA, How.ACCOUNT),
        ({"AWS": ANNA_ARN}, ANNA, How.ITSELF),
        ({"AWS": ANNA_ARN}, ACCOUNT_ITSELF, None),
        ({"AWS": [ROOT_ARN, ANNA_ARN, "*"]}, ANNA, How.ITSELF),
        ({"AWS": ROLE_ARN}, SESSION, How.ROLE),
        ({"AWS": [ROLE_ARN, "*"]}, SESSION, How.EVERYBODY),
        ({"AWS": SESSION_ARN}, SESSION, How.ITSELF),
        ({"CanonicalUser": CANONICAL_ID}, ACCOUNT_ITSELF, How.ACCOUNT),
        ({"CanonicalUser": CANONICAL_ID}, ANNA, How.ACCOUNT),
        ({"CanonicalUser": CANONICAL_ID}, OTHER, None),
        ({"CanonicalUser": ANYBODY.canonical_id}, ANYBODY, None),
    ],
)
def test_a_principal_names_callers(principal: Any, names: CallerNames, how: How | None) -> None:
    found = judge(policy(statement(Principal=principal)), Asked(names))
    assert found == (NOTHING if how is None else Verdict(Effect.ALLOW, "statement[0]", how))


def test_a_denial_wins_over_all_that_allow() -> None:
    mixed = policy(statement(), statement("Deny", Sid="Never"), statement(Sid="Again"))
    assert judge(mixed, Asked()) == Verdict(Effect.DENY, "Never")
    named = policy(statement(Principal={"AWS": ANNA_ARN}), statement("Deny", Sid="Never"))
    assert judge(named, Asked()) == Verdict(Effect.DENY, "Never")


def test_the_statement_that_names_the_caller_most_closely_is_the_one_that_allows() -> None:
    mixed = policy(statement(Sid="All"), statement(Sid="Anna", Principal={"AWS": ANNA_ARN}))
    assert judge(mixed, Asked()) == Verdict(Effect.ALLOW, "Anna", How.ITSELF)


EVERYTHING = frozenset(("anybody", "account", "anna", "session", "other"))
CALLERS = {
    "anybody": ANYBODY,
    "account": ACCOUNT_ITSELF,
    "anna": ANNA,
    "session": SESSION,
    "other": OTHER,
}


@pytest.mark.parametrize(
    ("left_out", "denied"),
    [
        ("*", frozenset()),
        ({"AWS": ROOT_ARN}, EVERYTHING - {"account"}),
        ({"AWS": ANNA_ARN}, EVERYTHING),
        ({"AWS": [ROOT_ARN, ANNA_ARN]}, EVERYTHING - {"account", "anna"}),
        ({"AWS": [ACCOUNT, SESSION_ARN]}, EVERYTHING - {"account"}),
        ({"AWS": [ACCOUNT, ROLE_ARN, SESSION_ARN]}, EVERYTHING - {"account", "session"}),
        ({"CanonicalUser": CANONICAL_ID}, EVERYTHING - {"account"}),
    ],
)
def test_a_denial_lets_off_whom_it_names_whole(left_out: Any, denied: frozenset[str]) -> None:
    others = policy(statement("Deny", NotPrincipal=left_out))
    found = {
        name for name, names in CALLERS.items() if judge(others, Asked(names)).effect is Effect.DENY
    }
    assert found == denied


def test_who_is_left_out_of_what_is_allowed_has_nothing_of_it() -> None:
    # AWS refuses such a policy; another server may have stored one.
    others = stored_policy(
        {"Statement": [statement(NotPrincipal={"AWS": [ROLE_ARN, "210987654321"]})]}
    )
    found = {name for name, names in CALLERS.items() if judge(others, Asked(names)).how}
    assert found == {"anybody", "account", "anna"}


def test_providers_and_services_are_named_by_their_kind() -> None:
    user = CallerNames("arn:x", ACCOUNT, "id", federated="example.com", service="s.example.com")
    assert judge(policy(statement(Principal={"Federated": "example.com"})), Asked(user)).how
    assert judge(policy(statement(Principal={"Service": "s.example.com"})), Asked(user)).how
    assert not judge(policy(statement(Principal={"Service": "example.com"})), Asked(user)).how


@pytest.mark.parametrize(
    ("elements", "action", "applies"),
    [
        ({"Action": "s3:GetObject"}, "s3:GetObject", True),
        ({"Action": "S3:getobject"}, "s3:GetObject", True),
        ({"Action": "s3:GetObject"}, "s3:GetObjectAcl", False),
        ({"Action": "s3:Get*"}, "s3:GetObjectAcl", True),
        ({"Action": "s3:GetObject??l"}, "s3:GetObjectAcl", True),
        ({"Action": "*"}, "s3:ListBucket", True),
        ({"Action": ["s3:Put*", "s3:List*"]}, "s3:ListBucket", True),
        ({"NotAction": "s3:Get*"}, "s3:GetObject", False),
        ({"NotAction": ["s3:Get*", "s3:Put*"]}, "s3:ListBucket", True),
    ],
)
def test_a_statement_is_about_actions(elements: Any, action: str, applies: bool) -> None:
    assert bool(judge(policy(statement(**elements)), Asked(action=action)).how) is applies


@pytest.mark.parametrize(
    ("elements", "resource", "applies"),
    [
        ({"Resource": "arn:aws:s3:::bucket/*"}, "bucket/key", True),
        ({"Resource": "arn:aws:s3:::bucket/*"}, "bucket/a:b/*", True),
        ({"Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/a*"]}, "bucket/b", False),
        ({"Resource": "arn:aws-cn:s3:::bucket/*"}, "bucket/key", True),
        ({"Resource": "arn:aws:s3:::bucket/${aws:username}/*"}, "bucket/anna/key", True),
        ({"Resource": "arn:aws:s3:::bucket/${aws:username}/*"}, "bucket/bob/key", False),
        ({"Resource": "arn:aws:s3:::bucket/${aws:none}/*"}, "bucket//key", False),
        ({"NotResource": "arn:aws:s3:::bucket/private/*"}, "bucket/key", True),
        ({"NotResource": "arn:aws:s3:::bucket/private/*"}, "bucket/private/key", False),
        ({"NotResource": "arn:aws:s3:::bucket/${aws:username}/*"}, "bucket/bob/key", True),
        ({"NotResource": "arn:aws:s3:::bucket/${aws:none}/*"}, "bucket/bob/key", False),
    ],
)
def test_a_statement_is_about_resources(elements: Any, resource: str, applies: bool) -> None:
    asked = Asked(resource=f"arn:aws:s3:::{resource}", keys={"aws:username": "anna"})
    assert bool(judge(policy(statement(**elements)), asked).how) is applies


def test_a_denial_on_all_but_what_is_not_known_denies() -> None:
    others = policy(statement("Deny", NotResource="arn:aws:s3:::bucket/${aws:none}/*"))
    assert judge(others, Asked()).effect is Effect.DENY


def test_what_a_caller_is_called_is_no_pattern() -> None:
    home = policy(statement(Resource="arn:aws:s3:::bucket/${aws:username}/*"))
    for name in ("*", "?????", "${*}", "${aws:username}", "../bob"):
        asked = Asked(resource="arn:aws:s3:::bucket/bob/key", keys={"aws:username": name})
        assert judge(home, asked) == NOTHING


def test_variables_are_those_of_the_newer_version() -> None:
    home = policy(statement(Resource="arn:aws:s3:::bucket/${aws:username}"), version="2008-10-17")
    as_written = Asked(resource="arn:aws:s3:::bucket/${aws:username}", keys={"aws:username": "x"})
    assert judge(home, as_written).effect is Effect.ALLOW
    filled = Asked(resource="arn:aws:s3:::bucket/x", keys={"aws:username": "x"})
    assert judge(home, filled) == NOTHING


def test_a_policy_of_an_identity_names_nobody_and_whole_services() -> None:
    own = parse_policy(
        b'{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*",'
        b' "Resource": "arn:aws:s3", "Sid": "Mine"}}',
        Kind.IDENTITY,
    )
    assert judge(own, Asked()) == Verdict(Effect.ALLOW, "Mine", How.UNNAMED)


def test_a_policy_of_a_role_is_about_the_role() -> None:
    trust = parse_policy(
        b'{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal":'
        b' {"AWS": "123456789012"}}}',
        Kind.TRUST,
    )
    asked = Asked(action="sts:AssumeRole", resource=ROLE_ARN)
    assert judge(trust, asked) == Verdict(Effect.ALLOW, "statement[0]", How.ACCOUNT)


UNKNOWN: list[Any] = [
    "x",
    {"Principal": "Anna"},
    {"Principal": {"AWS": "arn:aws:iam::*:user/x"}},
    {"Principal": {"AWS": ["*", 1]}},
    {"Principal": {"Everybody": "*"}},
    {"Principal": {"CanonicalUser": "*"}},
    {"Principal": {}},
    {"Principal": None},
    {"NotPrincipal": {"AWS": 5}},
    {"Action": 1},
    {"Action": []},
    {"Action": ["s3:PutObject", None]},
    {"Resource": ["arn:aws:s3:::other", None]},
    {"NotAction": [None, "s3:PutObject"]},
    {"Resource": {}},
    {"NotResource": ["arn:aws:s3:::other", 1]},
    {"Condition": {"Unknown": {"a": "b"}}},
    {"Condition": 5},
]


@pytest.mark.parametrize("elements", UNKNOWN)
def test_what_is_not_understood_gives_nothing_and_denies(elements: Any) -> None:
    def stored(effect: str) -> Policy:
        unknown = statement(effect, **elements) if isinstance(elements, dict) else elements
        return stored_policy({"Statement": [statement(Sid="Good"), unknown]})

    if isinstance(elements, dict):
        assert judge(stored("Allow"), Asked(ANYBODY)).statement == "Good"
    assert judge(stored("Deny"), Asked(ANYBODY)).effect is Effect.DENY


def test_a_statement_with_an_unknown_element_gives_nothing() -> None:
    assert judge(stored_policy({"Statement": [statement(Unless="x")]}), Asked()) == NOTHING


def test_a_statement_with_an_unknown_effect_denies() -> None:
    found = judge(stored_policy({"Statement": [statement("Forbid")]}), Asked())
    assert found.effect is Effect.DENY


@pytest.mark.parametrize("document", [None, [], "x", {}, {"Version": "2012-10-17"}])
def test_what_is_no_policy_at_all_denies(document: Any) -> None:
    assert judge(stored_policy(document), Asked()).effect is Effect.DENY


def test_actions_without_end_are_not_all_remembered() -> None:
    everything = policy(statement())
    for number in range(1000):
        assert judge(everything, Asked(action=f"s3:Action{number}")).effect is Effect.ALLOW
    assert len(everything.compiled._about) <= 256
