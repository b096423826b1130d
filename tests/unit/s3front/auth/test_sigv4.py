"""Signature Version 4: the published examples, the texts of refusals, and what must not verify."""

from __future__ import annotations

import hashlib
import hmac
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from s3front.auth.signing import sign_string, signatures_equal, signing_key
from s3front.auth.sigv4 import (
    EMPTY_SHA256,
    AccessKey,
    PayloadForm,
    RequestHead,
    StreamKey,
    canonical_path,
    canonical_query,
    canonical_request,
    fold_headers,
    payload_form,
    payload_hash_of,
    presign,
    query_parameters,
    sign_request,
    uri_encode,
    verify,
)
from s3front.auth.sigv4_claim import header_claim, parse_authorization, presigned_claim
from s3front.s3_errors import S3Error

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = {"host": "examplebucket.s3.amazonaws.com"}
SCOPE = "20130524/us-east-1/s3/aws4_request"
GET = RequestHead("GET", "/test.txt", "", HOST)


def signed(head: RequestHead, payload_hash: str = EMPTY_SHA256) -> RequestHead:
    return with_headers(head, sign_request(head, KEY, NOW, payload_hash).headers)


def with_headers(head: RequestHead, headers: object) -> RequestHead:
    assert isinstance(headers, dict)
    return replace(head, headers={**head.headers, **headers})


def check(head: RequestHead, now: datetime = NOW, secret: str = KEY.secret) -> StreamKey:
    return verify(head, header_claim(head, now), secret)


def check_presigned(head: RequestHead, now: datetime = NOW) -> StreamKey:
    return verify(head, presigned_claim(head, now), KEY.secret)


# --- Published examples (Amazon S3 API reference) ------------------------------------------------

PUT_HASH = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
PUT_HEADERS = {
    "date": "Fri, 24 May 2013 00:00:00 GMT",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
}


@pytest.mark.parametrize(
    ("head", "payload_hash", "signature"),
    [
        (
            RequestHead("GET", "/test.txt", "", {**HOST, "range": "bytes=0-9"}),
            EMPTY_SHA256,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            RequestHead("PUT", "/test$file.text", "", {**HOST, **PUT_HEADERS}),
            PUT_HASH,
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            RequestHead("GET", "/", "lifecycle", HOST),
            EMPTY_SHA256,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            RequestHead("GET", "/", "max-keys=2&prefix=J", HOST),
            EMPTY_SHA256,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get-range", "put", "lifecycle", "list"],
)
def test_published_header_examples(head: RequestHead, payload_hash: str, signature: str) -> None:
    result = sign_request(head, KEY, NOW, payload_hash)
    assert result.stream.seed == signature
    assert check(with_headers(head, result.headers)).seed == signature


def test_published_presigned_example() -> None:
    query = presign(GET, KEY, NOW, 86400)
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    assert check_presigned(replace(GET, raw_query=query)).scope == SCOPE


def streaming_put(form: PayloadForm, headers: dict[str, str]) -> StreamKey:
    head = RequestHead(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        {
            "host": "s3.amazonaws.com",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": "66560",
            **headers,
        },
    )
    return sign_request(head, KEY, NOW, form.value).stream


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_published_streaming_example() -> None:
    stream = streaming_put(PayloadForm.STREAMING_SIGNED, {"content-length": "66824"})
    assert stream.seed == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    first = stream.chunk_signature(stream.seed, sha256(b"a" * 65536))
    assert first == "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    second = stream.chunk_signature(first, sha256(b"a" * 1024))
    assert second == "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
    last = stream.chunk_signature(second, EMPTY_SHA256)
    assert last == "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"


def test_published_trailer_example() -> None:
    stream = streaming_put(
        PayloadForm.STREAMING_SIGNED_TRAILER, {"x-amz-trailer": "x-amz-checksum-crc32c"}
    )
    assert stream.seed == "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    first = stream.chunk_signature(stream.seed, sha256(b"a" * 65536))
    second = stream.chunk_signature(first, sha256(b"a" * 1024))
    last = stream.chunk_signature(second, EMPTY_SHA256)
    assert last == "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
    trailer = stream.trailer_signature(last, sha256(b"x-amz-checksum-crc32c:sOO8/Q==\n"))
    assert trailer == "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"


# --- Canonical form ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("/b/plain-._~key", "/b/plain-._~key"),
        ("/b//a/./../c", "/b//a/./../c"),
        ("/b/a+b", "/b/a%2Bb"),
        ("/b/a%20b", "/b/a%20b"),
        ("/b/a b", "/b/a%20b"),
        ("/b/a%2fb", "/b/a%2Fb"),
        ("/b/%7e%41", "/b/~A"),
        ("/b/%c3%a9", "/b/%C3%A9"),
        ("/b/é", "/b/%C3%A9"),
        ("/b/\U0001f600", "/b/%F0%9F%98%80"),
        ("/b/\udce9", "/b/%E9"),
        ("/b/100%", "/b/100%25"),
        ("/b/%zz", "/b/%25zz"),
        ("/b/!$&'()*,:;=@", "/b/%21%24%26%27%28%29%2A%2C%3A%3B%3D%40"),
    ],
)
def test_path_is_encoded_once_and_not_normalised(raw: str, canonical: str) -> None:
    assert canonical_path(raw) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", ""),
        ("acl", "acl="),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a-b=1&a=1", "a=1&a-b=1"),
        ("&&a=1&", "a=1"),
        ("a=b=c", "a=b%3Dc"),
        ("a=b%3dc", "a=b%3Dc"),
        ("p=a+b&q=a%20b&r=a%2Bb", "p=a%20b&q=a%20b&r=a%2Bb"),
        ("p=a/b", "p=a%2Fb"),
        ("p=100%", "p=100%25"),
        ("X-Amz-Signature=1", "X-Amz-Signature=1"),
    ],
)
def test_query_is_encoded_once_and_sorted(raw: str, canonical: str) -> None:
    assert canonical_query(raw) == canonical


