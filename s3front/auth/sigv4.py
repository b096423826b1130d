"""Signature Version 4 for Amazon S3: the canonical form, verifying a request, and signing one.

Called by the front-end for each request, by locations that speak S3 to another service, and by
tests. Pure: no clock, no sockets; the caller passes ``now`` (an aware ``datetime``). A request is
read by ``s3front.auth.sigv4_claim``, the caller looks the secret of the claimed access key up, and
``verify`` decides. A secret or a signing key never shows in a ``repr`` or an error.

Sources: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)" with its
pages on the Authorization header, on query parameters and on chunked uploads; the texts of errors
are those that the service answers with.

Text that came from the wire is decoded as UTF-8 with ``surrogateescape``, so that any bytes that a
client signed are hashed as it sent them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import Final
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

import msgspec

from s3front.auth.signing import sign_string, signatures_equal, signing_key, to_bytes
from s3front.s3_errors import S3Error, not_implemented

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()

TIMESTAMP_FORMAT: Final = "%Y%m%dT%H%M%SZ"
# Text that is in AWS's encoding as it stands, so that most requests need not be encoded again:
# unreserved characters, and upper-case escapes of any others.
_ESCAPE: Final = "%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])"
_ENCODED_PATH: Final = re.compile(rf"(?:[A-Za-z0-9\-._~/]++|{_ESCAPE})*+", re.ASCII)
_ENCODED_QUERY: Final = re.compile(rf"(?:[A-Za-z0-9\-._~=&]++|{_ESCAPE})*+", re.ASCII)
_BLANKS: Final = re.compile(r"[ \t]+")
_HEX_SHA256_CHARACTERS: Final = 64
_KEPT_NAMES_MAX: Final = 64
"""A client signs a dozen headers. What is kept of thousands, others each time, fills the memory."""

# Proxies and HTTP libraries rewrite these after signing (the AWS SDKs leave them out as well).
_NEVER_SIGNED: Final = frozenset(
    {"authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}
)


class PayloadForm(StrEnum):
    """What ``x-amz-content-sha256`` says about the body; ``HASHED`` stands for a hash in hex."""

    HASHED = "sha256"
    UNSIGNED = "UNSIGNED-PAYLOAD"
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


_HASHED: Final = PayloadForm.HASHED
_NAMED_FORMS: Final = {form.value: form for form in PayloadForm if form is not PayloadForm.HASHED}


class RequestHead(msgspec.Struct, frozen=True):
    """The parts of a request that are signed.

    ``raw_path`` and ``raw_query`` are as on the request line, escapes untouched, without the "?";
    ``headers`` is what ``fold_headers`` returns.
    """

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]


class Credential(msgspec.Struct, frozen=True):
    """``AK/date/region/service/aws4_request``; ``date`` is yyyymmdd."""

    access_key: str
    date: str
    region: str
    service: str = "s3"

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Claim(msgspec.Struct, frozen=True):
    """Who a request says it is from, in date, but not yet verified.

    ``signed_headers`` are lower-case and sorted; ``timestamp`` is yyyymmddThhmmssZ;
    ``payload_hash`` is the value of ``x-amz-content-sha256``. ``expires_seconds`` is None for the
    header form.
    """

    credential: Credential
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    payload_hash: str
    expires_seconds: int | None = None
    security_token: str | None = None

    @property
    def presigned(self) -> bool:
        return self.expires_seconds is not None


class StreamKey(msgspec.Struct, frozen=True):
    """What the chunks of an aws-chunked body are signed with; ``seed`` is the request's signature.

    Each signature covers the one before it, so a chunk cannot be moved, repeated or left out
    (Amazon S3 API reference, "Signature calculations: Transferring payload in multiple chunks").
    """

    signing_key: bytes
    timestamp: str
    scope: str
    seed: str

    def __repr__(self) -> str:
        return f"StreamKey(timestamp={self.timestamp!r}, scope={self.scope!r}, seed={self.seed!r})"

    def chunk_string_to_sign(self, previous: str, sha256_hex: str) -> str:
        return (
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self.timestamp}\n{self.scope}\n{previous}\n"
            f"{EMPTY_SHA256}\n{sha256_hex}"
        )

    def trailer_string_to_sign(self, previous: str, sha256_hex: str) -> str:
        """``sha256_hex`` is over the lines ``name:value`` LF, as sent."""
        return f"AWS4-HMAC-SHA256-TRAILER\n{self.timestamp}\n{self.scope}\n{previous}\n{sha256_hex}"

    def chunk_signature(self, previous: str, sha256_hex: str) -> str:
        return sign_string(self.signing_key, self.chunk_string_to_sign(previous, sha256_hex))

    def trailer_signature(self, previous: str, sha256_hex: str) -> str:
        return sign_string(self.signing_key, self.trailer_string_to_sign(previous, sha256_hex))


@dataclass(frozen=True, slots=True)
class AccessKey:
    """What to sign outgoing requests with."""

    access_key: str
    secret: str = field(repr=False)
    region: str = "us-east-1"
    session_token: str | None = field(default=None, repr=False)
    service: str = "s3"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """Headers to add to a request, and the key for its chunks when the body is streamed."""

    headers: Mapping[str, str]
    stream: StreamKey


# --- Canonical form -----------------------------------------------------------------------------


def fold_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Lower-case names; values trimmed, inner blanks collapsed, repeated ones joined with ","."""
    folded: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        text = _BLANKS.sub(" ", value) if "  " in value or "\t" in value else value
        text = text.strip(" ")
        folded[lower] = f"{folded[lower]},{text}" if lower in folded else text
    return folded


