"""Parameters of calls: forms, lists, structures, and what is wrong with values."""

from __future__ import annotations

import re

import pytest

from s3front.query_api.call_parameters import Parameters, Rule, parse_parameters
from s3front.query_api.errors import QueryError
from shared import limits

NAME = Rule(1, 8, re.compile(r"[a-z]+"), "It must be of letters.")


def parsed(body: str, query: dict[str, str] | None = None) -> Parameters:
    return parse_parameters(query or {}, body.encode())


def refusal(call: object) -> QueryError:
    assert callable(call)
    with pytest.raises(QueryError) as caught:
        call()
    return caught.value


def test_query_and_form_say_it_together() -> None:
    parameters = parsed("UserName=a%2Bb+c&Path=", {"Action": "CreateUser"})
    assert parameters.values == {"Action": "CreateUser", "UserName": "a+b c", "Path": ""}


def test_a_list_is_in_the_order_of_its_numbers() -> None:
    parameters = parsed("Names.member.10=c&Names.member.2=b&Names.member.1=a&Names.other=x")
    assert parameters.texts("Names") == ["a", "b", "c"]
    assert parameters.texts("Other") == []


def test_structures_in_a_list() -> None:
    parameters = parsed("Tags.member.1.Key=k&Tags.member.1.Value=v&Tags.member.2.Key=l")
    first, second = parameters.structures("Tags")
    assert (first.text("Key"), first.text("Value")) == ("k", "v")
    assert (second.text("Key"), second.text("Value")) == ("l", None)
    message = refusal(lambda: second.required("Value")).message
    assert "Value null at 'tags.2.member.value' failed" in message


@pytest.mark.parametrize(
    "body", ["a", "a=1&a=2", "a=%ff", "&".join(f"p{n}=" for n in range(10_001))]
)
def test_what_is_no_form_is_refused(body: str) -> None:
    assert refusal(lambda: parsed(body)).code == "MalformedQueryString"


def test_a_parameter_of_the_query_cannot_be_said_again() -> None:
    error = refusal(lambda: parsed("Action=DeleteUser", {"Action": "GetUser"}))
    assert error.code == "MalformedQueryString"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "Member must have length greater than or equal to 1"),
        ("abcdefghi", "Member must have length less than or equal to 8"),
        ("A b", "The specified value for userName is invalid. It must be of letters."),
    ],
)
def test_a_rule_says_what_is_wrong(value: str, told: str) -> None:
    error = refusal(lambda: Parameters({"UserName": value}).text("UserName", NAME))
    assert (error.code, error.status) == ("ValidationError", 400)
    assert told in error.message


def test_a_value_that_is_none_of_the_known() -> None:
    rule = Rule(values=("Active", "Inactive"))
    error = refusal(lambda: Parameters({"Status": "Off"}).text("Status", rule))
    assert "enum value set: [Active, Inactive]" in error.message


@pytest.mark.parametrize(
    ("value", "told"),
    [("0", "greater than or equal to 1"), ("1001", "less than or equal to 1000"), ("x", "integer")],
)
def test_numbers_have_bounds(value: str, told: str) -> None:
    error = refusal(lambda: Parameters({"MaxItems": value}).integer("MaxItems", 1, 1000))
    assert told in error.message


def test_yes_and_no() -> None:
    parameters = Parameters({"A": "true", "B": "False", "C": "1"})
    assert (parameters.boolean("A"), parameters.boolean("B")) == (True, False)
    assert parameters.boolean("D") is None
    assert refusal(lambda: parameters.boolean("C")).code == "MalformedInput"


def test_the_most_that_a_text_may_have_is_what_a_call_may_have() -> None:
    assert Rule().maximum == limits.CALL_BYTES_MAX
