"""What stands in for the variables of policies."""

from __future__ import annotations

import pytest

from s3front.policies.policy_variables import patterns_of
from tests.unit.s3front.policies.asking import Asked

KEYS = {
    "aws:username": "anna",
    "aws:principaltag/team": "*",
    "aws:principaltag/two words": "?",
    "aws:tagkeys": ("a", "b"),
    "accounts.example.com:8080/realm:sub": "user",
}
ASKED = Asked(keys=KEYS)


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("home/${aws:username}/*", "home/anna/x", True),
        ("home/${AWS:UserName}/*", "home/anna/x", True),
        ("home/${ aws:username }", "home/anna", True),
        ("home/${aws:username}/*", "home/bob/x", False),
        ("${aws:username}${aws:username}", "annaanna", True),
        ("${accounts.example.com:8080/realm:sub}", "user", True),
        ("x/${aws:PrincipalTag/team}", "x/*", True),
        ("x/${aws:PrincipalTag/team}", "x/other", False),
        ("${aws:PrincipalTag/two words}", "?", True),
        ("${aws:PrincipalTag/two words}", "a", False),
        ("${*}", "*", True),
        ("${*}", "a", False),
        ("a${?}b${$}", "a?b$", True),
        ("a${?}b", "axb", False),
        ("${$}{aws:username}", "${aws:username}", True),
        ("${aws:PrincipalTag/none, 'all'}/*", "all/x", True),
        ("${aws:PrincipalTag/none,'*'}", "x", False),
        ("${aws:PrincipalTag/none,'*'}", "*", True),
        ("${aws:username, 'all'}", "all", False),
        ("${aws:username", "${aws:username", True),
        ("$aws:username", "$aws:username", True),
        ("${aws:PrincipalTag/none}", "", None),
        ("${aws:PrincipalTag/none}", "${aws:PrincipalTag/none}", None),
        ("${aws:TagKeys}", "a", None),
        ("${}", "${}", None),
        ("${a b}", "a b", None),
        ("${aws:username, all}", "anna", None),
    ],
)
def test_a_variable_is_the_text_that_the_request_has(
    pattern: str, text: str, matched: bool | None
) -> None:
    assert patterns_of([pattern], variables=True).matched_by(text, ASKED) is matched


def test_without_variables_a_pattern_is_what_it_is() -> None:
    patterns = patterns_of(["${aws:username}"], variables=False)
    assert patterns.matched_by("${aws:username}", ASKED)
    assert not patterns.matched_by("anna", ASKED)


def test_one_that_fits_makes_up_for_one_without_a_value() -> None:
    patterns = patterns_of(["${aws:PrincipalTag/none}", "${aws:username}"], variables=True)
    assert patterns.matched_by("anna", ASKED) is True
    assert patterns.matched_by("bob", ASKED) is None


def test_case_may_be_left_out_of_account() -> None:
    patterns = patterns_of(
        ["A*", "${aws:username}-B"], variables=True, wildcards=False, folded=True
    )
    assert patterns.matched_by("a*", ASKED)
    assert patterns.matched_by("ANNA-b", ASKED)
    assert not patterns.matched_by("ab", ASKED)
