"""Which policies make a bucket public."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.policies.grammar import stored_policy
from s3front.policies.public import is_public, public_statements
from tests.unit.s3front.policies.asking import ANNA_ARN, ROOT_ARN, policy, statement

VPC = {"aws:SourceVpc": "vpc-91237329"}
POINTS = "arn:aws:s3:us-west-2:123456789012:accesspoint/*"


@pytest.mark.parametrize(
    "principal",
    ["*", {"AWS": "*"}, {"AWS": [ANNA_ARN, "*"]}, {"AWS": ["*"], "CanonicalUser": "id"}],
)
def test_what_is_allowed_to_everybody_is_public(principal: Any) -> None:
    assert is_public(policy(statement(Principal=principal)))


@pytest.mark.parametrize(
    "principal",
    [{"AWS": ROOT_ARN}, {"AWS": [ANNA_ARN]}, {"CanonicalUser": "id"}, {"Service": "a.b.com"}],
)
def test_what_is_allowed_to_fixed_principals_is_not(principal: Any) -> None:
    assert not is_public(policy(statement(Principal=principal)))


def test_what_is_denied_is_not() -> None:
    assert not is_public(policy(statement("Deny")))


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": VPC},
        {"StringLike": VPC},
        {"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}},
        {"StringEquals": {"AWS:PRINCIPALORGID": "o-1"}},
        {"ForAnyValue:StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:123456789012:topic"}},
        {"StringEquals": {"aws:userid": "AIDAEXAMPLE"}},
        {"StringEquals": {"s3:DataAccessPointAccount": "123456789012"}},
        {"ArnLike": {"s3:DataAccessPointArn": POINTS}},
        {"IpAddress": {"aws:SourceIp": "10.0.0.0/32"}},
        {"IpAddress": {"aws:SourceIp": ["11.0.0.0/8", "192.168.0.0/16", "1.2.3.4"]}},
        {"IpAddress": {"aws:SourceIp": "2001:db8::/32"}},
        {"StringEquals": VPC, "Bool": {"aws:SecureTransport": "true"}},
    ],
)
def test_what_is_bound_to_fixed_values_is_not(condition: Any) -> None:
    assert not is_public(policy(statement(Condition=condition)))


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringLike": {"aws:SourceVpc": "vpc-*"}},
        {"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-?"]}},
        {"StringEquals": {"aws:SourceAccount": "${aws:PrincipalAccount}"}},
        {"StringNotEquals": VPC},
        {"StringEqualsIfExists": VPC},
        {"ForAllValues:StringEquals": VPC},
        {"StringLike": {"aws:userid": "AROAEXAMPLE:*"}},
        # Of everybody who does not sign.
        {"StringEquals": {"aws:userid": "Anonymous"}},
        {"StringEquals": {"aws:Referer": "http://example.com/"}},
        {"StringEquals": {"aws:UserAgent": "mine"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:*:*:accesspoint/mine"}},
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"IpAddress": {"aws:SourceIp": "11.0.0.0/7"}},
        {"IpAddress": {"aws:SourceIp": ["1.2.3.4", "0.0.0.0/1"]}},
        {"IpAddress": {"aws:SourceIp": "fd00::/8"}},
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
        {"IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}},
    ],
)
def test_what_other_conditions_ask_for_is(condition: Any) -> None:
    assert is_public(policy(statement(Condition=condition)))


def test_one_statement_makes_a_policy_public() -> None:
    mixed = policy(statement("Deny"), statement(Condition={"StringEquals": VPC}), statement())
    assert public_statements(mixed) == [2]


@pytest.mark.parametrize(
    ("document", "public"),
    [
        ({}, False),
        ({"Statement": None}, False),
        ({"Statement": {"Effect": "Allow", "Principal": "*"}}, True),
        ({"Statement": [{"Effect": "Allow", "NotPrincipal": {"AWS": ROOT_ARN}}]}, True),
        ({"Statement": [{"Effect": "Allow", "Principal": "*", "Condition": 1}]}, False),
    ],
)
def test_a_stored_policy_is_read_as_far_as_it_goes(document: Any, public: bool) -> None:
    assert is_public(stored_policy(document)) is public