@pytest.mark.parametrize("code", range(256))
def test_every_escape_becomes_what_uri_encode_makes_of_its_byte(code: int) -> None:
    for raw in (f"%{code:02X}", f"%{code:02x}"):
        assert canonical_path("/" + raw) == "/" + uri_encode(bytes([code]))
        assert canonical_query(raw) == uri_encode(bytes([code])) + "="


@pytest.mark.parametrize("raw", ["X-Amz-Signature=1&b=2", "b=2&%58-Amz-Signature=1&&"])
def test_signature_parameter_is_not_part_of_what_is_presigned(raw: str) -> None:
    assert canonical_query(raw, presigned=True) == "b=2"


def test_folding_trims_collapses_and_joins() -> None:
    pairs = [("X-A", "  a \t b  "), ("Host", "h:8000"), ("x-a", "c"), ("X-Empty", " ")]
    assert fold_headers(pairs) == {"x-a": "a b,c", "host": "h:8000", "x-empty": ""}


def test_canonical_request_sorts_headers_and_counts_absent_ones_as_empty() -> None:
    head = RequestHead("GET", "/b/k", "", {"host": "h"})
    assert canonical_request(head, ["x-a", "host"], "UNSIGNED-PAYLOAD") == (
        "GET\n/b/k\n\nhost:h\nx-a:\n\nhost;x-a\nUNSIGNED-PAYLOAD"
    )


def test_uri_encode_keeps_slashes_on_request() -> None:
    assert uri_encode("a/b c~") == "a%2Fb%20c~"
    assert uri_encode("a/b c~", keep_slash=True) == "a/b%20c~"
    assert uri_encode(b"\xff") == "%FF"


def test_query_parameters_are_decoded_and_the_first_counts() -> None:
    assert query_parameters("a=1&a=2&b=%2F+x&c") == {"a": "1", "b": "/ x", "c": ""}


# --- Verifying -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"method": "HEAD"},
        {"raw_path": "/test.tx"},
        {"raw_path": "/Test.txt"},
        {"raw_query": "acl"},
        {"headers": {"host": "other"}},
        {"headers": {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}},
        {"headers": {"x-amz-date": "20130524T000001Z"}},
    ],
)
def test_any_change_to_what_is_signed_is_refused(change: dict[str, object]) -> None:
    head = signed(GET)
    headers = change.pop("headers", {})
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(with_headers(replace(head, **change), headers))


def test_mismatch_tells_what_was_calculated() -> None:
    head = signed(GET)
    with pytest.raises(S3Error) as caught:
        check(head, secret="wrong")
    fields = caught.value.fields
    assert list(fields) == [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ]
    assert fields["AWSAccessKeyId"] == KEY.access_key
    assert fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n" + SCOPE)
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]
    assert fields["StringToSignBytes"].startswith("41 57 53 34 ")
    assert fields["CanonicalRequest"].startswith("GET\n/test.txt\n\nhost:")
    assert bytes.fromhex(fields["CanonicalRequestBytes"]).decode() == fields["CanonicalRequest"]
    assert "wrong" not in str(fields)


@pytest.mark.parametrize("wire", ["/b/a%2Fb", "/b/a%2fb", "/b/%61/b"])
def test_a_client_may_escape_more_on_the_wire_than_it_signed(wire: str) -> None:
    head = signed(RequestHead("GET", "/b/a/b", "", HOST))
    check(replace(head, raw_path=wire))


