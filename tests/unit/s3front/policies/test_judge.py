"""What policies say to questions: whom and what statements are about, and which of them wins."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.policies.judge import judge
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


def test_the_statement_that_names_the_caller_most_closely_is_the_one_that_allows() -> None:
    mixed = policy(statement(Sid="All"), statement(Sid="Anna", Principal={"AWS": ANNA_ARN}))
    assert judge(mixed, Asked()) == Verdict(Effect.ALLOW, "Anna", How.ITSELF)
