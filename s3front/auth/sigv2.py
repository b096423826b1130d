"""Signature Version 2 for Amazon S3: reading, verifying and making the older signatures.

boto2, ``s3cmd --signature-v2``, rclone's ``v2_auth`` and presigned URLs of boto3's default settings
use it. It covers the method, the resource, the sub-resources, four headers and ``x-amz-*``: not
the other query parameters, not the host and not the body. Pure: the caller passes ``now``.

Rules:

1. Every query parameter that selects an operation must be signed, whether or not it was known when
   the signature's documents were written: else the holder of a URL could turn it into another call.
2. Header values are only trimmed, not collapsed as Version 4 has it.
3. The values of these parameters are signed decoded, so that one with ``&`` in it reads like two
   parameters. Where the second one would be a signed one it is refused: else a request could turn
   a sub-resource that was signed into a part of a value, and be another call.
4. A parameter may carry what is a header elsewhere: presigned URLs hold ``x-amz-*``,
   ``Content-MD5`` and ``Content-Type`` that way.

Sources: Amazon S3 user guide, "Signing and authenticating REST requests (AWS signature version 2)";
HMAC-SHA256 beside HMAC-SHA1, told apart by length, is CloudServer's (``reference/
cloudserver-features.md``, section 3); the texts of errors are those that the service answers with.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from s3front.auth.signing import signatures_equal, to_bytes
from s3front.auth.sigv4 import (
    PayloadForm,
    chunks_without_key,
    payload_form,
    query_parameters,
)
from s3front.auth.sigv4_claim import iso_time, request_date
from s3front.auth.sigv4_policy import policy_mismatch
from s3front.port.sub_resources import SUB_RESOURCES
from s3front.s3_errors import S3Error

ALGORITHM: Final = "AWS"

ALSO_SIGNED: Final = frozenset(
    (
        "defaultObjectAcl",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "select-type",
        "storageClass",
        "versionId",
    )
)
"""The query parameters that the canonical resource includes besides sub-resources."""

_POSITIONAL: Final = ("content-md5", "content-type")
_BUCKET: Final = re.compile("/[^/]+/?")
_SHA256_LENGTH: Final = 44
_EXPIRES_DIGITS_MAX: Final = 12


class RequestHead(msgspec.Struct, frozen=True):
    """The parts of a request that Version 2 signs.

    ``resource`` is the bucket that the host named, if it did, as ``/bucket``, and the path as it
    stands on the request line. ``headers`` is what ``trimmed_headers`` returns. ``sub_resources``
    are the parameters by which whoever asks selects operations: all of them have to be signed.
    """

    method: str
    resource: str
    raw_query: str
    headers: Mapping[str, str]
    sub_resources: Collection[str] = SUB_RESOURCES

    def covers(self, parameter: str) -> bool:
        """Whether the signature includes a query parameter."""
        return parameter in self.sub_resources or parameter in ALSO_SIGNED


class Claim(msgspec.Struct, frozen=True):
    """Who a request says it is from, in date, but not yet verified.

    ``expires`` is the parameter as it was sent, None for the header form. ``payload_hash`` is the
    value of ``x-amz-content-sha256``, None without one: this signature does not ask for it.
    """

    access_key: str
    signature: str
    payload_hash: str | None = None
    expires: str | None = None
    security_token: str | None = None


def trimmed_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Lower-case names; values trimmed, repeated ones joined with ","."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        lower, text = name.lower(), value.strip(" \t")
        headers[lower] = f"{headers[lower]},{text}" if lower in headers else text
    return headers


# --- What a request claims ------------------------------------------------------------------------


def header_claim(head: RequestHead, now: datetime) -> Claim:
    """The claim of ``Authorization: AWS access-key:signature``.

    Raises InvalidArgument (malformed), AccessDenied (no valid date) and RequestTimeTooSkewed (more
    than 15 minutes off).
    """
    value = head.headers.get("authorization", "")
    access_key, colon, signature = value.partition(" ")[2].strip().rpartition(":")
    if not colon or not access_key or not signature:
        raise S3Error(
            "InvalidArgument",
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
            {"ArgumentName": "Authorization", "ArgumentValue": value},
        )
    request_date(head.headers, now)
    token = head.headers.get("x-amz-security-token")
    return Claim(access_key, signature, _payload_hash(head.headers), security_token=token)


def presigned_claim(head: RequestHead, now: datetime) -> Claim:
    """The claim of ``AWSAccessKeyId``, ``Expires`` and ``Signature`` in the query.

    Raises AccessDenied when one is missing, no date, or past. As with AWS, ``Expires`` may lie any
    time ahead.
    """
    query = query_parameters(head.raw_query)
    if not all(query.get(name) for name in ("AWSAccessKeyId", "Expires", "Signature")):
        raise S3Error(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId "
            "parameters",
        )
    expires = query["Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) <= _EXPIRES_DIGITS_MAX):
        raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
    if now.timestamp() > int(expires):
        time = datetime.fromtimestamp(int(expires), UTC)
        fields = {"Expires": iso_time(time), "ServerTime": iso_time(now)}
        raise S3Error("AccessDenied", "Request has expired", fields)
    headers = _with_parameters(head.headers, query)
    return Claim(
        query["AWSAccessKeyId"],
        query["Signature"],
        _payload_hash(headers),
        expires,
        headers.get("x-amz-security-token"),
    )


def _payload_hash(headers: Mapping[str, str]) -> str | None:
    value = headers.get("x-amz-content-sha256")
    if value is not None and payload_form(value) in (
        PayloadForm.STREAMING_SIGNED,
        PayloadForm.STREAMING_SIGNED_TRAILER,
    ):
        raise chunks_without_key()
    return value


# --- What is signed -------------------------------------------------------------------------------


def string_to_sign(head: RequestHead, expires: str | None = None) -> str:
    """The text under the signature; ``expires`` for a presigned request."""
    headers = head.headers
    date = headers.get("date", "")
    if expires is not None:
        headers, date = _with_parameters(headers, query_parameters(head.raw_query)), expires
    elif "x-amz-date" in headers:
        date = ""
    lines = [head.method, *(headers.get(name, "") for name in _POSITIONAL), date]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-amz-")]
    return "\n".join([*lines, canonical_resource(head)])


def canonical_resource(head: RequestHead) -> str:
    """The path as it was sent, and the signed parameters in order, their values decoded.

    Raises InvalidArgument for a value that holds another one.
    """
    signed: dict[str, str] = {}
    for name, value in query_parameters(head.raw_query).items():
        if head.covers(name):
            if "&" in value:
                _check_ambiguity(head, name, value)
            # "acl" and "acl=" ask for the same; clients sign it without the sign.
            signed[name] = f"{name}={value}" if value else name
    if not signed:
        return head.resource
    return f"{head.resource}?{'&'.join(signed[name] for name in sorted(signed))}"


def _check_ambiguity(head: RequestHead, name: str, value: str) -> None:
    following = value.split("&")[1:]
    if any(head.covers(piece.partition("=")[0]) for piece in following):
        raise S3Error(
            "InvalidArgument",
            "With Signature Version 2 the value of a signed parameter cannot hold another one.",
            {"ArgumentName": name, "ArgumentValue": value},
        )


def _with_parameters(headers: Mapping[str, str], query: Mapping[str, str]) -> dict[str, str]:
    """The headers, and those that the query carries instead; a real one has precedence."""
    carried = {
        name.lower(): value.strip(" \t")
        for name, value in query.items()
        if name.lower().startswith("x-amz-") or name.lower() in _POSITIONAL
    }
    return {**carried, **headers}


# --- Verifying and signing ------------------------------------------------------------------------


def verify(head: RequestHead, claim: Claim, secret: str) -> None:
    """Check the claim against the secret of its access key; raises SignatureDoesNotMatch."""
    algorithm = _algorithm_of(claim.signature)
    text = string_to_sign(head, claim.expires)
    texts = [text]
    if _BUCKET.fullmatch(head.resource):
        # "/bucket" and "/bucket/" are one bucket. boto3 sends the one and signs the other.
        slash = not head.resource.endswith("/")
        other = msgspec.structs.replace(
            head, resource=head.resource + "/" if slash else head.resource[:-1]
        )
        texts.append(string_to_sign(other, claim.expires))
    for candidate in texts:
        if signatures_equal(_sign(secret, candidate, algorithm), claim.signature):
            return
    raise S3Error(
        "SignatureDoesNotMatch",
        fields={
            "AWSAccessKeyId": claim.access_key,
            "StringToSign": text,
            "SignatureProvided": claim.signature,
            "StringToSignBytes": to_bytes(text).hex(" "),
        },
    )


def verify_policy(policy: str, access_key: str, signature: str, secret: str) -> None:
    """Check the signature of a form upload; raises SignatureDoesNotMatch."""
    if not signatures_equal(_sign(secret, policy, _algorithm_of(signature)), signature):
        raise policy_mismatch(access_key, policy, signature)


def _algorithm_of(signature: str) -> str:
    return "sha256" if len(signature) == _SHA256_LENGTH else "sha1"


def authorization(head: RequestHead, access_key: str, secret: str) -> str:
    """The value of the Authorization header; ``head.headers`` holds the date."""
    return f"{ALGORITHM} {access_key}:{_sign(secret, string_to_sign(head))}"


def _sign(secret: str, text: str, algorithm: str = "sha1") -> str:
    return b64encode(hmac.digest(to_bytes(secret), to_bytes(text), algorithm)).decode()
