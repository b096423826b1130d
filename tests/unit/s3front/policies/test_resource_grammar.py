"""Which policies of buckets and roles are refused, and in which words."""

from __future__ import annotations

from itertools import chain
from typing import Any

import orjson
import pytest

from s3front.operations import routes
from s3front.policies.grammar import parse_policy, principals_of
from s3front.policies.policy import Kind
from s3front.policies.policy_error import PolicyError
from s3front.policies.s3_actions import ACTIONS
from tests.unit.s3front.policies.asking import ACCOUNT, ANNA_ARN, ROLE_ARN, ROOT_ARN, SESSION_ARN

BUCKET = "arn:aws:s3:::bucket"
OBJECTS = "arn:aws:s3:::bucket/*"
GOOD = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS}
TRUST = {"Effect": "Allow", "Principal": {"AWS": ROOT_ARN}, "Action": "sts:AssumeRole"}

SYNTAX = "Invalid policy syntax."
INVALID_JSON = "This policy contains invalid Json"
FIRST_BYTE = "Policies must be valid JSON and the first byte must be '{'"
ACTION = "Policy has invalid action"
RESOURCE = "Policy has invalid resource"
PRINCIPAL = "Invalid principal in policy"
KEY = "Policy has an invalid condition key"
COMBINATION = "Conditions do not apply to combination of actions and resources in statement"
NOT_APPLIED = "Action does not apply to any resource(s) in statement"
IP = "Invalid IP address in Conditions"


def document(*statements: Any, **members: Any) -> bytes:
    return orjson.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


def lacking(statement: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in names}


