"""Which policies IAM refuses, and in which words."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind
from s3front.policies.policy_error import PolicyError

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
ARN = "arn:aws:s3:::bucket"
GOOD = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ARN}
PREFACED = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
RESOURCES = "Policy statement must contain resources."
ACTIONS = "Policy statement must contain actions."
UNIQUE = "Statement IDs (SID) in a single policy must be unique."
VERSION = "Policy document must be version 2012-10-17 or greater."


def document(*statements: Any, **members: Any) -> bytes:
    return orjson.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def message(text: bytes | str, kind: Kind = Kind.IDENTITY) -> str:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, kind)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("This is no JSON", SYNTAX),
        ("{not valid json", SYNTAX),
        ("{}", SYNTAX),
        ("[]", SYNTAX),
        ("\ud800", SYNTAX),
        (b'{"Version":"2012-10-17"}', SYNTAX),
        (document(Statement=None), SYNTAX),
        (document(Statement="hello"), SYNTAX),
        (document(), SYNTAX),
        (document("afd"), SYNTAX),
        (document(GOOD, Extra="value"), SYNTAX),
        (document(GOOD, Id=["cd3a"]), SYNTAX),
        (document(GOOD, Version="2013-10-17"), SYNTAX),
        (document(GOOD, Version="2008-10-17"), VERSION),
        (orjson.dumps({"Statement": GOOD}), VERSION),
        (b'{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', SYNTAX),
    ],
)
def test_a_document_is_refused(text: bytes | str, said: str) -> None:
    assert message(text) == said
    assert message(text, Kind.SESSION) == said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({**GOOD, "Extra": "value"}, SYNTAX),
        ({**GOOD, "Effect": "Maybe"}, SYNTAX),
        (without("Effect"), SYNTAX),
        ({**GOOD, "Effect": "allow"}, LEGACY),
        ({**GOOD, "Action": 123}, SYNTAX),
        ({**GOOD, "Action": [[]]}, SYNTAX),
        ({**GOOD, "NotAction": "s3:PutObject"}, SYNTAX),
        ({**GOOD, "NotResource": "*"}, SYNTAX),
        ({**GOOD, "Resource": {"a": ARN}}, SYNTAX),
        ({**GOOD, "Resource": [ARN, {}]}, SYNTAX),
        ({**GOOD, "Sid": {}}, SYNTAX),
        ({**GOOD, "Condition": []}, SYNTAX),
        ({**GOOD, "Condition": {"a": "b"}}, SYNTAX),
        ({**GOOD, "Condition": {"x": {"a": "1"}}}, SYNTAX),
        ({**GOOD, "Condition": {"stringequals": {"a": "1"}}}, SYNTAX),
        ({**GOOD, "Condition": {"NullIfExists": {"a": "true"}}}, SYNTAX),
        ({**GOOD, "Condition": {"ForAnyValue::StringEquals": {"a": "1"}}}, SYNTAX),
        ({**GOOD, "Condition": {"StringEquals": {"a": {}}}}, SYNTAX),
        ({**GOOD, "Condition": {"StringEquals": {"a": [[]]}}}, SYNTAX),
        ({**GOOD, "Condition": {"DateGreaterThan": {"a": "sdfdsf"}}}, LEGACY),
        ({**GOOD, "Condition": {"DateLessThanEquals": {"a": "234-13"}}}, LEGACY),
        ({**GOOD, "Condition": {"NumericEquals": {"a": "many"}}}, LEGACY),
        ({**GOOD, "Condition": {"IpAddress": {"aws:SourceIp": "300.1.1.1"}}}, LEGACY),
        ({**GOOD, "Principal": "*"}, "Policy document should not specify a principal."),
        ({**GOOD, "NotPrincipal": "*"}, "Policy document should not specify a principal."),
        (without("Action"), ACTIONS),
        ({**GOOD, "Action": []}, ACTIONS),
        ({"Effect": "Deny"}, ACTIONS),
        (without("Resource"), RESOURCES),
        ({**GOOD, "Resource": []}, RESOURCES),
        ({"Effect": "Allow", "Action": "invalid"}, RESOURCES),
        ({**GOOD, "Action": ""}, PREFACED),
        ({**GOOD, "Action": ["s3:GetObject", "GetObject"]}, PREFACED),
        ({"Effect": "Allow", "NotAction": "", "Resource": ARN}, PREFACED),
        ({**GOOD, "Action": "s3:List:Bucket"}, "Actions/Condition can contain only one colon."),
        ({**GOOD, "Action": ":GetObject"}, "Vendor  is not valid"),
        ({**GOOD, "Action": "a a:ListBucket"}, "Vendor a a is not valid"),
        ({**GOOD, "Resource": "other"}, 'Resource other must be in ARN format or "*".'),
        ({**GOOD, "Resource": ""}, 'Resource  must be in ARN format or "*".'),
        ({**GOOD, "Resource": [ARN, "adf"]}, 'Resource adf must be in ARN format or "*".'),
        (
            {**GOOD, "Resource": "a:bsdf"},
            'Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".',
        ),
        (
            {**GOOD, "Resource": "a:b:c:d:e:f:g:h"},
            'Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".',
        ),
        (
            {**GOOD, "Resource": "s3::bucket/*"},
            'Partition "" is not valid for resource "arn::bucket/*:*:*:*".',
        ),
        (
            {**GOOD, "Resource": "aws:s3:::bucket"},
            'Partition "s3" is not valid for resource "arn:s3:::bucket:*".',
        ),
        (
            {**GOOD, "Resource": "arn:aws2:s3:::bucket/*"},
            'Partition "aws2" is not valid for resource "arn:aws2:s3:::bucket/*".',
        ),
        (
            {**GOOD, "Resource": "arn:aws"},
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        ({**GOOD, "Resource": "arn:aws:s3::bucket"}, LEGACY),
        ({"Effect": "Allow", "Resource": "arn:aws:s3::bucket"}, LEGACY),
        ({**GOOD, "Resource": "arn:aws::::bucket"}, LEGACY),
        ({**GOOD, "Resource": "arn:aws::fdsasf"}, LEGACY),
        (
            {**GOOD, "Resource": "arn:aws:s3:us-east-1::bucket"},
            "Resource arn:aws:s3:us-east-1::bucket can not contain region information.",
        ),
        (
            {**GOOD, "Resource": "arn:aws:iam:us-east-1::bucket"},
            "IAM resource arn:aws:iam:us-east-1::bucket cannot contain region information.",
        ),
        (
            {**GOOD, "Resource": "arn:aws:iam:::bucket"},
            'IAM resource path must either be "*" or start with user/, federated-user/, role/, '
            "group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, "
            "saml-provider/, oidc-provider/, report/, access-report/.",
        ),
        (
            {**GOOD, "Sid": "with-hyphen"},
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
            "regular expression [0-9A-Za-z]*",
        ),
    ],
)
def test_a_statement_is_refused(statement: dict[str, Any], said: str) -> None:
    assert message(document(statement)) == said
    assert message(document(GOOD, statement)) == said


def test_two_statements_have_different_names() -> None:
    named = {**GOOD, "Sid": "same"}
    assert message(document(named, named)) == UNIQUE


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Action": "*"},
        {"Action": "iam: asdf safdsf af "},
        {"Action": ["s3.s:ListBucket", "s3-s:*", "*"]},
        {"Resource": ["*", ARN, "arn:aws-cn:s3:::bucket/*", "arn:aws:fdsasf", "arn:*:s3:::b"]},
        {"Resource": "arn:aws:iam::*:user/${aws:username}"},
        {"Resource": "arn:aws:s3:us-west-2:123456789012:accesspoint/mine"},
        {"Condition": {}},
        {"Condition": {"a": {}, "DateGreaterThan": {}}},
        {"Condition": {"DateGreaterThan": {"a": []}}},
        {"Condition": {"DateLessThanEquals": {"a": "2016-12-13T21:20:37.593194+00:00"}}},
        {"Condition": {"DateLessThanEquals": {"a": ["2016-12", "2016-12-13", "1700000000"]}}},
        {"Condition": {"NumericLessThan": {"s3:max-keys": 10}, "Bool": {"a": True}}},
        {"Condition": {"ForAnyValue:StringEqualsIfExists": {"a": "asf"}}},
        {"Condition": {"Null": {"a": "true"}, "ArnLike": {"b": "arn:aws:iam::*:role/x*"}}},
        {"Sid": ""},
        {"Sid": "abc123"},
    ],
)
def test_others_are_good(changes: dict[str, Any]) -> None:
    statement = {**copy.deepcopy(GOOD), **changes}
    text = document(statement, Id="mine")
    assert parse_policy(text, Kind.IDENTITY).document["Statement"] == [statement]
    assert parse_policy(text.decode(), Kind.SESSION).kind is Kind.SESSION


def test_a_single_statement_needs_no_list() -> None:
    text = orjson.dumps({"Version": "2012-10-17", "Statement": GOOD})
    assert parse_policy(text, Kind.IDENTITY).document["Statement"] == GOOD
