"""Who signed a call: Signature Version 4 as all services of AWS but S3 have it. Pure.

The hash of the body itself is signed, whatever a header says of it; path and query are as in
``s3front.auth.sigv4`` (the path is ``/`` always, so that it does not matter how often it is
encoded). The service is part of what is signed: a signature for S3 is good for no call of IAM.

Source: AWS general reference, "Signature Version 4 signing process"; the texts of errors are those
that the services answer with.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from s3front.auth.signing import sign_string, signatures_equal, signing_key
from s3front.auth.sigv4 import (
    ALGORITHM,
    TIMESTAMP_FORMAT,
    Credential,
    RequestHead,
    canonical_request,
    string_to_sign,
)
from s3front.auth.sigv4_claim import parse_time
from s3front.query_api.errors import QueryError
from shared.limits import CLOCK_SKEW_SECONDS_MAX, PRESIGN_SECONDS_MAX

_SKEW: Final = timedelta(seconds=CLOCK_SKEW_SECONDS_MAX)
_REGION_CHARACTERS_MAX: Final = 128
_SIGNED_HEADERS_MAX: Final = 64
_IN_QUERY: Final = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")


class CallClaim(msgspec.Struct, frozen=True):
    """Who a call says it is from, in date, but not yet verified. ``signed_headers`` are lower-case
    and sorted; ``timestamp`` is yyyymmddThhmmssZ; ``presigned``: all of it was in the query."""

    credential: Credential
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    security_token: str | None = None
    presigned: bool = False


def claim_of(
    head: RequestHead, query: Mapping[str, str], service: str, now: datetime
) -> CallClaim | None:
    """The claim of a call of a service; ``query`` has its decoded parameters. None: it is not
    signed.

    Raises IncompleteSignature, and SignatureDoesNotMatch for another service or another time.
    """
    if "authorization" in head.headers:
        claim = _header_claim(head)
        expires_seconds = None
    elif any(name in query for name in ("X-Amz-Algorithm", *_IN_QUERY)):
        claim = _presigned_claim(query)
        expires_seconds = _expires_seconds(query)
    else:
        return None
    if claim.credential.service != service:
        raise _mismatch(f"Credential should be scoped to correct service: '{service}'. ")
    _check_time(claim, now, expires_seconds)
    _check_signed(head, claim)
    return claim


def verify_call(head: RequestHead, claim: CallClaim, body: bytes, secret: str) -> None:
    """Check a claim against the secret of its access key; raises SignatureDoesNotMatch."""
    credential = claim.credential
    canonical = canonical_request(
        head, claim.signed_headers, hashlib.sha256(body).hexdigest(), presigned=claim.presigned
    )
    text = string_to_sign(claim.timestamp, credential.scope, canonical)
    key = signing_key(secret, credential.date, credential.region, credential.service)
    if not signatures_equal(sign_string(key, text), claim.signature):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. Check "
            "your AWS Secret Access Key and signing method. Consult the service documentation for "
            f"details.\n\nThe Canonical String for this request should have been\n'{canonical}'"
            f"\n\nThe String-to-Sign should have been\n'{text}'\n"
        )


def _header_claim(head: RequestHead) -> CallClaim:
    value = head.headers["authorization"]
    algorithm, _, rest = value.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete("Unsupported AWS 'algorithm'", value)
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, _, text = part.strip().partition("=")
        parts[name] = text
    timestamp = head.headers.get("x-amz-date") or _timestamp(head.headers.get("date"))
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not timestamp:
        missing.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if missing or timestamp is None:
        raise _incomplete(" ".join(missing), value)
    return CallClaim(
        _credential(parts["Credential"]),
        _names(parts["SignedHeaders"]),
        parts["Signature"],
        timestamp,
        head.headers.get("x-amz-security-token"),
    )


def _presigned_claim(query: Mapping[str, str]) -> CallClaim:
    missing = [
        f"AWS query-string parameters must include '{name}'."
        for name in ("X-Amz-Algorithm", *_IN_QUERY)
        if not query.get(name)
    ]
    if missing:
        raise QueryError("IncompleteSignature", f"{' '.join(missing)} Re-examine the query-string.")
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise QueryError(
            "IncompleteSignature", f"Unsupported AWS 'algorithm': '{query['X-Amz-Algorithm']}'."
        )
    return CallClaim(
        _credential(query["X-Amz-Credential"]),
        _names(query["X-Amz-SignedHeaders"]),
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        query.get("X-Amz-Security-Token"),
        presigned=True,
    )


def _credential(text: str) -> Credential:
    # From the right: an access key may hold a slash, the other parts may not.
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not parts[0] or not parts[1] or len(parts[2]) > _REGION_CHARACTERS_MAX:
        raise QueryError(
            "IncompleteSignature",
            f"Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{text}'",
        )
    access_key, date, region, service, terminal = parts
    if terminal != "aws4_request":
        raise _mismatch(
            "Credential should be scoped with a valid terminator: 'aws4_request', "
            f"not '{terminal}'."
        )
    return Credential(access_key, date, region, service)


def _names(text: str) -> tuple[str, ...]:
    names = text.lower().split(";")
    if len(names) > _SIGNED_HEADERS_MAX:
        raise QueryError("IncompleteSignature", "Too many headers are signed.")
    return tuple(sorted(names))


def _expires_seconds(query: Mapping[str, str]) -> int:
    """For how long; without the parameter it is as a signature in the header (botocore's URLs for
    GetCallerIdentity have it, older clients' do not)."""
    text = query.get("X-Amz-Expires", str(CLOCK_SKEW_SECONDS_MAX))
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise QueryError("IncompleteSignature", "X-Amz-Expires should be a number.")
    if int(text) > PRESIGN_SECONDS_MAX:
        raise _mismatch(
            "AWS query-string parameters must include an 'X-Amz-Expires' of at most "
            f"{PRESIGN_SECONDS_MAX} seconds."
        )
    return int(text)


def _check_time(claim: CallClaim, now: datetime, expires_seconds: int | None) -> None:
    """Raises SignatureDoesNotMatch for one of another time, IncompleteSignature for none."""
    stamp = claim.timestamp
    time = parse_time(stamp) if len(stamp) == 16 and stamp.endswith("Z") else None
    if time is None:
        raise QueryError(
            "IncompleteSignature",
            "Date must be in ISO-8601 'basic format'. "
            f"Got '{stamp}'. See http://en.wikipedia.org/wiki/ISO_8601",
        )
    if claim.credential.date != stamp[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{claim.credential.date}' != '{stamp[:8]}', from '{stamp}'."
        )
    shown, minutes = now.astimezone(UTC), CLOCK_SKEW_SECONDS_MAX // 60
    if time - now > _SKEW:
        limit = (shown + _SKEW).strftime(TIMESTAMP_FORMAT)
        raise _mismatch(
            f"Signature not yet current: {stamp} is still later than {limit} "
            f"({shown.strftime(TIMESTAMP_FORMAT)} + {minutes} min.)"
        )
    good_for = _SKEW if expires_seconds is None else timedelta(seconds=expires_seconds)
    if now - time > good_for:
        limit = (shown - good_for).strftime(TIMESTAMP_FORMAT)
        raise _mismatch(
            f"Signature expired: {stamp} is now earlier than {limit} "
            f"({shown.strftime(TIMESTAMP_FORMAT)} - {int(good_for.total_seconds()) // 60} min.)"
        )


def _check_signed(head: RequestHead, claim: CallClaim) -> None:
    """Raises SignatureDoesNotMatch where something is not signed that says what is asked."""
    signed = set(claim.signed_headers)
    missing = [
        name
        for name in head.headers
        if name.startswith("x-amz-") and name not in signed and name != "x-amz-content-sha256"
    ]
    if "host" not in signed:
        raise _mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if missing:
        raise _mismatch(_unsigned(sorted(missing)))


def _unsigned(names: Iterable[str]) -> str:
    return " ".join(
        f"'{name}' must be a 'SignedHeader' in the AWS Authorization." for name in names
    )


def _timestamp(date: str | None) -> str | None:
    """A ``Date`` header as a timestamp."""
    time = None if date is None else parse_time(date)
    return None if time is None else time.strftime(TIMESTAMP_FORMAT)


def _incomplete(text: str, authorization: str) -> QueryError:
    hashed = b64encode(hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest())
    return QueryError(
        "IncompleteSignature",
        f"{text} (Hashed with SHA-256 and encoded with Base64) Authorization={hashed.decode()}",
    )


def _mismatch(text: str) -> QueryError:
    return QueryError("SignatureDoesNotMatch", text)