def refusal(text: bytes | str, kind: Kind = Kind.BUCKET) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, kind, bucket="bucket")
    return caught.value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", FIRST_BYTE),
        ("invalid json", FIRST_BYTE),
        (" {}", FIRST_BYTE),
        ("\ufeff{}", FIRST_BYTE),
        ("\ud800", INVALID_JSON),
        (b'{"\xff": 1}', INVALID_JSON),
        ("{true}", INVALID_JSON),
        ('{"Principal": "*" ', INVALID_JSON),
        ('{"Id": "\\ud800"}', INVALID_JSON),
        ('{"Id": NaN}', INVALID_JSON),
        ('{"Id":' + "[" * 40 + "]" * 40 + "}", INVALID_JSON),
        ('{"Id":' * 5000 + "1" + "}" * 5000, INVALID_JSON),
        ('{"Id":' + "1" * 5000 + "}", INVALID_JSON),
        ("{}", "Missing required field Statement"),
        ('{"Statement": []}', "Could not parse the policy: Statement is empty!"),
        ('{"Statement": null}', SYNTAX),
        ('{"Statement": ["x"]}', SYNTAX),
        ('{"statement": []}', "Unknown field statement"),
        ('{"Id": "a", "Id": "b"}', "Statement/policy already has instance of Id"),
        (document(GOOD, Version="2012-10-16"), "The policy must contain a valid version string"),
        (document(GOOD, Version=""), "The policy must contain a valid version string"),
        (document(GOOD, Version=["2012-10-17"]), "The policy must contain a valid version string"),
        (document(GOOD, Id=1), SYNTAX),
    ],
)
def test_a_document_is_refused(text: bytes | str, said: str) -> None:
    assert refusal(text).message == said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({**GOOD, "condition": {}}, "Unknown field condition"),
        ({**GOOD, "NotAction": "s3:PutObject"}, "Statement/policy already has instance of Action"),
        ({**GOOD, "NotPrincipal": "*"}, "Statement/policy already has instance of Principal"),
        ({**GOOD, "Sid": 1}, SYNTAX),
        (lacking(GOOD, "Effect"), "Missing required field Effect"),
        ({**GOOD, "Effect": "allow"}, "Invalid effect: allow"),
        ({**GOOD, "Effect": None}, SYNTAX),
        (lacking(GOOD, "Principal"), "Missing required field Principal"),
        ({**GOOD, "Principal": ROOT_ARN}, SYNTAX),
        ({**GOOD, "Principal": ["*"]}, SYNTAX),
        ({**GOOD, "Principal": {}}, "Missing required field Principal cannot be empty!"),
        ({**GOOD, "Principal": {"AWS": []}}, PRINCIPAL),
        ({**GOOD, "Principal": {"AWS": ""}}, PRINCIPAL),
        ({**GOOD, "Principal": {"AWS": [1]}}, SYNTAX),
        ({**GOOD, "Principal": {"AWS": "arn:aws:iam::123456789012:user/*"}}, PRINCIPAL),
        ({**GOOD, "Principal": {"AWS": "arn:aws:iam::tenant:root"}}, PRINCIPAL),
        ({**GOOD, "Principal": {"AWS": ["*", "12345678901"]}}, PRINCIPAL),
        ({**GOOD, "Principal": {"Service": "*"}}, PRINCIPAL),
        ({**GOOD, "Principal": {"Somebody": "*"}}, PRINCIPAL),
        (
            {**lacking(GOOD, "Principal"), "NotPrincipal": {"AWS": ROOT_ARN}},
            "Allow with NotPrincipal is not allowed.",
        ),
        (lacking(GOOD, "Action"), "Missing required field Action"),
        ({**GOOD, "Action": None}, SYNTAX),
        ({**GOOD, "Action": []}, "Missing required field Action cannot be empty!"),
        ({**GOOD, "Action": ""}, ACTION),
        ({**GOOD, "Action": "s3:"}, ACTION),
        ({**GOOD, "Action": "GetObject"}, ACTION),
        ({**GOOD, "Action": "s4:GetObject"}, ACTION),
        ({**GOOD, "Action": "s3::GetObject"}, ACTION),
        ({**GOOD, "Action": ["s3:GetObject", "s3:????"]}, ACTION),
        ({**GOOD, "Action": "*GetObject"}, ACTION),
        ({**GOOD, "Action": "s3:PutObjectLockConfiguration"}, ACTION),
        (lacking(GOOD, "Resource"), "Missing required field Resource"),
        ({**GOOD, "Resource": []}, "Missing required field Resource cannot be empty!"),
        ({**GOOD, "Resource": "*"}, RESOURCE),
        ({**GOOD, "Resource": ""}, RESOURCE),
        ({**GOOD, "Resource": "arn:aws:s3:::other/*"}, RESOURCE),
        ({**GOOD, "Resource": "arn:aws:s3:::/bucket"}, RESOURCE),
        ({**GOOD, "Resource": "arn:aws:iam:::bucket"}, RESOURCE),
        ({**GOOD, "Resource": [OBJECTS, "arn:aws:s3:::buckets/*"]}, RESOURCE),
        ({**GOOD, "Resource": BUCKET}, NOT_APPLIED),
        ({**GOOD, "Action": "s3:Abort*", "Resource": BUCKET}, NOT_APPLIED),
        ({**GOOD, "Action": ["s3:GetObject", "s3:ListBucket"]}, NOT_APPLIED),
        ({**GOOD, "Action": "s3:GetBucket*"}, NOT_APPLIED),
        ({**GOOD, "Action": "s3:CreateBucket", "Resource": [BUCKET, OBJECTS]}, NOT_APPLIED),
        ({**GOOD, "Action": "s3:ListAllMyBuckets", "Resource": BUCKET}, NOT_APPLIED),
    ],
)
def test_a_statement_is_refused(statement: dict[str, Any], said: str) -> None:
    assert refusal(document(statement)).message == said
    assert refusal(orjson.dumps({"Statement": statement})).message == said


