"""Policies that are made to take long: to refuse or to read one takes about as long as it is large,
and to ask it no longer than its patterns are many."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from s3front.policies.grammar import parse_policy
from s3front.policies.judge import judge
from s3front.policies.policy import Kind
from s3front.policies.policy_error import PolicyError
from tests.unit.s3front.policies.asking import Asked, statement

SECONDS_MAX = 10
"""What they would take otherwise is minutes."""


def timed(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def tried(text: bytes, kind: Kind) -> None:
    try:
        parse_policy(text, kind, bucket="bucket")
    except PolicyError:
        return


def document(**elements: Any) -> bytes:
    return orjson.dumps({"Version": "2012-10-17", "Statement": statement(**elements)})


def own(**elements: Any) -> bytes:
    """A policy of an identity, which may be larger."""
    found = statement(**elements)
    del found["Principal"]
    return orjson.dumps({"Version": "2012-10-17", "Statement": found})


def distinct(text: str, count: int) -> list[str]:
    return [text.format(number) for number in range(count)]


TEXTS = {
    "a text without an end": b'{"' + b'\\"' * 60_000,
    "texts and texts": b"{" + b'""' * 60_000,
    "brackets without an end": b"{" * 120_000,
    "brackets and brackets": b'{"a":[' + b"[]," * 40_000,
    "a long number": b'{"a":' + b"1" * 120_000 + b"}",
    "names and names": b"{" + b",".join(b'"%d":1' % number for number in range(12_000)) + b"}",
    "variables without an end": own(Resource="arn:aws:s3:::bucket/" + "${" * 60_000),
    "variables in variables": own(Resource="arn:aws:s3:::bucket/" + "${a:b c" * 15_000 + "}"),
    "blanks in a variable": own(Resource="arn:aws:s3:::bucket/${a:b" + " c" * 50_000 + ",}"),
    "a key of dots": own(Condition={"StringEquals": {"." * 100_000: "x"}}),
    "a key of colons": own(Condition={"StringEquals": {".:" * 50_000: "x"}}),
    "a long date": own(Condition={"DateEquals": {"aws:CurrentTime": "2024-01-" + "0" * 90_000}}),
    "a long address": own(Condition={"IpAddress": {"aws:SourceIp": "1" * 90_000}}),
    "an ARN of colons": own(Condition={"ArnLike": {"aws:SourceArn": ":" * 90_000}}),
    "a long principal": document(Principal={"AWS": "arn:aws-" + "-" * 18_000}),
    "a long key of a bucket": document(Condition={"StringEquals": {"." * 18_000: "x"}}),
    "variables of a bucket": document(Resource="arn:aws:s3:::bucket/" + "${" * 9_000),
    "a long resource": own(Resource="arn:aws-" + "a" * 90_000),
}
POLICIES: dict[str, dict[str, Any]] = {
    "actions and keys": {
        "Action": ["s3:*"] * 1000,
        "Condition": {"Null": dict.fromkeys(distinct("aws:{}", 700), "true")},
    },
    "actions and tags": {
        "Action": ["s3:Get*Object"] * 700,
        "Condition": {"Null": dict.fromkeys(distinct("s3:ExistingObjectTag/{}", 300), "true")},
    },
    "actions that are hard to find": {"Action": distinct("s3:*?e?*{}*", 900)},
    "actions of stars": {"Action": distinct("s3:*e*e*e*{}*", 900)},
    "resources": {"Resource": distinct("arn:aws:s3:::bucket/*a?a?{}*", 500)},
    "one resource": {"Resource": "arn:aws:s3:::bucket/" + "*a?" * 6000},
    "principals": {"Principal": {"AWS": distinct("{:012}", 1200)}},
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", [Kind.BUCKET, Kind.IDENTITY])
def test_a_text_does_not_take_long(name: str, kind: Kind) -> None:
    assert timed(lambda: tried(TEXTS[name], kind)) < SECONDS_MAX


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_does_not_take_long(name: str) -> None:
    text = document(**POLICIES[name])
    assert timed(lambda: tried(text, Kind.BUCKET)) < SECONDS_MAX


def test_a_question_does_not_take_long() -> None:
    resource = "arn:aws:s3:::bucket/" + "a" * 1024
    for resources in (POLICIES["resources"], POLICIES["one resource"]):
        hard = parse_policy(document(**resources), Kind.BUCKET, bucket="bucket")
        begun = time.process_time()
        judge(hard, Asked(resource=resource))
        assert time.process_time() - begun < 1