def test_a_signature_that_is_not_ascii_is_refused() -> None:
    head = signed(GET)
    authorization = head.headers["authorization"][:-1] + "é"
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(with_headers(head, {"authorization": authorization}))


def test_any_region_is_accepted() -> None:
    key = AccessKey(KEY.access_key, KEY.secret, "moon-1")
    head = with_headers(GET, sign_request(GET, key, NOW).headers)
    assert check(head).scope == "20130524/moon-1/s3/aws4_request"


@pytest.mark.parametrize("presigned", [False, True])
def test_headers_of_amazon_must_be_signed(presigned: bool) -> None:
    head = replace(GET, raw_query=presign(GET, KEY, NOW, 60)) if presigned else signed(GET)
    head = with_headers(head, {"x-amz-tagging": "a=b", "x-amz-acl": "private", "x-other": "1"})
    with pytest.raises(S3Error) as caught:
        (check_presigned if presigned else check)(head)
    assert caught.value.code == "AccessDenied"
    assert caught.value.message == "There were headers present in the request which were not signed"
    assert caught.value.fields == {"HeadersNotSigned": "x-amz-acl, x-amz-tagging"}


def test_host_must_be_signed() -> None:
    head = signed(RequestHead("GET", "/", "", {"x-amz-acl": "private"}))
    with pytest.raises(S3Error) as caught:
        check(with_headers(head, HOST))
    assert caught.value.fields == {"HeadersNotSigned": "host"}


def test_headers_that_proxies_rewrite_are_left_unsigned() -> None:
    head = RequestHead("GET", "/", "", {**HOST, "user-agent": "a", "expect": "100-continue"})
    check(with_headers(signed(head), {"user-agent": "b", "expect": ""}))


def test_session_token_is_signed_and_reported() -> None:
    key = AccessKey(KEY.access_key, KEY.secret, session_token="token")
    head = with_headers(GET, sign_request(GET, key, NOW).headers)
    assert header_claim(head, NOW).security_token == "token"
    check(head)
    head = replace(GET, raw_query=presign(GET, key, NOW, 60))
    assert presigned_claim(head, NOW).security_token == "token"
    check_presigned(head)


def test_secrets_show_in_no_repr() -> None:
    stream = sign_request(GET, KEY, NOW).stream
    assert KEY.secret not in repr(KEY)
    assert repr(stream.signing_key) not in repr(stream)


@pytest.mark.parametrize("size", [0, 1, 32, 63, 64, 65, 200])
def test_strings_are_signed_with_hmac_sha256(size: int) -> None:
    for key in (bytes(range(size)), b"\xff" * size):
        assert sign_string(key, "a\udcff\nb") == hmac.digest(key, b"a\xff\nb", "sha256").hex()


def test_signatures_of_other_characters_are_none() -> None:
    assert signatures_equal("abc", "abc")
    assert not signatures_equal("abc", "abd")
    assert not signatures_equal("abc", "abcé")
    assert not signatures_equal("abc", "\udcff")


_NAMES = st.lists(st.sampled_from(["host", "a%s", "x-%", "%%", "b", "range"]), max_size=6)


@given(_NAMES, st.dictionaries(st.sampled_from(["host", "a%s", "b", "x-%"]), st.text(max_size=5)))
def test_canonical_headers(names: list[str], headers: dict[str, str]) -> None:
    lines = "".join(f"{name}:{headers.get(name, '')}\n" for name in sorted(names))
    expected = f"GET\n/test.txt\n\n{lines}\n{';'.join(sorted(names))}\nhash"
    assert canonical_request(replace(GET, headers=headers), names, "hash") == expected


def test_signing_keys_are_cached_within_bounds() -> None:
    assert signing_key(KEY.secret, "20130524", "us-east-1") is signing_key(
        KEY.secret, "20130524", "us-east-1"
    )
    assert signing_key.cache_info().maxsize == 4096


def test_little_is_kept_of_the_many_headers_that_strangers_name() -> None:
    """Each request has others, as many as a header line has room for."""
    listed = ";".join(f"{number:x}" for number in range(3000))
    head = signed(GET)
    tracemalloc.start()
    try:
        for number in range(100):
            named = f"SignedHeaders=host;n{number};{listed};"
            value = head.headers["authorization"].replace("SignedHeaders=", named)
            with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
                check(with_headers(head, {"authorization": value}))
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1024 * 1024


@pytest.mark.parametrize("place", ["header", "parameter", "absent"])
def test_presigned_payload_hash(place: str) -> None:
    head = GET
    if place == "header":
        head = with_headers(GET, {"x-amz-content-sha256": EMPTY_SHA256})
    elif place == "parameter":
        head = replace(GET, raw_query=f"X-Amz-Content-Sha256={EMPTY_SHA256}")
    check_presigned(replace(head, raw_query=presign(head, KEY, NOW, 60)))


