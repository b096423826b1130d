"""What a signed request claims: the Authorization header, presigned parameters, and dates.

Called by the front-end before it knows the secret; ``s3front.auth.sigv4.verify`` checks the claim.
Pure: the caller passes ``now``, an aware ``datetime``. Regions are not compared with anything; the
service must be ``s3``.

Sources: Amazon S3 API reference, "Authenticating Requests: Using the Authorization Header" and
"Using Query Parameters"; the texts of errors are those that the service answers with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import msgspec

from s3front.auth.sigv4 import (
    ALGORITHM,
    TIMESTAMP_FORMAT,
    Claim,
    Credential,
    RequestHead,
    payload_hash_of,
    query_parameters,
)
from s3front.auth.sigv4_policy import PolicyClaim
from s3front.s3_errors import S3Error
from shared.limits import CLOCK_SKEW_SECONDS_MAX, PRESIGN_SECONDS_MAX

# What most clients write before the signature. Anything else is taken apart piece by piece.
_USUAL: Final = re.compile(rf"{ALGORITHM} Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=")
_USUAL_CHARACTERS_MAX: Final = 1024
"""What most clients write is shorter, and what is kept of it comes from strangers."""

_BLANK: Final = re.compile(r"\s")
_REGION_CHARACTERS_MAX: Final = 128
"""Any name is taken for a region's, but the keys of so many regions are kept (``signing_key``)."""

_TIMESTAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SKEW_MAX: Final = timedelta(seconds=CLOCK_SKEW_SECONDS_MAX)
_PRESIGNED_PARAMETERS: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_POLICY_FIELDS: Final = (
    "Policy",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Signature",
)


class Authorization(msgspec.Struct, frozen=True):
    """An ``Authorization`` header, taken apart; header names are lower-case, sorted."""

    credential: Credential
    signed_headers: tuple[str, ...]
    signature: str


def parse_authorization(value: str) -> Authorization:
    """Take an ``Authorization`` header apart.

    Raises InvalidArgument (not this algorithm) and AuthorizationHeaderMalformed.
    """
    start, named, signature = value.rpartition("Signature=")
    usual = None
    if signature.isalnum() and len(value) <= _USUAL_CHARACTERS_MAX:
        usual = _parse_usual(start + named)
    if usual is not None:
        return Authorization(*usual, signature)
    algorithm, blank, rest = value.strip().partition(" ")
    argument = {"ArgumentName": "Authorization", "ArgumentValue": value}
    if not blank:
        raise S3Error(
            "InvalidArgument",
            "Authorization header is invalid -- one and only one ' ' (space) required.",
            argument,
        )
    if algorithm != ALGORITHM:
        raise S3Error("InvalidArgument", "Unsupported Authorization Type", argument)
    components: dict[str, str] = {}
    for component in rest.split(","):
        name, equals, text = component.strip().partition("=")
        if not equals:
            raise _malformed(f'the authorization component "{component.strip()}" is malformed.')
        components[name] = text
    if len(components) != 3:
        raise _malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and "
            "Signature."
        )
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not components.get(name):
            raise _malformed(f"missing {name}.")
    credential = _parse_credential(components["Credential"], _malformed)
    return Authorization(
        credential, _parse_names(components["SignedHeaders"]), components["Signature"]
    )


def header_claim(head: RequestHead, now: datetime) -> Claim:
    """The claim of a request with an ``Authorization`` header.

    Raises what ``parse_authorization`` and ``payload_form`` do; AccessDenied (no valid date);
    RequestTimeTooSkewed (more than 15 minutes off); AuthorizationHeaderMalformed (a key of another
    day).
    """
    authorization = parse_authorization(head.headers.get("authorization", ""))
    timestamp = request_date(head.headers, now)
    credential = authorization.credential
    if credential.date != timestamp[:8]:
        raise _malformed(
            f'Invalid credential date "{credential.date}". This date is not the same as '
            f'X-Amz-Date: "{timestamp[:8]}".'
        )
    return Claim(
        credential,
        authorization.signed_headers,
        authorization.signature,
        timestamp,
        payload_hash_of(head.headers),
        security_token=head.headers.get("x-amz-security-token"),
    )


def request_date(headers: Mapping[str, str], now: datetime) -> str:
    """The date of a request that is signed in its header, as a timestamp.

    Raises AccessDenied (no valid date) and RequestTimeTooSkewed (more than 15 minutes off).
    """
    value = headers.get("x-amz-date")
    if value is None:
        value = headers.get("date", "")
    dated = _date(value)
    if dated is None:
        raise S3Error(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    time, timestamp = dated
    if abs(now - time) > _SKEW_MAX:
        raise S3Error(
            "RequestTimeTooSkewed",
            fields={
                "RequestTime": value,
                "ServerTime": iso_time(now),
                "MaxAllowedSkewMilliseconds": str(CLOCK_SKEW_SECONDS_MAX * 1000),
            },
        )
    return timestamp


@lru_cache(maxsize=256)  # many requests are of one second
def _date(value: str) -> tuple[datetime, str] | None:
    """A date as a time and as a timestamp; None when it is none, or before 1970."""
    time = parse_time(value)
    if time is None or time < _UNIX_EPOCH:
        return None
    return time, value if _is_timestamp(value) else time.strftime(TIMESTAMP_FORMAT)


def presigned_claim(head: RequestHead, now: datetime) -> Claim:
    """The claim of a request that carries its signature in the query.

    Raises AuthorizationQueryParametersError, what ``payload_form`` does, and AccessDenied when the
    request has expired or is dated more than 15 minutes ahead.
    """
    query = query_parameters(head.raw_query)
    if not all(query.get(name) for name in _PRESIGNED_PARAMETERS):
        raise _bad_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
            "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise _bad_query(
            'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"'
        )
    credential = _parse_credential(query["X-Amz-Credential"], _bad_credential)
    timestamp = query["X-Amz-Date"]
    time = _parameter_time(timestamp, credential)
    expires_seconds = _parse_expires(query["X-Amz-Expires"])
    _check_validity(time, expires_seconds, now)
    return Claim(
        credential,
        _parse_names(query["X-Amz-SignedHeaders"]),
        query["X-Amz-Signature"],
        timestamp,
        payload_hash_of(head.headers, query),
        expires_seconds,
        query.get("X-Amz-Security-Token"),
    )


