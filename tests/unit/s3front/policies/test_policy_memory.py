"""What is said of the memory of policies, against what they take."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from s3front.policies.grammar import BUCKET_SIZE_MAX, parse_policy, stored_policy
from s3front.policies.judge import judge
from s3front.policies.policy import Kind
from s3front.policies.policy_error import PolicyError
from s3front.policies.policy_memory import POLICY_MEMORY_MAX, policy_memory
from tests.unit.s3front.policies.asking import Asked, statement
from tests.unit.s3front.policies.test_hostile_policies import (
    ASKED,
    POLICIES,
    distinct,
    document,
    harmless,
)

ACTIONS = tuple(f"s3:{verb}{what}" for verb in ("Get", "Put") for what in ("Object", "BucketAcl"))


def on_keys(operator: str, value: Any, count: int = 1_500) -> bytes:
    return document(Condition={operator: dict.fromkeys(distinct("{:x}", count), value)})


def on_values(operator: str, *values: Any) -> bytes:
    return document(Condition={operator: {"x": list(values)}})


TEXTS: dict[str, bytes] = {
    **{name: document(**elements) for name, elements in (POLICIES | ASKED).items()},
    "usual": harmless(10_000),
    "one statement": orjson.dumps({"Statement": [statement()]}),
    "short statements": orjson.dumps({"Statement": [statement(Resource="*")] * 250}),
    "no statements": b'{"Statement":[' + b",".join([b"{}"] * 6_000) + b"]}",
    "lists": b'{"Statement":{"x":[' + b",".join([b"[]"] * 6_000) + b"]}}",
    "names": orjson.dumps({"Statement": [], "Id": dict.fromkeys(distinct("{:x}", 1_500), 1)}),
    "keys": on_keys("StringEquals", ""),
    "keys, any one": on_keys("ForAnyValue:StringLike", "a?*"),
    "keys, yes or no": on_keys("Bool", True),
    "keys, ARNs": on_keys("ArnLike", "::::?:*", 900),
    "values": on_values("StringLike", *distinct("?{:x}*", 2_000)),
    "values of nothing": on_values("StringLike", *["*?"] * 4_000),
    "values, ARNs": on_values("ArnLike", *["?:?:?:?:?:?"] * 1_400),
    "values, numbers": on_values("NumericEquals", *range(4_000)),
    "values, addresses": on_values("IpAddress", *["::"] * 4_000),
    "values, not in Latin": on_values("StringLike", *distinct("\u03a9?\U0001f600*{:x}", 1_200)),
    "variables": on_values("StringLike", *["${a:b}"] * 2_000),
    "variables of one": on_values("StringLike", "${}" * 6_000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_about_what_they_take(name: str) -> None:
    text = TEXTS[name]
    judge(stored_policy(orjson.loads(text)), Asked())  # what is remembered of all policies
    tracemalloc.start()
    try:
        policy = stored_policy(orjson.loads(text))
        for action in ACTIONS:
            judge(policy, Asked(action=action, keys={"aws:useragent": "curl/8", "x": "1"}))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 1.1 * policy_memory(policy.document)
    assert policy_memory(policy.document) < 20 * taken


@pytest.mark.parametrize("document", [None, 7, [], {}, {"Statement": None}, {"Statement": [[]]}])
def test_documents_of_any_form(document: Any) -> None:
    assert 0 < policy_memory(document) < 10_000


@pytest.mark.parametrize("name", ["keys, ARNs", "values, ARNs", "values of nothing"])
def test_the_policy_of_a_bucket_that_takes_too_much_is_refused(name: str) -> None:
    text = TEXTS[name].replace(b'"x"', b'"aws:SourceArn"')
    assert len(text) <= BUCKET_SIZE_MAX
    with pytest.raises(PolicyError, match="more values, conditions and wildcards"):
        parse_policy(text, Kind.BUCKET, bucket="bucket")


def test_the_longest_usual_policies_are_not() -> None:
    text = harmless(33_000)
    assert BUCKET_SIZE_MAX * 0.9 < len(text) < BUCKET_SIZE_MAX
    taken = parse_policy(text, Kind.BUCKET, bucket="bucket")
    assert taken.memory < POLICY_MEMORY_MAX * 0.7
