"""Which requests of pages a bucket's CORS rules allow, and what their replies say.

The rows of AWS are what LocalStack's tests have recorded of it (``test_s3_cors.snapshot.json``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.configurations.cors import allowed, answer_headers
from s3front.port.request import Reply, Request
from s3front.port.target import Target
from s3front.reply_stages import Answered, is_staged, staged
from shared.records.bucket import BucketRecord

PAGE = "https://localhost:4200"
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
NOTHING: Any = None
BARE = BucketRecord.create(
    "bucket", "owner", "Owner", datetime(2026, 1, 1, tzinfo=UTC), "us-east-1"
)


def rule(origins: Any, methods: Any, **more: Any) -> dict[str, Any]:
    return {"allowedOrigins": origins, "allowedMethods": methods, **more}


def asked(
    method: str, origin: str | None, wants: str | None = None, headers: str | None = None
) -> Request:
    """A request of a page; ``wants`` and ``headers`` are what a preflight says of it."""
    said = {
        "Origin": origin,
        "Access-Control-Request-Method": wants,
        "Access-Control-Request-Headers": headers,
    }
    fields = CIMultiDict({name: value for name, value in said.items() if value is not None})
    return Request(method, "/bucket/key", CIMultiDictProxy(fields), NOTHING, "", True)


def answered(rules: Any, request: Request) -> Mapping[str, str] | None:
    """What a reply says by the rules, None when they do not allow the request."""
    bucket = BARE.changed({"cors": rules})
    found = allowed(bucket, request)
    return None if found is None else answer_headers(found, request)


def test_what_is_said_to_a_page() -> None:
    rules = [rule([PAGE], ["GET", "PUT"], maxAgeSeconds=3000, allowedHeaders=["*"])]
    expected = {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Max-Age": "3000",
        "Vary": VARY,
    }
    assert answered(rules, asked("OPTIONS", PAGE, "PUT")) == expected
    assert answered(rules, asked("GET", PAGE)) == expected


def test_what_is_said_to_every_page() -> None:
    exposed = ["x-amz-id-2", "ETag"]
    rules = [rule(["*"], ["GET"], exposeHeaders=exposed)]
    assert answered(rules, asked("GET", "http://random:1234")) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Expose-Headers": "x-amz-id-2, ETag",
        "Vary": VARY,
    }


@pytest.mark.parametrize(
    ("pattern", "origin", "matches"),
    [
        (PAGE, PAGE, True),
        (PAGE, "http://localhost:4200", False),
        ("*", "null", True),
        ("http://*.origin.com", "http://test.origin.com", True),
        ("http://*.origin.com", "http://a.b.origin.com", True),
        ("http://*.origin.com", "http://.origin.com", True),
        ("http://*.origin.com", "http://test.origin.com/", False),
        ("http://*.origin.com", "http://origin.com", False),
        ("http://a*a.com", "http://a.com", False),
        ("https://example.com", "https://example.com.evil.com", False),
        ("", PAGE, False),
    ],
)
def test_an_origin(pattern: str, origin: str, matches: bool) -> None:
    found = answered([rule([pattern], ["GET"])], asked("GET", origin))
    assert (found is not None) == matches


@pytest.mark.parametrize(
    ("method", "wants", "allowed_"),
    [
        ("OPTIONS", "GET", True),
        ("OPTIONS", "PUT", False),
        ("OPTIONS", None, False),
        ("GET", None, True),
        ("PUT", None, False),
        ("GET", "PUT", False),
        ("OPTIONS", "get", False),
    ],
)
def test_a_method(method: str, wants: str | None, allowed_: bool) -> None:
    """What a preflight says counts of every request."""
    found = answered([rule(["*"], ["GET"])], asked(method, PAGE, wants))
    assert (found is not None) == allowed_


@pytest.mark.parametrize(
    ("allows", "wanted", "said"),
    [
        (["*"], "x-amz-request-payer", "x-amz-request-payer"),
        (["*"], "b,A", "b, a"),
        (["x-AMZ-acl", "x-amz-date"], "X-amz-ACL,  x-amz-date", "x-amz-acl, x-amz-date"),
        (["x-amz-*"], "x-amz-date", "x-amz-date"),
        (["x-amz-*"], "x-amz-date, content-md5", None),
        (["x-amz-date"], "x-amz-request-payer", None),
        ([], "x-amz-request-payer", None),
        (None, "x-amz-request-payer", None),
    ],
)
def test_headers(allows: list[str] | None, wanted: str, said: str | None) -> None:
    rules = [rule(["*"], ["GET"], allowedHeaders=allows)]
    found = answered(rules, asked("OPTIONS", PAGE, "GET", wanted))
    assert (None if found is None else found["Access-Control-Allow-Headers"]) == said
    # None that a request really has are looked at, and it may ask as a preflight does.
    assert (answered(rules, asked("GET", PAGE, None, wanted)) is None) == (said is None)


def test_the_first_rule_that_allows_it_counts() -> None:
    rules = [
        rule(["https://other.com"], ["GET"]),
        rule([PAGE], ["PUT"], maxAgeSeconds=1),
        rule(["*"], ["GET", "PUT"], maxAgeSeconds=2),
    ]
    found = answered(rules, asked("GET", PAGE))
    assert found is not None
    assert found["Access-Control-Max-Age"] == "2"


@pytest.mark.parametrize(
    "rules",
    [
        {"a": 1},
        7,
        "rules",
        [None],
        ["rule"],
        [rule("*", ["GET"])],
        [rule(["*"], "GET, PUT")],
        [rule(["*"], ["GET"], exposeHeaders="ETag")],
        [rule(["*"], ["GET"]), rule([1], ["GET"])],
    ],
)
def test_rules_of_a_form_that_is_not_known_allow_nothing(rules: Any) -> None:
    assert answered(rules, asked("GET", PAGE)) is None


def test_what_no_header_can_hold_is_left_out() -> None:
    odd = {"exposeHeaders": ["a\r\nb: c", "ETag", "\u00e9"], "maxAgeSeconds": "x"}
    found = answered([rule(["*"], ["GET"], **odd)], asked("GET", PAGE))
    assert found is not None
    assert found["Access-Control-Expose-Headers"] == "ETag"
    assert "Access-Control-Max-Age" not in found


# --- The stage ------------------------------------------------------------------------------------

TARGET = Target("bucket", "key", "/bucket/key", "", {}, None)


def answered_by(bucket: BucketRecord, request: Request) -> Answered:
    return Answered(request, "ID", TARGET, bucket, None)


def test_the_stage_adds_to_a_reply() -> None:
    bucket = BARE.changed({"cors": [rule([PAGE], ["GET"])]})
    reply = Reply(404, {"Content-Type": "application/xml"}, b"<Error/>")
    added = staged(answered_by(bucket, asked("GET", PAGE)), reply)
    assert (added.status, added.body) == (404, b"<Error/>")
    assert added.headers["Content-Type"] == "application/xml"
    assert added.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize(
    ("rules", "method", "origin"),
    [
        (None, "GET", PAGE),
        ([], "GET", PAGE),
        ([rule([PAGE], ["GET"])], "GET", None),
        ([rule([PAGE], ["GET"])], "PUT", PAGE),
        ([rule([PAGE], ["GET"])], "GET", "https://other.com"),
        ([rule([PAGE], ["GET"])], "OPTIONS", PAGE),
    ],
)
def test_the_stage_leaves_other_replies_as_they_are(
    rules: Any, method: str, origin: str | None
) -> None:
    reply = Reply(200)
    bucket = BARE.changed({"cors": rules})
    assert staged(answered_by(bucket, asked(method, origin)), reply) is reply
    assert is_staged(TARGET, bucket) == bool(rules)
