"""The conditions of statements: what their operators compare, and what is there for missing keys,
several values and values that cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from s3front.policies.condition_block import tests_of as block_of
from tests.unit.s3front.policies.asking import Asked

Values = str | Sequence[str] | None


def holds(block: Any, values: Values, *, deny: bool = False) -> bool:
    """Whether conditions on ``aws:Key`` hold where the request has these values for it."""
    found = block_of(block, deny=deny, variables=True)
    assert found is not None
    asked = Asked(keys={} if values is None else {"aws:key": values, "aws:username": "anna"})
    return all(test(asked) for test in found)


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "fits"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a*", "a*", True),
        ("StringEquals", "${aws:username}", "anna", True),
        ("StringEquals", [], "", False),
        ("StringEquals", 5, "5", True),
        ("StringEquals", True, "true", True),
        ("StringEqualsIgnoreCase", "Straße", "STRAßE", True),
        ("StringEqualsIgnoreCase", "a*", "ab", False),
        ("StringEqualsIgnoreCase", "${aws:username}", "ANNA", True),
        ("StringLike", "a?c*", "abcd", True),
        ("StringLike", "a?c*", "Abcd", False),
        ("StringLike", "${aws:username}/*", "anna/x", True),
        ("StringLike", "${*}", "x", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "11", False),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThan", "10", "10", False),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "100", True),
        ("NumericGreaterThan", "-1.5", "-1.6", False),
        ("NumericGreaterThanEquals", ["10", "20"], "10", True),
        ("DateEquals", "2024-02-29T12:00:00Z", "2024-02-29T13:00:00+01:00", True),
        ("DateEquals", "2024-02-29T12:00:00Z", "1709208000", True),
        ("DateEquals", 1709208000, "2024-02-29T12:00:00.000Z", True),
        ("DateLessThan", "2024-03", "2024-02-29T23:59:59.999Z", True),
        ("DateLessThan", "2024-02-29", "2024-02-29T00:00:00Z", False),
        ("DateLessThanEquals", "2024-02-29", "2024-02-29T00:00Z", True),
        ("DateGreaterThan", "2024-02-29t12:00:00z", "2024-02-29T12:00:01Z", True),
        ("DateGreaterThanEquals", "2024-02-29", "2024-02-28T23:59:59Z", False),
        ("Bool", "true", "true", True),
        ("Bool", True, "TRUE", True),
        ("Bool", ["true", "false"], "false", True),
        ("Bool", "false", "true", False),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("BinaryEquals", "QmluYXJ5", "Qmlu", False),
        ("IpAddress", "10.0.0.0/8", "10.255.0.1", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1", False),
        ("IpAddress", ["192.168.0.1", "10.1.2.3/16"], "10.1.9.9", True),
        ("IpAddress", "192.168.0.1", "192.168.0.1", True),
        ("IpAddress", "192.168.0.1", "::ffff:192.168.0.1", True),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
        ("ArnEquals", "arn:aws:iam::1*:role/x", "arn:aws:iam::123456789012:role/x", True),
        ("ArnLike", "arn:aws:iam::*:role/*", "arn:aws:iam::123456789012:role/a/b:c", True),
        ("ArnLike", "arn:aws:iam::*", "arn:aws:iam::123456789012:role/x", True),
        ("ArnLike", "arn:aws:i*:::role/x", "arn:aws:iam::123456789012:role/x", False),
        ("ArnLike", "arn:aws-cn:iam::1:role/x", "arn:aws:iam::1:role/x", True),
        ("ArnLike", "arn:aws:iam::1:role/${aws:username}", "arn:aws:iam::1:role/anna", True),
        ("ArnLike", "*", "arn:aws:iam::1:role/x", True),
    ],
)
def test_an_operator_compares(operator: str, wanted: Any, value: str, fits: bool) -> None:
    assert holds({operator: {"aws:Key": wanted}}, value) is fits
    assert holds({f"{operator}IfExists": {"AWS:KEY": wanted}}, value) is fits
    assert holds({f"ForAnyValue:{operator}": {"aws:key": wanted}}, value) is fits
    assert holds({f"ForAllValues:{operator}": {"aws:key": wanted}}, value) is fits


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "fits"),
    [
        ("StringNotEquals", "a", "a", False),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringNotLike", "a*", "ab", False),
        ("StringNotLike", "a*", "b", True),
        ("NumericNotEquals", "1", "1.0", False),
        ("NumericNotEquals", "1", "2", True),
        ("DateNotEquals", "2024-02-29", "2024-02-29T00:00:00Z", False),
        ("BinaryNotEquals", "Qmlu", "QmluYXJ5", True),
        ("NotIpAddress", "10.0.0.0/8", "10.0.0.1", False),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", True),
        ("ArnNotEquals", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x", False),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:user/x", True),
    ],
)
def test_one_that_negates_compares(operator: str, wanted: Any, value: str, fits: bool) -> None:
    block = {operator: {"aws:key": wanted}}
    assert holds(block, value) is fits
    assert holds(block, value, deny=True) is fits


@pytest.mark.parametrize(
    ("operator", "fits"),
    [
        ("StringEquals", False),
        ("StringNotEquals", True),
        ("IpAddress", False),
        ("NotIpAddress", True),
        ("NumericLessThan", False),
        ("Bool", False),
        ("StringEqualsIfExists", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAllValues:StringNotEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
    ],
)
def test_a_key_that_is_missing_fits_nothing(operator: str, fits: bool) -> None:
    wanted = "true" if operator == "Bool" else "10"
    if operator.endswith("IpAddress"):
        wanted = "10.0.0.0/8"
    assert holds({operator: {"aws:key": wanted}}, None) is fits
    assert holds({operator: {"aws:key": wanted}}, ()) is fits


@pytest.mark.parametrize(
    ("wanted", "value", "fits"),
    [
        ("true", None, True),
        ("true", "x", False),
        ("false", None, False),
        (False, "", True),
        ("true", (), True),
        (["true", "false"], None, True),
    ],
)
def test_null_asks_whether_a_key_is_missing(wanted: Any, value: Values, fits: bool) -> None:
    assert holds({"Null": {"aws:key": wanted}}, value) is fits


@pytest.mark.parametrize(
    ("operator", "values", "fits"),
    [
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "c"), False),
        ("ForAnyValue:StringEquals", ("c", "b"), True),
        ("ForAnyValue:StringEquals", ("c", "d"), False),
        ("ForAllValues:StringNotEquals", ("c", "d"), True),
        ("ForAllValues:StringNotEquals", ("a", "d"), False),
        ("ForAnyValue:StringNotEquals", ("a", "d"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("StringEquals", ("c", "b"), True),
        ("StringNotEquals", ("c", "b"), False),
        ("StringNotEquals", ("c", "d"), True),
    ],
)
def test_several_values_fit_each_or_one(operator: str, values: Values, fits: bool) -> None:
    assert holds({operator: {"aws:key": ["a", "b"]}}, values) is fits


@pytest.mark.parametrize(
    ("operator", "wanted", "value"),
    [
        ("Numeric{}Equals", "1", "many"),
        ("Date{}Equals", "2024-01-01", "today"),
        ("Date{}Equals", "2024-01-01", "2024-02-30"),
        ("Binary{}Equals", "Qmlu", "?"),
        ("{}IpAddress", "0.0.0.0/0", "nowhere"),
        ("Arn{}Like", "*", "no ARN"),
        ("String{}Equals", "${aws:PrincipalTag/none}", "x"),
        ("String{}Like", "*${aws:PrincipalTag/none}*", "x"),
        ("Arn{}Equals", "arn:aws:iam::1:role/${aws:PrincipalTag/none}", "arn:aws:iam::1:role/x"),
    ],
)
def test_what_cannot_be_compared_lets_nothing_through(
    operator: str, wanted: str, value: str
) -> None:
    fits, differs = operator.format(""), operator.format("Not")
    assert not holds({fits: {"aws:key": wanted}}, value)
    assert not holds({fits: {"aws:key": wanted}}, value, deny=True)
    assert not holds({differs: {"aws:key": wanted}}, value)
    assert holds({differs: {"aws:key": wanted}}, value, deny=True)
    assert not holds({f"ForAnyValue:{differs}": {"aws:key": wanted}}, value)
    assert holds({f"ForAllValues:{differs}": {"aws:key": wanted}}, value, deny=True)


def test_one_of_several_values_that_cannot_be_compared_lets_nothing_through() -> None:
    block = {"NotIpAddress": {"aws:key": "10.0.0.0/8"}}
    assert not holds(block, ("11.0.0.1", "nowhere"))
    assert holds(block, ("11.0.0.1", "nowhere"), deny=True)
    assert not holds(block, ("10.0.0.1", "nowhere"), deny=True)


def test_all_conditions_have_to_hold() -> None:
    block = {
        "StringEquals": {"aws:key": "a", "aws:username": "anna"},
        "StringLike": {"aws:key": "?"},
    }
    assert holds(block, "a")
    assert not holds(block, "b")
    assert not holds({**block, "StringLike": {"aws:key": "b*"}}, "a")


@pytest.mark.parametrize(
    "block",
    [
        None,
        [],
        "x",
        {"StringEquals": "x"},
        {"StringEquals": {"aws:key": None}},
        {"StringEquals": {"aws:key": {"a": "b"}}},
        {"StringEquals": {"aws:key": ["a", []]}},
        {"StringAlmostEquals": {"aws:key": "x"}},
        {"ForSomeValues:StringEquals": {"aws:key": "x"}},
        {"NumericEquals": {"aws:key": "many"}},
        {"DateEquals": {"aws:key": "2024-13-01"}},
        {"Bool": {"aws:key": "perhaps"}},
        {"BinaryEquals": {"aws:key": "?"}},
        {"IpAddress": {"aws:key": "10.0.0.0/33"}},
        {"IpAddress": {"aws:key": "10.0.0.0/255.0.0.0"}},
        {"IpAddress": {"aws:key": "${aws:SourceIp}"}},
        {"ArnEquals": {"aws:key": "x"}},
        {"Null": {"aws:key": "perhaps"}},
    ],
)
def test_what_is_no_condition_gives_nothing_and_denies(block: Any) -> None:
    assert block_of(block, deny=False, variables=True) is None
    assert block_of(block, deny=True, variables=True) == []
