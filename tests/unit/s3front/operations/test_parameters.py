"""Query parameters of listings."""

from __future__ import annotations

import re

import pytest

from s3front.operations.parameters import (
    bounded_integer,
    decode_token,
    encode_token,
    encoding_parameter,
    integer_parameter,
)
from s3front.s3_errors import S3Error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (None, 1000),
        ("", 1000),
        ("0", 0),
        ("1", 1),
        ("007", 7),
        ("1000", 1000),
        ("1001", 1000),
        ("2147483647", 1000),
    ],
)
def test_a_count(text: str | None, value: int) -> None:
    query = {} if text is None else {"max-keys": text}
    assert integer_parameter(query, "max-keys", 1000) == value


NOT_AN_INTEGER = "Provided max-keys not an integer or within integer range"


@pytest.mark.parametrize(
    "text", ["abc", "1.5", "1e3", "0x10", " 1", "+1", "\u0661", "--1", "2147483648", "9" * 30]
)
def test_no_integer(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        bounded_integer({"max-keys": text}, "max-keys", 1000)
    assert (caught.value.code, caught.value.message) == ("InvalidArgument", NOT_AN_INTEGER)
    assert caught.value.fields == {"ArgumentName": "max-keys", "ArgumentValue": text}


@pytest.mark.parametrize(
    ("text", "minimum", "maximum"),
    [("-1", 0, 2**31 - 1), ("-2147483648", 0, 2**31 - 1), ("0", 1, 5), ("6", 1, 5)],
)
def test_out_of_bounds(text: str, minimum: int, maximum: int) -> None:
    with pytest.raises(S3Error) as caught:
        bounded_integer({"max-keys": text}, "max-keys", 2, minimum, maximum)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.message == (
        f"Argument maxKeys must be an integer between {minimum} and {maximum}"
    )


@pytest.mark.parametrize(("text", "value"), [("", 2), ("1", 1), ("5", 5)])
def test_in_bounds(text: str, value: int) -> None:
    assert bounded_integer({"n": text}, "n", 2, 1, 5) == value


@pytest.mark.parametrize(
    ("query", "encoded"),
    [({}, False), ({"encoding-type": ""}, False), ({"encoding-type": "url"}, True)],
)
def test_the_encoding(query: dict[str, str], encoded: bool) -> None:
    assert encoding_parameter(query) is encoded


@pytest.mark.parametrize("value", ["URL", "base64", " url"])
def test_an_encoding_that_there_is_not(value: str) -> None:
    with pytest.raises(S3Error) as caught:
        encoding_parameter({"encoding-type": value})
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields == {"ArgumentName": "encoding-type", "ArgumentValue": value}


@pytest.mark.parametrize("entry", ["", "a", "a/b/", "grün", "\U0001f600\x01", ">>>???", "x" * 1024])
def test_a_token_is_read_back(entry: str) -> None:
    token = encode_token(entry)
    assert re.fullmatch("[A-Za-z0-9_=-]*", token)
    assert decode_token(token) == entry


@pytest.mark.parametrize("token", ["!", "a", "grün", "gIA=", "YQ==\n", " YQ==", "YQ"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(S3Error) as caught:
        decode_token(token)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.fields == {"ArgumentName": "continuation-token"}
