"""Policies that are made to take long: to refuse or to read one takes about as long as it is large,
and to ask it never more than one decision may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from s3front.policies.grammar import parse_policy, stored_policy
from s3front.policies.judge import judge
from s3front.policies.policy import Kind
from s3front.policies.policy_error import PolicyError
from s3front.policies.verdict import NOTHING, Effect, Verdict
from s3front.policies.work import STEPS_MAX
from tests.unit.s3front.policies.asking import Asked, policy, statement

TIMES_MAX = 25
"""As long as a harmless text of the same length: what is hostile takes thousands of times as long,
where something tries places again."""

SECONDS_FREE = 0.05
"""What a busy machine may take for anything."""

SECONDS_OF_STEP = 10e-9
"""A step is about a nanosecond, on a machine that has nothing else to do."""


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
    "actions that there are not": {"Action": distinct("s3:*?e?*{}*", 900)},
    "actions of stars": {"Action": ["s3:*" + "e*" * number for number in range(1, 4)] * 400},
    "actions that are hard to find": {
        "Action": [f"s3:{a}*?{b}?*{c}*" for a in "gp" for b in "etoc" for c in "etac"]
    },
    "resources": {"Resource": distinct("arn:aws:s3:::bucket/*a?a?{}*", 500)},
    "one resource": {"Resource": "arn:aws:s3:::bucket/" + "*a?" * 6000},
    "principals": {"Principal": {"AWS": distinct("{:012}", 1200)}},
}


def harmless(size: int) -> bytes:
    """A usual policy of about this size."""
    count = max(1, size // 150)
    return orjson.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                statement(Resource=f"arn:aws:s3:::bucket/{number}/*") for number in range(count)
            ],
        }
    )


def assert_is_no_slower(text: bytes, kind: Kind) -> None:
    usual = harmless(len(text))
    longest = TIMES_MAX * timed(lambda: tried(usual, Kind.BUCKET)) + SECONDS_FREE
    assert timed(lambda: tried(text, kind)) < longest


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", [Kind.BUCKET, Kind.IDENTITY])
def test_a_text_does_not_take_long(name: str, kind: Kind) -> None:
    assert_is_no_slower(TEXTS[name], kind)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_does_not_take_long(name: str) -> None:
    assert_is_no_slower(document(**POLICIES[name]), Kind.BUCKET)


LONG = "a" * 7_500
"""As long as a header can be."""


def agents(operator: str, *patterns: str) -> dict[str, Any]:
    return {"Condition": {operator: {"aws:UserAgent": list(patterns)}}}


ASKED: dict[str, dict[str, Any]] = {
    "resources": POLICIES["resources"],
    "one resource": POLICIES["one resource"],
    "any one, then what is not there": agents("StringLike", *distinct("*?z{:x}*", 1800)),
    "nearly the same": agents("StringLike", *distinct("*aaaaaa?b{:x}*", 1000)),
    "nearly the same, at its end": agents("StringNotLike", *distinct("*aaaaaaaaaaaab{:x}*", 900)),
    "the same but for its middle": agents(
        "StringLike", *distinct(f"*{'a' * 49}b{'a' * 49}{{:x}}*", 150)
    ),
    "any one, often": agents("StringLike", "*" + "a?" * 9_000 + "b*"),
    "any number, often": agents("StringLike", "*" + "a*" * 9_000 + "b"),
    "both, often": agents("StringLike", "*a?" * 6_000 + "b"),
    "without regard to case": agents("StringEqualsIgnoreCase", *distinct("{:x}", 2_000)),
    "parts of ARNs": {
        "Condition": {"ArnLike": {"aws:SourceArn": distinct("arn:*:*?b:*:*:*?b{:x}", 600)}}
    },
    "variables": agents("StringLike", *(["*${aws:UserAgent}?${aws:UserAgent}b"] * 400)),
    "numbers": {"Condition": {"NumericEquals": {"s3:max-keys": distinct("{}", 2_000)}}},
    "times": {"Condition": {"DateEquals": {"aws:CurrentTime": distinct("{}", 2_000)}}},
    "addresses": {"Condition": {"IpAddress": {"aws:SourceIp": distinct("10.0.{0}.0/32", 250)}}},
    "keys": {
        "Condition": {
            "StringLike": dict.fromkeys(distinct("s3:ExistingObjectTag/{}", 600), "*a?b*")
        }
    },
}
VALUES: dict[str, str | Sequence[str]] = {
    "aws:useragent": LONG,
    "aws:sourcearn": f"arn:{LONG}:{LONG}:{LONG}:{LONG}:{LONG}",
    "s3:max-keys": ["1"] * 200,
    "aws:currenttime": ["2026-01-02T03:04:05Z"] * 200,
    "aws:sourceip": "10.1.2.3",
    **dict.fromkeys(distinct("s3:existingobjecttag/{}", 600), "a" * 256),
}


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("name", ASKED)
def test_a_question_takes_no_more_than_its_steps(name: str, effect: str) -> None:
    hard = stored_policy(orjson.loads(document(Effect=effect, **ASKED[name])))
    asked = Asked(resource="arn:aws:s3:::bucket/" + "a" * 1024, keys=VALUES)
    assert hard.compiled.statements
    begun = time.process_time()
    judge(hard, asked)
    took = time.process_time() - begun
    assert took < SECONDS_OF_STEP * (STEPS_MAX - asked.work.left) + SECONDS_FREE
    assert asked.work.left > -STEPS_MAX // 10


def test_what_takes_too_long_denies_and_allows_nothing() -> None:
    hard = agents("StringLike", *distinct("*aaaaaa?b{:x}*", 1000))
    denies = policy(statement(), statement("Deny", Sid="Slow", **hard))
    asked = Asked(keys={"aws:useragent": LONG})
    assert judge(denies, asked) == Verdict(Effect.DENY, "Slow (too much work to judge)")
    allows = policy(statement(**hard), statement("Allow", Sid="Late"))
    assert judge(allows, Asked(keys={"aws:useragent": LONG})) == NOTHING
    assert judge(allows, Asked(keys={"aws:useragent": "curl/8.0"})).statement == "Late"


def test_when_all_work_is_done_the_next_policy_is_not_judged() -> None:
    asked = Asked()
    asked.work.left = 0
    assert judge(policy(statement()), asked) == NOTHING
    assert judge(policy(statement(), statement("Deny", Action="s3:GetObject")), asked).effect is (
        Effect.DENY
    )
    others = policy(statement(), statement("Deny", Action="s3:PutObject"))
    assert judge(others, asked) == NOTHING


def test_usual_policies_take_little_of_it() -> None:
    condition = {"StringLike": {"aws:UserAgent": ["*curl*", "*python-??quests*"]}}
    usual = policy(
        *(
            statement(Resource=[f"arn:aws:s3:::bucket/{n}/????-??-??/*.jpg"], Condition=condition)
            for n in range(60)
        )
    )
    asked = Asked(
        resource="arn:aws:s3:::bucket/59/2026-01-02/" + "key/" * 200 + "photo.jpg",
        keys={"aws:useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) python-requests" * 4},
    )
    assert judge(usual, asked).effect is Effect.ALLOW
    assert STEPS_MAX - asked.work.left < STEPS_MAX / 20
