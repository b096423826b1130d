"""Policies keep to their laws, whatever their statements and whoever asks; their patterns describe
what a naive reading of them does; and no text at all is more than refused."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from s3front.policies.grammar import parse_policy, stored_policy
from s3front.policies.judge import judge
from s3front.policies.policy import Kind, Policy
from s3front.policies.policy_error import PolicyError
from s3front.policies.public import is_public
from s3front.policies.verdict import Effect, How
from s3front.policies.wildcards import Patterns, matches, segments_of, tokens_of
from s3front.policies.work import Work
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
)

named = st.sampled_from([ACCOUNT, ROOT_ARN, ANNA_ARN, ROLE_ARN, SESSION_ARN, "*", "210987654321"])
principals = st.one_of(
    st.just("*"),
    st.fixed_dictionaries({"AWS": st.lists(named, min_size=1, max_size=3)}),
    st.just({"CanonicalUser": [CANONICAL_ID]}),
)
actions = st.lists(
    st.sampled_from(["s3:GetObject", "s3:Get*", "s3:PutObject", "s3:*Object", "*"]),
    min_size=1,
    max_size=3,
)
resources = st.lists(
    st.sampled_from(
        [
            "arn:aws:s3:::bucket/*",
            "arn:aws:s3:::bucket/a*",
            "arn:aws:s3:::bucket/?b",
            "arn:aws:s3:::bucket/${aws:username}/*",
            "arn:aws:s3:::bucket/*/x*y",
        ]
    ),
    min_size=1,
    max_size=3,
)
conditions = st.dictionaries(
    st.sampled_from(
        ["StringEquals", "StringNotLike", "StringLikeIfExists", "ForAllValues:StringLike"]
    ),
    st.dictionaries(
        st.sampled_from(["aws:Referer", "aws:username"]),
        st.lists(st.sampled_from(["anna", "a*", "${aws:username}", "b"]), min_size=1, max_size=2),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)
effects = st.sampled_from(["Allow", "Deny"])


@st.composite
def statements(draw: st.DrawFn, effect: str | None = None) -> dict[str, Any]:
    chosen = effect or draw(effects)
    found: dict[str, Any] = {"Effect": chosen, "Condition": draw(conditions)}
    but_principals = chosen == "Deny" and draw(st.booleans())
    found["NotPrincipal" if but_principals else "Principal"] = draw(principals)
    found["NotAction" if draw(st.booleans()) else "Action"] = draw(actions)
    found["NotResource" if draw(st.booleans()) else "Resource"] = draw(resources)
    return found


lists = st.lists(statements(), min_size=1, max_size=5)
questions = st.builds(
    Asked,
    st.sampled_from([ANNA, ACCOUNT_ITSELF, SESSION, ANYBODY]),
    st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:GetObjectAcl"]),
    st.sampled_from(["a", "ab", "anna/x", "b/xzy", "*"]).map("arn:aws:s3:::bucket/{}".format),
    st.fixed_dictionaries(
        {},
        optional={
            "aws:referer": st.sampled_from(["anna", "b", "*"]),
            "aws:username": st.sampled_from(["anna", "*", "a*"]),
        },
    ),
)


def policy_of(found: list[dict[str, Any]]) -> Policy:
    document = orjson.dumps({"Version": "2012-10-17", "Statement": found})
    return parse_policy(document, Kind.BUCKET, bucket="bucket")


def answer(found: list[dict[str, Any]], asked: Asked) -> tuple[Effect, How]:
    verdict = judge(policy_of(found), asked)
    return verdict.effect, verdict.how


@given(lists, statements("Deny"), st.integers(0, 5), questions)
def test_a_denial_more_never_allows_more(
    found: list[dict[str, Any]], denial: dict[str, Any], place: int, asked: Asked
) -> None:
    before, after = answer(found, asked), answer([*found[:place], denial, *found[place:]], asked)
    denied = answer([denial], asked)[0] is Effect.DENY
    assert after == before or after[0] is Effect.DENY
    assert (after[0] is Effect.DENY) is (denied or before[0] is Effect.DENY)


@given(lists, statements("Allow"), st.integers(0, 5), questions)
def test_an_allowance_less_never_allows_more(
    found: list[dict[str, Any]], allowance: dict[str, Any], place: int, asked: Asked
) -> None:
    with_it = answer([*found[:place], allowance, *found[place:]], asked)
    without = answer(found, asked)
    assert without == with_it or with_it[0] is Effect.ALLOW
    assert without[1] <= with_it[1]


@given(lists, st.data(), questions)
def test_order_and_names_of_statements_change_nothing(
    found: list[dict[str, Any]], data: st.DataObject, asked: Asked
) -> None:
    other = [
        {**each, "Sid": data.draw(st.text(max_size=3))}
        for each in data.draw(st.permutations(found))
    ]
    assert answer(other, asked) == answer(found, asked)


@given(lists, questions)
def test_to_split_statements_changes_nothing(found: list[dict[str, Any]], asked: Asked) -> None:
    split = found
    for element in ("Action", "Resource"):
        split = [
            {**each, element: [value]} if element in each else each
            for each in split
            for value in each.get(element, [None])
        ]
    split = [
        {**each, "Principal": {kind: [value]}} if kind else each
        for each in split
        for kind, value in _principals(each)
    ]
    assert answer(split, asked) == answer(found, asked)


def _principals(statement: dict[str, Any]) -> list[tuple[str, str]]:
    element = statement.get("Principal")
    if not isinstance(element, dict):
        return [("", "")]
    return [(kind, value) for kind, values in element.items() for value in values]


@given(lists, questions)
def test_to_write_a_list_of_one_without_brackets_changes_nothing(
    found: list[dict[str, Any]], asked: Asked
) -> None:
    bare = [
        {
            name: value[0] if isinstance(value, list) and len(value) == 1 else value
            for name, value in each.items()
        }
        for each in found
    ]
    assert answer(bare, asked) == answer(found, asked)


@given(lists, questions)
def test_who_is_let_in_by_name_makes_nothing_public(
    found: list[dict[str, Any]], asked: Asked
) -> None:
    whole = policy_of(found)
    if not is_public(whole):
        verdict = judge(whole, Asked(ANYBODY, asked.action, asked.resource, asked.keys))
        assert verdict.effect is not Effect.ALLOW


letters = st.text(st.sampled_from("ab*?"), max_size=10)
texts = st.text(st.sampled_from("ab*?"), max_size=12)


def naive(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[place:]) for place in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(letters, texts)
def test_a_pattern_describes_what_it_seems_to(pattern: str, text: str) -> None:
    assert matches(segments_of(tokens_of(pattern)), text, Work()) is naive(pattern, text)


@given(st.lists(letters, max_size=4), texts)
def test_several_patterns_describe_what_one_of_them_does(patterns: list[str], text: str) -> None:
    several = Patterns.of([tokens_of(pattern) for pattern in patterns])
    assert several.matched_by(text, Work()) is any(naive(pattern, text) for pattern in patterns)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=5)
)
names = st.sampled_from(
    [
        *("Version", "Id", "Statement", "Sid", "Effect", "Principal", "NotPrincipal", "Action"),
        *("NotAction", "Resource", "NotResource", "Condition", "AWS", "StringLike", "IpAddress"),
        *("DateEquals", "Null", "Bool", "NumericEquals", "ArnLike", "BinaryEquals", "aws:SourceIp"),
    ]
)
words = st.sampled_from(
    [
        *("*", "Allow", "Deny", "2012-10-17", "s3:GetObject", "arn:aws:s3:::bucket/*", ACCOUNT),
        *("${", "${aws:username}", "arn:", "arn:aws:iam::", "10.0.0.0/8", "true", "9" * 50, ":"),
    ]
)
documents = st.recursive(
    st.one_of(words, scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(names, words), inner, max_size=6)
    ),
    max_leaves=30,
)
elements = st.dictionaries(names, documents, max_size=8)
kinds = st.sampled_from(list(Kind))


def tried(text: bytes, kind: Kind, asked: Asked) -> None:
    try:
        found = parse_policy(text, kind, bucket="bucket")
    except PolicyError:
        return
    judge(found, asked)
    assert len(found.compiled.statements) == len(_listed(found.document["Statement"]))
    is_public(found)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@given(st.binary(max_size=200), kinds, questions)
def test_no_bytes_are_more_than_refused(text: bytes, kind: Kind, asked: Asked) -> None:
    tried(text, kind, asked)
    tried(b"{" + text, kind, asked)


@given(st.one_of(documents, elements), kinds, questions)
def test_no_json_is_more_than_refused(document: Any, kind: Kind, asked: Asked) -> None:
    tried(orjson.dumps(document), kind, asked)
    tried(orjson.dumps({"Version": "2012-10-17", "Statement": document}), kind, asked)


@given(
    lists,
    st.sampled_from(["Effect", "Principal", "Action", "Resource", "Condition"]),
    documents,
    kinds,
)
def test_no_element_is_more_than_refused(
    found: list[dict[str, Any]], name: str, value: Any, kind: Kind
) -> None:
    changed = {**found[0], name: value}
    tried(orjson.dumps({"Version": "2012-10-17", "Statement": changed}), kind, Asked())


@given(documents, kinds, questions)
def test_whatever_is_stored_can_be_asked(document: Any, kind: Kind, asked: Asked) -> None:
    for each in (document, {"Statement": document}, {"Statement": [document]}):
        found = stored_policy(each, kind)
        judge(found, asked)
        if isinstance(each, dict):
            is_public(found)