@pytest.mark.parametrize("headers", [{}, {"x-amz-content-sha256": "0" * 64}], ids=["", "header"])
def test_the_payload_hash_of_a_presigned_request_is_its_parameter(headers: dict[str, str]) -> None:
    assert payload_hash_of(headers, {"X-Amz-Content-Sha256": EMPTY_SHA256}) == EMPTY_SHA256


# --- Forms of the payload ------------------------------------------------------------------------


def test_payload_forms() -> None:
    assert payload_form(EMPTY_SHA256) is PayloadForm.HASHED
    for form in PayloadForm:
        if form is not PayloadForm.HASHED:
            assert payload_form(form.value) is form


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (None, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"),
        ("abc", "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "),
        ("sha256", "InvalidArgument", "x-amz-content-sha256 must be "),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented", "A header you provided"),
    ],
)
def test_payload_form_refusals(value: str | None, code: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        payload_form(value)
    assert caught.value.code == code
    assert caught.value.message.startswith(message)


# --- Claims in the header ------------------------------------------------------------------------

CREDENTIAL = f"Credential={KEY.access_key}/{SCOPE}"


@pytest.mark.parametrize(
    "text",
    [
        f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=ab",
        f"AWS4-HMAC-SHA256 {CREDENTIAL},SignedHeaders=host;x-amz-date,Signature=ab",
        f"AWS4-HMAC-SHA256  Signature=ab , {CREDENTIAL},  SignedHeaders=Host;X-Amz-Date",
    ],
)
def test_authorization_in_any_order_and_spacing(text: str) -> None:
    authorization = parse_authorization(text)
    assert authorization.credential.scope == SCOPE
    assert authorization.credential.access_key == KEY.access_key
    assert authorization.signed_headers == ("host", "x-amz-date")
    assert authorization.signature == "ab"


def test_an_access_key_may_hold_a_slash() -> None:
    text = f"AWS4-HMAC-SHA256 Credential=a/b/{SCOPE},SignedHeaders=host,Signature=0"
    assert parse_authorization(text).credential.access_key == "a/b"


MALFORMED = "The authorization header is malformed; "
EXPECTING = (
    'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            f"{CREDENTIAL},Signature=0",
            "the authorization header requires three components: Credential, SignedHeaders, and "
            "Signature.",
        ),
        (
            f"{CREDENTIAL},SignedHeaders=host,Signature=0,Signed=0",
            "the authorization header requires three components: Credential, SignedHeaders, and "
            "Signature.",
        ),
        (
            f"{CREDENTIAL},SignedHeaders-host,Signature=0",
            'the authorization component "SignedHeaders-host" is malformed.',
        ),
        ("Cred=a,SignedHeaders=host,Signature=0", "missing Credential."),
        (f"{CREDENTIAL},Headers=host,Signature=0", "missing SignedHeaders."),
        (f"{CREDENTIAL},SignedHeaders=host,Signature=", "missing Signature."),
        ("Credential=a/b,SignedHeaders=host,Signature=0", EXPECTING),
        (f"Credential=/{SCOPE},SignedHeaders=host,Signature=0", EXPECTING),
        (
            "Credential=a/2013/r/s3/aws4_request,SignedHeaders=host,Signature=0",
            'incorrect date format "2013". This date in the credential must be in the format '
            '"yyyyMMdd".',
        ),
        (
            f"Credential=a/20130524/{'r' * 129}/s3/aws4_request,SignedHeaders=host,Signature=0",
            "incorrect region. It has more than 128 characters.",
        ),
        (
            "Credential=a/20130524/r/ec2/aws4_request,SignedHeaders=host,Signature=0",
            'incorrect service "ec2". This endpoint belongs to "s3".',
        ),
        (
            "Credential=a/20130524/r/s3/aws5_request,SignedHeaders=host,Signature=0",
            'incorrect terminal "aws5_request". This endpoint uses "aws4_request".',
        ),
    ],
)
def test_malformed_authorization(rest: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_authorization(f"AWS4-HMAC-SHA256 {rest}")
    assert caught.value.code == "AuthorizationHeaderMalformed"
    assert caught.value.message == MALFORMED + message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("AWS4-HMAC-SHA1 a=b", "Unsupported Authorization Type"),
        ("aws4-hmac-sha256 a=b", "Unsupported Authorization Type"),
        (
            "nonsense",
            "Authorization header is invalid -- one and only one ' ' (space) required.",
        ),
    ],
)
def test_other_authorization_types(value: str, message: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_authorization(value)
    assert caught.value.code == "InvalidArgument"
    assert caught.value.message == message
    assert caught.value.fields == {"ArgumentName": "Authorization", "ArgumentValue": value}
