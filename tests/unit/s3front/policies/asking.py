"""Policies and questions for tests, written short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from s3front.policies.grammar import parse_policy
from s3front.policies.policy import Kind, Policy
from s3front.policies.question import CallerNames
from s3front.policies.work import Work

ACCOUNT = "123456789012"
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
ANNA_ARN = f"arn:aws:iam::{ACCOUNT}:user/staff/Anna"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/Reader"
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/today"
CANONICAL_ID = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"

ACCOUNT_ITSELF = CallerNames(ROOT_ARN, ACCOUNT, CANONICAL_ID)
ANNA = CallerNames(ANNA_ARN, ACCOUNT, CANONICAL_ID)
SESSION = CallerNames(SESSION_ARN, ACCOUNT, CANONICAL_ID, role_arn=ROLE_ARN)
ANYBODY = CallerNames("*", None, "http://acs.amazonaws.com/groups/global/AllUsers")


class Asked:
    """A question; the values of keys are given by their names in lower case."""

    def __init__(
        self,
        names: CallerNames = ANNA,
        action: str = "s3:GetObject",
        resource: str = "arn:aws:s3:::bucket/key",
        keys: dict[str, str | Sequence[str]] | None = None,
    ) -> None:
        self.names = names
        self.action = action
        self.resource = resource
        self.keys = keys or {}
        self.work = Work()

    def values(self, key: str) -> Sequence[str] | None:
        value = self.keys.get(key.lower())
        return (value,) if isinstance(value, str) else value


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    """One on everything in the bucket, for everybody."""
    resources = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
    usual = {"Effect": effect, "Principal": "*", "Action": "s3:*", "Resource": resources}
    # What is asked for takes the place of what it is the negation of.
    for name in elements:
        usual.pop(name.removeprefix("Not"), None)
    return {**usual, **elements}


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    """The checked policy of the bucket with these statements."""
    document = {"Version": version, "Statement": list(statements)}
    return parse_policy(orjson.dumps(document), Kind.BUCKET, bucket="bucket")
