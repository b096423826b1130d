"""Dates, presigned parameters and validity of what a signed request claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from s3front.auth.sigv4 import (
    EMPTY_SHA256,
    AccessKey,
    Credential,
    RequestHead,
    presign,
    sign_request,
    verify,
)
from s3front.auth.sigv4_claim import (
    Authorization,
    header_claim,
    parse_authorization,
    parse_time,
    presigned_claim,
)
from s3front.s3_errors import S3Error

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
GET = RequestHead("GET", "/test.txt", "", {"host": "examplebucket.s3.amazonaws.com"})
SIGNED = {
    **GET.headers,
    "x-amz-content-sha256": EMPTY_SHA256,
    "authorization": sign_request(GET, KEY, NOW).headers["authorization"],
}
PRESIGNED = presign(GET, KEY, NOW, 60)


def dated(headers: dict[str, str]) -> RequestHead:
    return replace(GET, headers={**SIGNED, **headers})


def refusal(head: RequestHead, now: datetime = NOW) -> S3Error:
    claim = presigned_claim if head.raw_query else header_claim
    with pytest.raises(S3Error) as caught:
        claim(head, now)
    return caught.value


# --- Dates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "20130524T000000Z",
        "2013-05-24T00:00:00Z",
        "2013-05-24T00:00:00.000Z",
        "2013-05-24T02:00:00+02:00",
        "Fri, 24 May 2013 00:00:00 GMT",
        "Friday, 24-May-13 00:00:00 GMT",
        "Fri May 24 00:00:00 2013",
        "Fri, 24 May 2013 00:00:00 +0000",
        "Fri, 24 May 2013 00:00:00 -0000",
        "Thu, 23 May 2013 19:00:00 -0500",
    ],
)
def test_dates_that_clients_send(value: str) -> None:
    assert parse_time(value) == NOW


@pytest.mark.parametrize(
    "value",
    [
        "",
        "20130524",
        "2013-05-24",
        "20130524T000000",
        "20131324T000000Z",
        "20130524T250000Z",
        "2013W215T000000Z",
        "\uff12\uff10130524T000000Z",
        "Fri, 24 Foo 2013 00:00:00 GMT",
        "Fri, 24 May 2013 00:00:00 +9999999",
        "0001-01-01T00:00:00+23:59",
        "yesterday",
        ", , ,",
    ],
)
def test_dates_that_are_none(value: str) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize("separator", [",", ", ", " ,", "\t, ", ",  "])
@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_blanks_around_the_components_mean_nothing(separator: str, blank: str) -> None:
    components = (
        "Credential=A/K/20130524/us-east-1/s3/aws4_request",
        "SignedHeaders=x-amz-date;host",
        "Signature=ab==",
    )
    value = f"{blank}AWS4-HMAC-SHA256 {separator.join(components)}{blank}"
    assert parse_authorization(value) == Authorization(
        Credential("A/K", "20130524", "us-east-1"), ("host", "x-amz-date"), "ab=="
    )


@pytest.mark.parametrize("value", ["Fri, 24 May 2013 00:00:00 GMT", "2013-05-24T00:00:00Z"])
def test_the_date_header_serves_when_there_is_no_amazon_date(value: str) -> None:
    assert header_claim(dated({"date": value}), NOW).timestamp == "20130524T000000Z"


def test_the_amazon_date_goes_before_the_date_header() -> None:
    headers = {"x-amz-date": "20130524T000001Z", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert header_claim(dated(headers), NOW).timestamp == "20130524T000001Z"


@pytest.mark.parametrize(
    "headers",
    [{}, {"date": ""}, {"x-amz-date": "x"}, {"x-amz-date": "x", "date": "20130524T000000Z"}],
)
def test_a_date_is_required(headers: dict[str, str]) -> None:
    error = refusal(dated(headers))
    assert error.code == "AccessDenied"
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


@pytest.mark.parametrize("seconds", [-900, 900])
def test_clocks_may_differ_by_fifteen_minutes(seconds: int) -> None:
    header_claim(dated({"x-amz-date": "20130524T000000Z"}), NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-901, 901])
def test_clocks_that_differ_by_more_are_refused(seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    error = refusal(dated({"x-amz-date": "20130524T000000Z"}), now)
    assert error.code == "RequestTimeTooSkewed"
    assert error.message == (
        "The difference between the request time and the current time is too large."
    )
    assert list(error.fields.items()) == [
        ("RequestTime", "20130524T000000Z"),
        ("ServerTime", now.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("MaxAllowedSkewMilliseconds", "900000"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-date": "", "date": "Fri, 24 May 2013 00:00:00 GMT"},
        {"x-amz-date": "Tue, 07 Jul 1950 21:53:04 GMT"},
        {"date": "Wed, 31 Dec 1969 23:59:59 GMT"},
    ],
)
def test_a_date_that_is_there_and_is_none(headers: dict[str, str]) -> None:
    """Not one of another header instead, nor one before there was Unix time: so AWS answers."""
    assert refusal(dated(headers)).code == "AccessDenied"


def test_the_key_must_be_of_the_day_of_the_request() -> None:
    error = refusal(dated({"x-amz-date": "20130523T235959Z"}))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message == (
        'The authorization header is malformed; Invalid credential date "20130524". '
        'This date is not the same as X-Amz-Date: "20130523".'
    )


def test_now_may_be_in_any_zone() -> None:
    now = NOW.astimezone(timezone(timedelta(hours=5)))
    head = replace(GET, raw_query=presign(GET, KEY, now, 60))
    assert head.raw_query == PRESIGNED
    assert presigned_claim(head, now).timestamp == "20130524T000000Z"
    late = now + timedelta(seconds=61)
    assert refusal(head, late).fields["ServerTime"] == "2013-05-24T00:01:01Z"


# --- Presigned parameters ------------------------------------------------------------------------


def presigned_with(**parameters: str | None) -> RequestHead:
    pairs = dict(piece.split("=") for piece in PRESIGNED.split("&"))
    for name, value in parameters.items():
        key = "X-Amz-" + name
        assert key in pairs
        if value is None:
            del pairs[key]
        else:
            pairs[key] = value
    return replace(GET, raw_query="&".join(f"{name}={value}" for name, value in pairs.items()))


def test_presigned_claim_is_taken_apart() -> None:
    claim = presigned_claim(presigned_with(SignedHeaders="host%3BX-Amz-Acl"), NOW)
    assert claim.presigned
    assert claim.credential.access_key == KEY.access_key
    assert claim.credential.scope == "20130524/us-east-1/s3/aws4_request"
    assert claim.signed_headers == ("host", "x-amz-acl")
    assert claim.timestamp == "20130524T000000Z"
    assert claim.expires_seconds == 60
    assert claim.security_token is None


@pytest.mark.parametrize(
    "name", ["Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires"]
)
@pytest.mark.parametrize("value", [None, ""])
def test_presigned_parameters_are_all_required(name: str, value: str | None) -> None:
    error = refusal(presigned_with(**{name: value}))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.message == (
        "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
        "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
    )


CREDENTIAL = "Error parsing the X-Amz-Credential parameter; "
TOO_LONG = (
    "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be "
    "less than 604800 seconds"
)
BAD_DATE = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "Algorithm",
            "AWS4-HMAC-SHA1",
            'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"',
        ),
        (
            "Credential",
            "a/b",
            CREDENTIAL + "the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
        ),
        (
            "Credential",
            "a/2013/r/s3/aws4_request",
            CREDENTIAL + 'incorrect date format "2013". This date in the credential must be in the '
            'format "yyyyMMdd".',
        ),
        (
            "Credential",
            "a/20130524/r/sns/aws4_request",
            CREDENTIAL + 'incorrect service "sns". This endpoint belongs to "s3".',
        ),
        (
            "Credential",
            "a/20130524/r/s3/aws5_request",
            CREDENTIAL + 'incorrect terminal "aws5_request". This endpoint uses "aws4_request".',
        ),
        (
            "Credential",
            "a/20130523/r/s3/aws4_request",
            'Invalid credential date "20130523". This date is not the same as X-Amz-Date: '
            '"20130524".',
        ),
        ("Date", "2013-05-24T00:00:00Z", BAD_DATE),
        ("Date", "20139924T000000Z", BAD_DATE),
        ("Expires", "soon", "X-Amz-Expires should be a number"),
        ("Expires", "1.5", "X-Amz-Expires should be a number"),
        ("Expires", "6_0", "X-Amz-Expires should be a number"),
        ("Expires", "9" * 5000, "X-Amz-Expires should be a number"),
        ("Expires", "-1", "X-Amz-Expires must be non-negative"),
        ("Expires", "604801", TOO_LONG),
    ],
)
def test_presigned_refusals(name: str, value: str, message: str) -> None:
    error = refusal(presigned_with(**{name: value}))
    assert error.code == "AuthorizationQueryParametersError"
    assert error.message == message


def test_a_week_is_allowed() -> None:
    head = replace(GET, raw_query=presign(GET, KEY, NOW, 604800))
    verify(head, presigned_claim(head, NOW + timedelta(days=7)), KEY.secret)


def test_expired() -> None:
    head = presigned_with()
    presigned_claim(head, NOW + timedelta(seconds=60))
    error = refusal(head, NOW + timedelta(seconds=61))
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert list(error.fields.items()) == [
        ("X-Amz-Expires", "60"),
        ("Expires", "2013-05-24T00:01:00Z"),
        ("ServerTime", "2013-05-24T00:01:01Z"),
    ]


def test_not_yet_valid() -> None:
    head = presigned_with()
    presigned_claim(head, NOW - timedelta(minutes=15))
    error = refusal(head, NOW - timedelta(minutes=15, seconds=1))
    assert (error.code, error.message) == ("AccessDenied", "Request is not yet valid")
    assert list(error.fields.items()) == [
        ("X-Amz-Date", "1369353600000"),
        ("Expires", "2013-05-24T00:01:00Z"),
        ("ServerTime", "2013-05-23T23:44:59Z"),
    ]


# --- The Authorization header ---------------------------------------------------------------------

_CREDENTIALS = st.sampled_from(
    [
        "AK/20130524/us-east-1/s3/aws4_request",
        "AK/20130524/us-east-1/s4/aws4_request",
        "AK",
        "",
        "A B",
    ]
)
_COMPONENTS = st.lists(
    st.one_of(
        st.builds("Credential={}".format, _CREDENTIALS),
        st.sampled_from(
            ["SignedHeaders=host;a", "SignedHeaders=B;a", "SignedHeaders=", "SignedHeaders"]
        ),
        st.builds("Signature={}".format, st.text("a0=/ é", max_size=3)),
        st.sampled_from(["", "Signature", "Other=1", "Signature=Signature=ab"]),
    ),
    max_size=5,
)
_USUAL = st.tuples(
    st.builds("Credential={}".format, _CREDENTIALS),
    st.sampled_from(["SignedHeaders=host;a", "SignedHeaders=B;a;\t"]),
    st.builds("Signature={}".format, st.text("a0=/ é", max_size=3)),
).map(list)


def taken_apart(value: str) -> Authorization | tuple[str, str]:
    try:
        return parse_authorization(value)
    except S3Error as error:
        return error.code, error.message


@given(st.one_of(_USUAL, _COMPONENTS), st.sampled_from([",", ", "]))
def test_an_authorization_is_the_same_however_it_is_spaced(parts: list[str], comma: str) -> None:
    usual = f"AWS4-HMAC-SHA256 {comma.join(parts)}"
    assert taken_apart(usual) == taken_apart(usual.replace(" ", "  ", 1))
