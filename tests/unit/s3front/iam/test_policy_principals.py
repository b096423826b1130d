"""Whether the principals that a policy names are there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3front.iam.policy_principals import unknown_principal
from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind
from tests.unit.s3front.configurations.known import ACCOUNTS, BART

IAM = "arn:aws:iam::111111111111"


def unknown(principal: Any, element: str = "Principal") -> str | None:
    statement = {
        "Effect": "Deny" if element.startswith("Not") else "Allow",
        element: principal,
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bucket/*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return unknown_principal(parse_policy(text, Kind.BUCKET, bucket="bucket"), ACCOUNTS)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": "111111111111"},
        {"AWS": [f"{IAM}:root", "222222222222"]},
        {"CanonicalUser": BART},
        {"AWS": "AIDAQQQQQQQQQQQQQQQQQ"},
    ],
    ids=str,
)
def test_who_is_there(principal: Any) -> None:
    assert unknown(principal) is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("AWS", "333333333333"),
        ("AWS", "arn:aws:iam::333333333333:root"),
        ("AWS", f"{IAM}:user/nobody"),
        ("AWS", f"{IAM}:user/somewhere/nobody"),
        ("AWS", f"{IAM}:role/nobody"),
        ("AWS", "arn:aws:sts::111111111111:assumed-role/nobody/session"),
        ("CanonicalUser", "nobody"),
    ],
)
def test_who_is_not(kind: str, name: str) -> None:
    assert unknown({kind: name}) == f'"{kind}" : "{name}"'
    assert unknown({kind: [name, "*"]} if kind == "AWS" else {kind: [name]}) is not None
    assert unknown({kind: name}, "NotPrincipal") == f'"{kind}" : "{name}"'