def policy_claim(fields: Mapping[str, str]) -> PolicyClaim:
    """The claim of a form upload; ``fields`` have lower-case names, and none of them is checked.

    Raises InvalidArgument (a field is missing) and AuthorizationQueryParametersError. How long the
    signature is good for is the policy's affair.
    """
    for name in _POLICY_FIELDS:
        if not fields.get(name.lower()):
            raise missing_field(name)
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise _bad_query('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    credential = _parse_credential(fields["x-amz-credential"], _bad_credential)
    _parameter_time(fields["x-amz-date"], credential)
    return PolicyClaim(
        fields["policy"],
        credential,
        fields["x-amz-signature"],
        fields.get("x-amz-security-token"),
    )


def missing_field(name: str) -> S3Error:
    """What a form upload without one of its fields is answered with."""
    return S3Error(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the "
        "order of the fields.",
        {"ArgumentName": name, "ArgumentValue": ""},
    )


@lru_cache(maxsize=256)  # many requests are of one second
def parse_time(value: str) -> datetime | None:
    """A date of ``x-amz-date`` or ``Date``: ISO 8601 basic or extended, or a date of RFC 9110."""
    try:
        if _is_timestamp(value) or (value[10:11] == "T" and value.isascii()):
            time = datetime.fromisoformat(value)
        else:
            time = parsedate_to_datetime(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _is_timestamp(value: str) -> bool:
    return _TIMESTAMP.fullmatch(value) is not None


def iso_time(time: datetime) -> str:
    """A time as the fields of errors show it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Clients send the same names and, for a day, the same credential; the caches are small, because
# what they keep comes from strangers.
@lru_cache(maxsize=256)
def _parse_usual(text: str) -> tuple[Credential, tuple[str, ...]] | None:
    """Credential and header names of an ``Authorization`` header up to its signature; None when
    this is not as most clients write it. Raises AuthorizationHeaderMalformed."""
    usual = _USUAL.fullmatch(text)
    if usual is None or any(map(_BLANK.search, usual.groups())):
        return None
    credential, names = usual.groups()
    return _parse_credential(credential, _malformed), _parse_names(names)


def _parse_names(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.lower().split(";")))


@lru_cache(maxsize=256)
def _parse_credential(text: str, error: Callable[[str], S3Error]) -> Credential:
    # From the right: an access key may hold a slash, the other parts may not.
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not parts[0]:
        raise error(
            "the Credential is mal-formed; expecting "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    access_key, date, region, service, terminal = parts
    if len(region) > _REGION_CHARACTERS_MAX:
        raise error(f"incorrect region. It has more than {_REGION_CHARACTERS_MAX} characters.")
    if not (len(date) == 8 and date.isascii() and date.isdigit()):
        raise error(
            f'incorrect date format "{date}". This date in the credential must be in the format '
            '"yyyyMMdd".'
        )
    if service != "s3":
        raise error(f'incorrect service "{service}". This endpoint belongs to "s3".')
    if terminal != "aws4_request":
        raise error(f'incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    return Credential(access_key, date, region, service)


def _parameter_time(timestamp: str, credential: Credential) -> datetime:
    """The time of an ``X-Amz-Date`` outside the header, where it has but one form."""
    time = parse_time(timestamp) if _is_timestamp(timestamp) else None
    if time is None:
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if credential.date != timestamp[:8]:
        raise _bad_query(
            f'Invalid credential date "{credential.date}". This date is not the same as '
            f'X-Amz-Date: "{timestamp[:8]}".'
        )
    return time


def _parse_expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII):
        raise _bad_query("X-Amz-Expires should be a number")
    if text.startswith("-"):
        raise _bad_query("X-Amz-Expires must be non-negative")
    if int(text) > PRESIGN_SECONDS_MAX:
        raise _bad_query(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires "
            "must be less than 604800 seconds"
        )
    return int(text)


def _check_validity(time: datetime, expires_seconds: int, now: datetime) -> None:
    expires = time + timedelta(seconds=expires_seconds)
    fields = {"Expires": iso_time(expires), "ServerTime": iso_time(now)}
    if time - now > _SKEW_MAX:
        date_ms = str(int(time.timestamp()) * 1000)
        raise S3Error("AccessDenied", "Request is not yet valid", {"X-Amz-Date": date_ms, **fields})
    if now > expires:
        fields = {"X-Amz-Expires": str(expires_seconds), **fields}
        raise S3Error("AccessDenied", "Request has expired", fields)


def _malformed(text: str) -> S3Error:
    message = f"The authorization header is malformed; {text}"
    return S3Error("AuthorizationHeaderMalformed", message)


def _bad_query(text: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", text)


def _bad_credential(text: str) -> S3Error:
    return _bad_query(f"Error parsing the X-Amz-Credential parameter; {text}")