def uri_encode(text: str | bytes, *, keep_slash: bool = False) -> str:
    """AWS's UriEncode: all but A-Z a-z 0-9 - . _ ~ (and "/" if kept) becomes %XX of its UTF-8."""
    raw = text if isinstance(text, bytes) else to_bytes(text)
    return quote_from_bytes(raw, safe="~/" if keep_slash else "~")


def canonical_path(raw_path: str) -> str:
    """The path encoded once, as the service does whatever the client escaped; never normalised.

    "+" is a plus, ``//``, ``.`` and ``..`` stay, an escaped slash stays apart from a slash, and a
    "%" that opens no escape is an ordinary character.
    """
    if _ENCODED_PATH.fullmatch(raw_path):
        return raw_path or "/"
    return "/".join(_encode_again(segment) for segment in raw_path.split("/"))


def canonical_query(raw_query: str, *, presigned: bool = False) -> str:
    """Parameters encoded once, in order of name, then value; ``X-Amz-Signature`` is left out when
    ``presigned``. "+" is a space, as in the forms of HTML.
    """
    if not raw_query:
        return ""
    encoded = _ENCODED_QUERY.fullmatch(raw_query) is not None
    pairs: list[tuple[str, str]] = []
    for piece in raw_query.split("&"):
        if not piece:
            continue
        name, _, value = piece.partition("=")
        if not encoded:
            name, value = _encode_again(name, form=True), _encode_again(value, form=True)
        elif "=" in value:
            value = value.replace("=", "%3D")
        if presigned and name == "X-Amz-Signature":
            continue
        pairs.append((name, value))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def canonical_request(
    head: RequestHead,
    signed_headers: Sequence[str],
    payload_hash: str,
    *,
    presigned: bool = False,
) -> str:
    """The canonical request; ``signed_headers`` are lower-case, in any order.

    A signed header that the request lacks counts as empty. ``payload_hash`` is the value of
    ``x-amz-content-sha256``.
    """
    path = canonical_path(head.raw_path)
    signed = _prepared(tuple(sorted(signed_headers)))
    return _canonical(path, head, signed, payload_hash, presigned)


class _Signed(msgspec.Struct, frozen=True):
    """What is prepared for a list of signed headers, as the requests of a client have the same.

    ``values`` takes theirs from folded headers, and raises KeyError when one is not there. With
    these, ``form`` is what the canonical request says of headers.
    """

    listed: tuple[str, ...]
    names: frozenset[str]
    values: Callable[[Mapping[str, str]], str | tuple[str, ...]]
    form: str


def _prepared(names: tuple[str, ...]) -> _Signed:
    literal = [name.replace("%", "%%") for name in names]
    lines = "".join([f"{name}:%s\n" for name in literal])
    values = itemgetter(*names) if names else lambda _: ()
    return _Signed(names, frozenset(names), values, f"{lines}\n{';'.join(literal)}")


