"""Patterns with ``*`` and ``?``."""

from __future__ import annotations

import time

import pytest

from s3front.policies.wildcards import Patterns, Token, Wildcard, matches, segments_of, tokens_of
from s3front.policies.work import STEPS_MAX, OutOfWorkError, Work


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "a/b\nc", True),
        ("**", "", True),
        ("?", "", False),
        ("?", "a", True),
        ("?", "é", True),
        ("?", "ab", False),
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("a*b*b*c", "a-b-c", False),
        ("*a*a*", "a", False),
        ("a??d*", "abcd", True),
        ("a??d*", "abd", False),
        ("*?b?*", "abc", True),
        ("*?b?*", "ab", False),
        ("*a?c*", "aacabc", True),
        ("*a?a", "xaba", True),
        ("*ab?ab*", "ababxab", True),
        ("*x?y?z*", "-xxyxyzxaybz", True),
        ("*x?y?z*", "-xxyxyzxaybc", False),
        ("x/*/test/*", "x/1///test///object", True),
        ("x/*/test/*", "x/1/2/test.jpg", False),
        (".+", "ab", False),
        ("[a]", "a", False),
    ],
)
def test_a_pattern_describes_texts(pattern: str, text: str, matched: bool) -> None:
    assert matches(segments_of(tokens_of(pattern)), text, Work()) is matched
    assert Patterns.of([tokens_of(pattern)]).matched_by(text, Work()) is matched


def test_of_several_patterns_one_has_to_fit() -> None:
    patterns = Patterns.of([tokens_of(each) for each in ("exact", "pre*", "*fix", "a?b")])
    texts = ["exact", "prefix", "suffix", "acb", "abb", "other", "ab"]
    found = [text for text in texts if patterns.matched_by(text, Work())]
    assert found == ["exact", "prefix", "suffix", "acb", "abb"]


def test_no_pattern_describes_nothing() -> None:
    assert not Patterns.of([]).matched_by("", Work())


def test_characters_that_stand_for_themselves_are_none_of_wildcards() -> None:
    pattern: list[Token] = ["a", "*", Wildcard.ONE, "?"]
    assert matches(segments_of(pattern), "a*x?", Work())
    assert not matches(segments_of(pattern), "abx?", Work())


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 5000 + "b", "a" * 8000),
        ("*?a?" * 3000 + "b", "a" * 8000),
        ("*" + "a?" * 4000 + "b*", "a" * 16000),
        ("*" + "a" * 4000 + "?b*", "a" * 16000),
        ("*" + "a" * 90 + "?b*", "a" * 16000),
        ("*" + "a" * 45 + "b" + "a" * 45 + "*", "a" * 16000),
        ("?" * 8000 + "*", "a" * 7999),
    ],
)
def test_no_pattern_takes_longer_than_its_steps(pattern: str, text: str) -> None:
    patterns, work = Patterns.of([tokens_of(pattern)]), Work()
    begun = time.process_time()
    try:
        assert not patterns.matched_by(text, work)
    except OutOfWorkError:
        assert work.left < 0
    # A step is about a nanosecond.
    seconds = time.process_time() - begun
    assert seconds < (STEPS_MAX - work.left) * 10e-9 + 0.02