@pytest.mark.parametrize(
    ("action", "condition", "said"),
    [
        ("s3:GetObject", [], SYNTAX),
        ("s3:GetObject", {"StringEquals": "x"}, SYNTAX),
        ("s3:GetObject", {"StringEquals": {"aws:Referer": None}}, SYNTAX),
        ("s3:GetObject", {"StringEquals": {"aws:Referer": [{}]}}, SYNTAX),
        (
            "s3:GetObject",
            {"stringequals": {"aws:Referer": "x"}},
            "Invalid Condition type : stringequals",
        ),
        (
            "s3:GetObject",
            {"NullIfExists": {"aws:Referer": "true"}},
            "Invalid Condition type : NullIfExists",
        ),
        ("s3:GetObject", {"IpAddress": {"aws:SourceIp": "123"}}, IP),
        ("s3:GetObject", {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", ""]}}, IP),
        ("s3:GetObject", {"NumericEquals": {"s3:signatureAge": "old"}}, SYNTAX),
        ("s3:GetObject", {"Bool": {"aws:SecureTransport": "maybe"}}, SYNTAX),
        ("s3:GetObject", {"StringEquals": {"s3:VersionStatus": "x"}}, KEY),
        ("s3:GetObject", {"StringEquals": {"Referer": "x"}}, KEY),
        ("s3:GetObject", {"StringEquals": {"s3:ExistingObjectTag/": "x"}}, KEY),
        ("s3:GetObject", {"StringEquals": {"s3:x-acl": "x"}}, KEY),
        ("s3:GetObject", {"StringLike": {"s3:prefix": "x"}}, COMBINATION),
        ("s3:PutObject", {"StringEquals": {"s3:ExistingObjectTag/a": "x"}}, COMBINATION),
        ("s3:DeleteObject", {"StringEquals": {"s3:ExistingObjectTag/a": "x"}}, COMBINATION),
        ("s3:PutObjectAcl", {"StringEquals": {"s3:RequestObjectTag/a": "x"}}, COMBINATION),
        (["s3:GetObject", "s3:PutObject"], {"StringEquals": {"s3:x-amz-acl": "x"}}, COMBINATION),
        ("s3:*", {"StringLike": {"s3:prefix": "x"}}, COMBINATION),
    ],
)
def test_a_condition_is_refused(action: Any, condition: Any, said: str) -> None:
    assert refusal(document({**GOOD, "Action": action, "Condition": condition})).message == said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Sid": "Allow Public Access to All Objects"},
        {"Effect": "Deny", "Sid": ""},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": [ACCOUNT, ROOT_ARN, ANNA_ARN, ROLE_ARN, SESSION_ARN]}},
        {"Principal": {"AWS": "arn:aws-us-gov:iam::123456789012:root"}},
        {"Principal": {"AWS": "AIDAJQABLZS4A3QDU576Q"}},
        {"Principal": {"CanonicalUser": "79a59df9", "Service": "logging.s3.amazonaws.com"}},
        {"Principal": {"Federated": "arn:aws:iam::123456789012:saml-provider/x"}},
        {"Action": "*", "Resource": [BUCKET, OBJECTS]},
        {"Action": ["S3:getobject", "s3:Get*", "s3:*"]},
        {"Resource": ["arn:aws:s3:::*", "arn:aws:s3:::*/*"]},
        {"Resource": "arn:aws-cn:s3:::bucket/*"},
        {"Resource": "arn:aws:s3:::b?cket/${aws:username}/*"},
        {"Condition": {}},
        {"Condition": {"IpAddress": {"aws:SourceIp": []}}},
        {"Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}}},
        {"Condition": {"StringEquals": {"AWS:PrincipalOrgID": "o-1", "aws:Unheard": "x"}}},
        {"Condition": {"StringEquals": {"s3:existingobjecttag/a/b": "x"}}},
        {"Condition": {"NumericLessThan": {"s3:signatureAge": 600000}}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        {"Condition": {"Null": {"aws:SourceIp": True}}},
        {"Condition": {"ForAnyValue:StringLikeIfExists": {"aws:TagKeys": "x*"}}},
        {"Condition": {"StringEquals": {"accounts.example.com:sub": "x"}}},
        {"Action": "s3:*", "Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}},
        {
            "Action": "s3:*",
            "Resource": [BUCKET, OBJECTS],
            "Condition": {"StringLike": {"s3:prefix": "x"}},
        },
        {
            "Action": ["s3:GetObject", "s3:GetObjectAttributes"],
            "Condition": {"StringEquals": {"s3:ExistingObjectTag/a": "x"}},
        },
    ],
)
def test_other_policies_of_buckets_are_good(changes: dict[str, Any]) -> None:
    text = document({**GOOD, **changes}, {**GOOD, **changes}, Id="mine")
    assert len(parse_policy(text, Kind.BUCKET, bucket="bucket").compiled.statements) == 2


def test_those_that_say_what_they_are_not_about_are_good() -> None:
    statement = {
        "Effect": "Deny",
        "NotPrincipal": {"AWS": [ROOT_ARN, ANNA_ARN]},
        "NotAction": "s3:GetObject",
        "NotResource": OBJECTS,
    }
    assert parse_policy(document(statement), Kind.BUCKET, bucket="bucket").compiled.statements


def test_a_policy_may_have_20480_bytes_between_its_blanks() -> None:
    def sized(size: int) -> str:
        lacks = size - len(document(GOOD, Id=""))
        return document(GOOD, Id="x" * lacks).decode()

    assert parse_policy(sized(20_480).replace(",", ",\n   "), Kind.BUCKET, bucket="bucket")
    too_large = "Normalized policy document exceeds the maximum allowed size of 20480 bytes"
    assert refusal(sized(20_481)).message == too_large
    assert refusal("{" + " " * 140_000 + "}").message == too_large


def test_what_is_to_blame_is_named() -> None:
    wrong = refusal(document({**GOOD, "Principal": {"AWS": "arn:aws:iam::1:root"}}))
    assert wrong.detail == '"AWS" : "arn:aws:iam::1:root"'
    assert refusal(document({**GOOD, "Resource": "*"})).detail == "*"


def test_every_action_that_an_operation_asks_for_may_be_named() -> None:
    asked = {
        action
        for operation in routes()
        for action in (
            *operation.actions,
            *operation.version_actions,
            *chain(*operation.header_actions.values()),
        )
    }
    assert asked
    # What stands in place of one has no service.
    assert not {action for action in asked if ":" in action and action.lower() not in ACTIONS}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("x", SYNTAX),
        (lacking(TRUST, "Principal"), "Missing required field Principal"),
        ({**TRUST, "Principal": {}}, "Missing required field Principal cannot be empty!"),
        ({**TRUST, "Principal": "*"}, "Principal must be a JSON object."),
        ({**TRUST, "Principal": {"AWS": "nobody"}}, PRINCIPAL),
        (
            {**lacking(TRUST, "Principal"), "NotPrincipal": {"AWS": "*"}},
            "Allow with NotPrincipal is not allowed.",
        ),
        (
            {**lacking(TRUST, "Principal"), "NotPrincipal": {"AWS": "*"}, "Effect": "Deny"},
            "AssumeRole policy must not contain NotPrincipal field.",
        ),
        (lacking(TRUST, "Action"), "Missing required field Action"),
        ({**TRUST, "Action": "*"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        ({**TRUST, "Resource": "*"}, "Has prohibited field Resource"),
        ({**TRUST, "NotResource": "*"}, "AssumeRole policy must not contain resources."),
        ({**TRUST, "Condition": {"Like": {"a": "b"}}}, "Syntax error in policy."),
        ({**TRUST, "Condition": {"DateEquals": {"a": "b"}}}, "Syntax error in policy."),
    ],
)
def test_a_policy_of_a_role_is_refused(statement: Any, said: str) -> None:
    assert refusal(document(statement), Kind.TRUST).message == said


def test_two_statements_of_a_role_have_different_names() -> None:
    named = {**TRUST, "Sid": "same"}
    said = refusal(document(named, named), Kind.TRUST).message
    assert said == "The Statement Ids in the policy are not unique"


@pytest.mark.parametrize("text", ["{invalid", "", "[]", '{"Id": 1, "Id": 1'])
def test_a_policy_of_a_role_that_is_no_json_is_refused(text: str) -> None:
    assert refusal(text, Kind.TRUST).message == INVALID_JSON


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Principal": {"AWS": "*"}, "Condition": {"StringEquals": {"sts:ExternalId": "x"}}},
        {"Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/example.com"}},
        {"Action": ["sts:AssumeRole", "sts:TagSession"]},
        {"Condition": {"StringLike": {"localhost:8080/realm:sub": "x*"}}},
    ],
)
def test_other_policies_of_roles_are_good(changes: dict[str, Any]) -> None:
    for version in ("2012-10-17", "2008-10-17"):
        assert parse_policy(document({**TRUST, **changes}, Version=version), Kind.TRUST)


def test_the_principals_of_a_policy_are_told() -> None:
    named = parse_policy(
        document(
            {**GOOD, "Principal": {"AWS": ["*", ANNA_ARN], "CanonicalUser": "id"}},
            {**lacking(GOOD, "Principal"), "Effect": "Deny", "NotPrincipal": {"AWS": ACCOUNT}},
            GOOD,
        ),
        Kind.BUCKET,
        bucket="bucket",
    )
    assert principals_of(named) == [("AWS", ANNA_ARN), ("CanonicalUser", "id"), ("AWS", ACCOUNT)]