_signed: Final = lru_cache(maxsize=256)(_prepared)


def _canonical(
    path: str,
    head: RequestHead,
    signed: _Signed,
    payload_hash: str,
    presigned: bool,
) -> str:
    try:
        values = signed.values(head.headers)
    except KeyError:
        values = tuple([head.headers.get(name, "") for name in signed.listed])
    query = canonical_query(head.raw_query, presigned=presigned) if head.raw_query else ""
    return f"{head.method}\n{path}\n{query}\n{signed.form % values}\n{payload_hash}"


def _encode_again(text: str, *, form: bool = False) -> str:
    raw = to_bytes(text.replace("+", " ") if form else text)
    return quote_from_bytes(unquote_to_bytes(raw), safe="~")


# --- Keys and signatures ------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _key_and_scope(secret: str, credential: Credential) -> tuple[bytes, str]:
    key = signing_key(secret, credential.date, credential.region, credential.service)
    return key, credential.scope


def string_to_sign(timestamp: str, scope: str, canonical: str) -> str:
    digest = hashlib.sha256(to_bytes(canonical)).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


# --- What is signed of the body, and the query ----------------------------------------------------


def payload_form(value: str | None) -> PayloadForm:
    """What a value of ``x-amz-content-sha256`` means; None is a missing header.

    Raises InvalidRequest (missing), InvalidArgument (no such value), NotImplemented (the
    asymmetric signatures of Signature Version 4A).
    """
    if value is None:
        raise S3Error(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    if len(value) == _HEX_SHA256_CHARACTERS and _is_hex(value):
        return _HASHED
    form = _NAMED_FORMS.get(value)
    if form is not None:
        return form
    if value.startswith("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        raise not_implemented(f"x-amz-content-sha256: {value}", "x-amz-content-sha256")
    raise S3Error(
        "InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"
        " or a valid sha256 value.",
        {"ArgumentName": "x-amz-content-sha256", "ArgumentValue": value},
    )


def _is_hex(text: str) -> bool:
    """Whether a text is two hex digits a byte, and nothing else. A compiled expression takes three
    times as long."""
    try:
        return 2 * len(bytes.fromhex(text)) == len(text)  # blanks are passed over
    except ValueError:
        return False


def chunks_without_key() -> S3Error:
    """What signed chunks are answered with where no signature of Version 4 says by which key."""
    return S3Error(
        "InvalidRequest", "The chunks of a body can only be signed with AWS4-HMAC-SHA256."
    )


def payload_hash_of(headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> str:
    """The last line of the canonical form, checked by ``payload_form``.

    ``query`` is what ``query_parameters`` returns, for a presigned request: that may leave the hash
    out, or carry it as a parameter (SDKs move headers there).
    """
    value = headers.get("x-amz-content-sha256")
    if query is not None:
        value = query.get("X-Amz-Content-Sha256", value)
        if value is None:
            return PayloadForm.UNSIGNED.value
    payload_form(value)
    assert value is not None
    return value


def query_parameters(raw_query: str) -> dict[str, str]:
    """Decoded query parameters; of a repeated one, the first."""
    parameters: dict[str, str] = {}
    for piece in raw_query.split("&"):
        name, _, value = piece.replace("+", " ").partition("=")
        if "%" in piece:
            name, value = (unquote(part, errors="surrogateescape") for part in (name, value))
        parameters.setdefault(name, value)
    return parameters


# --- Verifying and signing ----------------------------------------------------------------------


def verify(head: RequestHead, claim: Claim, secret: str) -> StreamKey:
    """Check the claim against the secret of ``claim.credential.access_key``.

    Returns what the chunks of the body must be signed with. Raises AccessDenied (headers that must
    be signed are not) and SignatureDoesNotMatch.
    """
    names = claim.signed_headers
    signed = _signed(names) if len(names) <= _KEPT_NAMES_MAX else _prepared(names)
    _require_signed(head.headers, signed.names)
    key, scope = _key_and_scope(secret, claim.credential)
    path = canonical_path(head.raw_path)
    canonical = _canonical(path, head, signed, claim.payload_hash, claim.presigned)
    text = string_to_sign(claim.timestamp, scope, canonical)
    if signatures_equal(sign_string(key, text), claim.signature):
        return StreamKey(key, claim.timestamp, scope, claim.signature)
    if "%2F" in path:
        # Clients that escape the slashes of a key only on the wire sign the key. Both are the same
        # key, so accepting either signature opens nothing else.
        path = path.replace("%2F", "/")
        other = _canonical(path, head, signed, claim.payload_hash, claim.presigned)
        other = string_to_sign(claim.timestamp, scope, other)
        if signatures_equal(sign_string(key, other), claim.signature):
            return StreamKey(key, claim.timestamp, scope, claim.signature)
    raise S3Error(
        "SignatureDoesNotMatch",
        fields={
            "AWSAccessKeyId": claim.credential.access_key,
            "StringToSign": text,
            "SignatureProvided": claim.signature,
            "StringToSignBytes": to_bytes(text).hex(" "),
            "CanonicalRequest": canonical,
            "CanonicalRequestBytes": to_bytes(canonical).hex(" "),
        },
    )


def _require_signed(headers: Mapping[str, str], signed: frozenset[str]) -> None:
    unsigned = headers.keys() - signed
    if "host" in signed and "\nx-amz-" not in "\n".join(("", *unsigned)):
        return
    # The content hash is signed even when it is not listed: it is the last line of what is signed.
    missing = [
        name for name in unsigned if name.startswith("x-amz-") and name != "x-amz-content-sha256"
    ]
    if "host" not in signed:
        missing.append("host")
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(sorted(missing))},
        )


def sign_request(
    head: RequestHead, key: AccessKey, now: datetime, payload_hash: str = EMPTY_SHA256
) -> SignedRequest:
    """Sign with an ``Authorization`` header; ``head.headers`` holds ``host``.

    Every header given is signed, but for those that proxies rewrite. ``payload_hash`` is any value
    of ``x-amz-content-sha256``. The headers returned are those to add, authorization included.
    """
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    added = {"x-amz-date": timestamp, "x-amz-content-sha256": payload_hash}
    if key.session_token is not None:
        added["x-amz-security-token"] = key.session_token
    head = RequestHead(head.method, head.raw_path, head.raw_query, {**head.headers, **added})
    names = sorted(name for name in head.headers if name not in _NEVER_SIGNED)
    stream = _sign(head, names, key, timestamp, payload_hash)
    authorization = (
        f"{ALGORITHM} Credential={key.access_key}/{stream.scope},"
        f"SignedHeaders={';'.join(names)},Signature={stream.seed}"
    )
    return SignedRequest({**added, "authorization": authorization}, stream)


def presign(head: RequestHead, key: AccessKey, now: datetime, expires_seconds: int) -> str:
    """The raw query of a presigned URL, ``head.raw_query`` included.

    Whoever uses the URL must send ``head.headers`` (``host`` at least) with the same values.
    """
    timestamp = now.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    names = sorted(name for name in head.headers if name not in _NEVER_SIGNED)
    scope = Credential(key.access_key, timestamp[:8], key.region).scope
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{key.access_key}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires_seconds),
        "X-Amz-SignedHeaders": ";".join(names),
    }
    if key.session_token is not None:
        parameters["X-Amz-Security-Token"] = key.session_token
    added = "&".join(f"{name}={uri_encode(value)}" for name, value in parameters.items())
    query = f"{head.raw_query}&{added}" if head.raw_query else added
    head = RequestHead(head.method, head.raw_path, query, head.headers)
    payload_hash = payload_hash_of(head.headers, query_parameters(query))
    stream = _sign(head, names, key, timestamp, payload_hash, presigned=True)
    return f"{query}&X-Amz-Signature={stream.seed}"


def _sign(
    head: RequestHead,
    names: Sequence[str],
    key: AccessKey,
    timestamp: str,
    payload_hash: str,
    *,
    presigned: bool = False,
) -> StreamKey:
    scope = Credential(key.access_key, timestamp[:8], key.region, key.service).scope
    derived = signing_key(key.secret, timestamp[:8], key.region, key.service)
    canonical = canonical_request(head, names, payload_hash, presigned=presigned)
    seed = sign_string(derived, string_to_sign(timestamp, scope, canonical))
    return StreamKey(derived, timestamp, scope, seed)
