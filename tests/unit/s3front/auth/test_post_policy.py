"""The policy of a form upload: what it may say, and what forms it lets pass."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from s3front.auth.post_policy import SizeRange, check_policy, parse_policy
from s3front.s3_errors import S3Error

NOW = datetime(2024, 2, 29, 12, tzinfo=UTC)
LATER = "2024-02-29T12:00:01Z"
FIELDS = {
    "key": "user/eric/a.txt",
    "acl": "private",
    "content-type": "image/png",
    "x-amz-meta-a": "b",
    "policy": "…",
    "awsaccesskeyid": "AK",
    "signature": "…",
    "x-ignore-me": "…",
}
CONDITIONS: list[Any] = [
    {"bucket": "bucket"},
    ["starts-with", "$key", "user/eric/"],
    ["eq", "$acl", "private"],
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-a": "b"},
]


def encoded(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def policy(conditions: list[Any], expiration: str = LATER) -> str:
    return encoded({"expiration": expiration, "conditions": conditions})


def check(conditions: list[Any], fields: dict[str, str], bucket: str = "bucket") -> None:
    check_policy(parse_policy(policy(conditions)), fields, bucket, NOW)


def refusal(conditions: list[Any], fields: dict[str, str], bucket: str = "bucket") -> str:
    with pytest.raises(S3Error) as caught:
        check(conditions, fields, bucket)
    assert caught.value.code == "AccessDenied"
    return caught.value.message.removeprefix("Invalid according to Policy: ")


def test_a_form_that_meets_every_condition_passes() -> None:
    check(CONDITIONS, FIELDS)


@pytest.mark.parametrize(
    ("name", "value", "condition"),
    [
        ("key", "user/mary/a.txt", '["starts-with", "$key", "user/eric/"]'),
        ("acl", "public-read", '["eq", "$acl", "private"]'),
        ("acl", "Private", '["eq", "$acl", "private"]'),
        ("content-type", "text/html", '["starts-with", "$Content-Type", "image/"]'),
        ("content-type", "image/png, text/html", '["starts-with", "$Content-Type", "image/"]'),
        ("x-amz-meta-a", "bb", '["eq", "$x-amz-meta-a", "b"]'),
    ],
)
def test_a_value_that_no_condition_allows(name: str, value: str, condition: str) -> None:
    text = refusal(CONDITIONS, {**FIELDS, name: value})
    assert text == f"Policy Condition failed: {condition}"


@pytest.mark.parametrize(
    "condition", [["eq", "acl", "private"], ["content-length-range", "test", "10"]]
)
def test_a_condition_that_no_form_can_meet(condition: list[str]) -> None:
    """A field without its dollar sign, and a size that is no number, as AWS sees them."""
    text = refusal([*CONDITIONS, condition], FIELDS)
    assert text == f"Policy Condition failed: {json.dumps(condition)}"


def test_a_list_of_content_types() -> None:
    check(CONDITIONS, {**FIELDS, "content-type": "image/png,image/gif, image/webp"})


def test_a_policy_is_for_one_bucket() -> None:
    expected = 'Policy Condition failed: ["eq", "$bucket", "bucket"]'
    assert refusal(CONDITIONS, FIELDS, "other") == expected
    assert refusal(CONDITIONS, {**FIELDS, "bucket": "bucket"}, "other") == expected
    assert refusal(CONDITIONS[1:], FIELDS) == "Extra input fields: bucket"


@pytest.mark.parametrize("name", ["tagging", "x-amz-meta-b", "x-amz-security-token", "submit"])
def test_a_field_that_the_policy_does_not_name(name: str) -> None:
    assert refusal(CONDITIONS, {**FIELDS, name: "x"}) == f"Extra input fields: {name}"


def test_checksums_of_the_file_need_no_condition() -> None:
    check(CONDITIONS, {**FIELDS, "x-amz-checksum-crc32": "AAAAAA=="})


def test_a_field_that_is_absent_counts_as_empty() -> None:
    assert refusal([*CONDITIONS, ["starts-with", "$tagging", "a"]], FIELDS).startswith("Policy C")
    check([*CONDITIONS, ["starts-with", "$tagging", ""]], FIELDS)


def test_names_and_operators_have_no_case() -> None:
    check(
        [
            {"bUcKeT": "bucket"},
            ["StArTs-WiTh", "$KeY", "user"],
            {"AcL": "private"},
            ["EQ", "$CoNtEnT-TyPe", "image/png"],
            {"X-Amz-Meta-A": "b"},
        ],
        FIELDS,
    )


@pytest.mark.parametrize(
    ("expiration", "passes"),
    [
        (LATER, True),
        ("2024-02-29T12:00:00Z", False),
        ("2024-02-29T12:00:00.001Z", True),
        ("2023-01-01T00:00:00.000Z", False),
        ("9999-12-31T23:59:59Z", True),
    ],
)
def test_a_policy_expires(expiration: str, passes: bool) -> None:
    parsed = parse_policy(policy(CONDITIONS, expiration))
    if passes:
        check_policy(parsed, FIELDS, "bucket", NOW)
        return
    with pytest.raises(S3Error, match="Invalid according to Policy: Policy expired"):
        check_policy(parsed, FIELDS, "bucket", NOW)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], SizeRange(0, None)),
        ([["content-length-range", 1, 10]], SizeRange(1, 10)),
        ([["Content-Length-Range", "1", "10"]], SizeRange(1, 10)),
        ([["content-length-range", 1, 10], ["content-length-range", 5, 20]], SizeRange(5, 10)),
    ],
)
def test_the_sizes_of_the_file(ranges: list[Any], expected: SizeRange) -> None:
    assert parse_policy(policy([*CONDITIONS, *ranges])).sizes == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"{").decode(),
        base64.b64encode(b"[" * 20000).decode(),
        encoded([]),
        encoded({}),
        encoded({"expiration": LATER}),
        encoded({"conditions": []}),
        encoded({"EXPIRATION": LATER, "conditions": []}),
        encoded({"expiration": LATER, "CONDITIONS": []}),
        encoded({"expiration": LATER, "conditions": {}}),
        encoded({"expiration": 1, "conditions": []}),
        *(
            policy([], expiration)
            for expiration in (
                "",
                "tomorrow",
                "2024-02-29 12:00:00+00:00",
                "2024-02-29T12:00:00",
                "2024-02-30T12:00:00Z",
                "0000-00-00T00:00:00Z",
            )
        ),
        *(
            policy([condition])
            for condition in (
                None,
                1,
                "eq",
                [],
                {},
                {"a": "b", "c": "d"},
                {"a": 1},
                ["eq"],
                ["eq", "$a"],
                ["eq", "$a", 1],
                ["eq", "$a", "b", "c"],
                ["ends-with", "$a", "b"],
                [["eq"], "$a", "b"],
                ["content-length-range"],
                ["content-length-range", 0],
                ["content-length-range", -1, 0],
                ["content-length-range", 0, 1.5],
                ["content-length-range", 0, True],
                ["content-length-range", 0, 1, 2],
                ["content-length-range", None, 0, 1],
            )
        ),
    ],
)
def test_a_document_that_is_no_policy(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_policy(text)
    assert caught.value.code == "InvalidPolicyDocument"
    assert caught.value.message.startswith("Invalid Policy: ")


def test_base64_may_be_wrapped() -> None:
    text = policy(CONDITIONS)
    wrapped = "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    check_policy(parse_policy(wrapped), FIELDS, "bucket", NOW)
