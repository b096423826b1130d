"""AWS's limits of requests, just inside and just outside, and what is said about the latter.

Each row asks one operation. What is inside succeeds, and botocore understands every word; what is
outside is refused with exactly these members of an error document, and changes nothing. Limits of
uploads by parts are in test_upload_limits, those that need a certain bucket or object beside the
operation that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from shared import limits
from tests.api.refusals import (
    LARGEST,
    MALFORMED_XML,
    Refusal,
    answer_to_size,
    argument,
    assert_refused,
    no_integer,
    not_between,
)
from tests.api.support import md5_base64, new_name
from tests.api.understood import assert_understood
from tests.raw_http import Response, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"0123456789"


@dataclass(frozen=True)
class Ask:
    """How an operation is asked: ``{bucket}`` is put into the target and the headers."""

    operation: str
    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        said = [self.operation, self.target.replace("{bucket}", ""), *self.headers.values()]
        text = ascii(" ".join([*said, self.body.decode()]))[1:-1]
        return text if len(text) < 90 else f"{text[:70]}...{text[-10:]}"


def too_long_a_key(size: int) -> Refusal:
    fields = {"Size": str(size), "MaxSizeAllowed": "1024"}
    return Refusal("KeyTooLongError", "Your key is too long", fields)


def make_bucket(front: Front) -> str:
    bucket = new_name()
    assert call(front, "PUT", f"/{bucket}").status == 200
    assert call(front, "PUT", f"/{bucket}/key", BODY).status == 200
    return bucket


@pytest.fixture(scope="module")
def filled(front: Front) -> str:
    """A bucket with an object, ``key``."""
    return make_bucket(front)


@pytest.fixture(scope="module")
def untouched(front: Front) -> Iterator[str]:
    """Such a bucket for what is refused: at the end it is as it was."""
    bucket = make_bucket(front)
    before = call(front, "GET", f"/{bucket}?versions").body
    yield bucket
    assert call(front, "GET", f"/{bucket}?versions").body == before
    assert call(front, "GET", f"/{bucket}?uploads").xml.find("Upload") is None


def send(front: Front, bucket: str, ask: Ask) -> Response:
    headers = {name: value.format(bucket=bucket) for name, value in ask.headers.items()}
    return call(front, ask.method, ask.target.format(bucket=bucket), ask.body, headers)


# --- Counts -------------------------------------------------------------------------------------

COUNTS = [
    ("ListObjects", "?", "max-keys", "maxKeys", "MaxKeys"),
    ("ListObjectsV2", "?list-type=2&", "max-keys", "maxKeys", "MaxKeys"),
    ("ListObjectVersions", "?versions&", "max-keys", "maxKeys", "MaxKeys"),
    ("ListMultipartUploads", "?uploads&", "max-uploads", "max-uploads", "MaxUploads"),
]
"""Of a page: parameter, what errors call it when it is out of range, and what the reply does."""


@pytest.mark.parametrize(("sent", "said"), [(0, 0), (1, 1), (1000, 1000), (1001, 1000)])
@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count[0])
def test_a_page_has_at_most_a_thousand_rows(
    front: Front, filled: str, count: tuple[str, ...], sent: int, said: int
) -> None:
    operation, query, parameter, _, member = count
    response = call(front, "GET", f"/{filled}{query}{parameter}={sent}")
    assert response.xml.findtext(member) == str(said)
    assert_understood(operation, response)


@pytest.mark.parametrize("value", [str(LARGEST), str(LARGEST + 1), "-1", "x", "1.5"])
@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count[0])
def test_the_count_of_a_page_is_an_integer(
    front: Front, filled: str, count: tuple[str, ...], value: str
) -> None:
    _, query, parameter, argument_name, _ = count
    response = call(front, "GET", f"/{filled}{query}{parameter}={value}")
    if value == str(LARGEST):
        assert response.status == 200
    elif value == "-1":
        assert_refused(response, not_between(argument_name, value, 0))
    else:
        assert_refused(response, no_integer(parameter, value))


# --- Rows ---------------------------------------------------------------------------------------

INSIDE: list[Ask] = []
OUTSIDE: list[tuple[Ask, Refusal]] = []


def attributes(name: str, value: str) -> Ask:
    headers = {"x-amz-object-attributes": "ETag", name: value}
    return Ask("GetObjectAttributes", "GET", "/{bucket}/key?attributes", headers)


for header in ("x-amz-max-parts", "x-amz-part-number-marker"):
    INSIDE += [attributes(header, value) for value in ("0", "10001", str(LARGEST))]
    OUTSIDE += [
        (attributes(header, "-1"), not_between(header, "-1", 0)),
        (attributes(header, "x"), no_integer(header, "x")),
        (attributes(header, str(LARGEST + 1)), no_integer(header, str(LARGEST + 1))),
    ]


# Buckets of a page: unlike any other count, one that is too large is refused.
BUCKETS = "max-buckets"
INSIDE += [Ask("ListBuckets", "GET", f"/?{BUCKETS}={count}") for count in (1, 10_000)]
OUTSIDE += [
    *(
        (Ask("ListBuckets", "GET", f"/?{BUCKETS}={n}"), not_between(BUCKETS, n, 1, 10_000))
        for n in ("0", "-1", "10001")
    ),
    (Ask("ListBuckets", "GET", f"/?{BUCKETS}=x"), no_integer(BUCKETS, "x")),
]


# Keys. The longest are in ODD_KEYS, with which every operation on objects is tested.
KEY_OPERATIONS = [
    ("PutObject", "PUT", ""),
    ("GetObject", "GET", ""),
    ("HeadObject", "HEAD", ""),
    ("DeleteObject", "DELETE", ""),
    ("GetObjectAttributes", "GET", "?attributes"),
    ("GetObjectTagging", "GET", "?tagging"),
    ("DeleteObjectTagging", "DELETE", "?tagging"),
    ("GetObjectRetention", "GET", "?retention"),
    ("GetObjectLegalHold", "GET", "?legal-hold"),
    ("RestoreObject", "POST", "?restore"),
    ("CreateMultipartUpload", "POST", "?uploads"),
    ("ListParts", "GET", "?uploadId=x"),
]
TOO_LONG_KEYS = [("k" * 1025, 1025), ("%C3%BC" * 512 + "k", 1025), ("%F0%9F%98%80" * 257, 1028)]

for key, size in TOO_LONG_KEYS:
    OUTSIDE += [
        (Ask(operation, method, f"/{{bucket}}/{key}{query}"), too_long_a_key(size))
        for operation, method, query in KEY_OPERATIONS
    ]
    for operation, query, header in (
        ("CopyObject", "", "x-amz-copy-source"),
        ("RenameObject", "?renameObject", "x-amz-rename-source"),
    ):
        OUTSIDE += [
            (Ask(operation, "PUT", f"/{{bucket}}/{to}{query}", {header: source}), refused)
            for to, source, refused in (
                (key, "{bucket}/key", too_long_a_key(size)),
                ("new", f"{{bucket}}/{key}", too_long_a_key(size)),
            )
        ]


# User metadata: the names without their prefix, and the values, in UTF-8.
def metadata(operation: str, **values: str) -> Ask:
    headers = {f"x-amz-meta-{name}": text for name, text in values.items()}
    if operation == "CreateMultipartUpload":
        return Ask(operation, "POST", "/{bucket}/upload?uploads", headers)
    if operation == "CopyObject":
        headers |= {"x-amz-copy-source": "{bucket}/key", "x-amz-metadata-directive": "REPLACE"}
    return Ask(operation, "PUT", "/{bucket}/new", headers, b"" if "Copy" in operation else BODY)


for operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
    INSIDE += [metadata(operation, a="v" * 2047), metadata(operation, name="ü" * 1022)]
    OUTSIDE += [
        (
            metadata(operation, **values),
            Refusal(
                "MetadataTooLarge",
                "Your metadata headers exceed the maximum allowed metadata size",
                {"Size": str(size), "MaxSizeAllowed": "2048"},
            ),
        )
        for values, size in (
            ({"a": "v" * 2048}, 2049),
            ({"name": "ü" * 1022 + "v"}, 2049),
            ({"a": "v" * 1023, "b": "v" * 1024}, 2049),
        )
    ]


# Where a website redirects to.
def redirect(operation: str, location: str) -> Ask:
    headers = {"x-amz-website-redirect-location": location}
    if operation == "CreateMultipartUpload":
        return Ask(operation, "POST", "/{bucket}/upload?uploads", headers)
    if operation == "CopyObject":
        headers["x-amz-copy-source"] = "{bucket}/key"
        return Ask(operation, "PUT", "/{bucket}/new", headers)
    return Ask(operation, "PUT", "/{bucket}/new", headers, BODY)


REDIRECT_FORM = (
    "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."
)
REDIRECT_LENGTH = "The length of website redirect location cannot exceed 2,048 characters."
for operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
    INSIDE += [
        redirect(operation, location)
        for location in ("/", "http://a", "https://a", "/" + "a" * 2047)
    ]
    OUTSIDE += [
        (redirect(operation, location), Refusal("InvalidRedirectLocation", message))
        for location, message in (
            ("a", REDIRECT_FORM),
            ("ftp://a", REDIRECT_FORM),
            ("HTTP://a", REDIRECT_FORM),
            ("/" + "a" * 2048, REDIRECT_LENGTH),
        )
    ]


# The account that a bucket is expected to belong to.
OWNERS = [
    Ask("GetObject", "GET", "/{bucket}/key", {"x-amz-expected-bucket-owner": "{owner}"}),
    Ask("PutObject", "PUT", "/{bucket}/new", {"x-amz-expected-bucket-owner": "{owner}"}, BODY),
    Ask(
        "CopyObject",
        "PUT",
        "/{bucket}/new",
        {
            "x-amz-copy-source": "{bucket}/key",
            "x-amz-source-expected-bucket-owner": "{owner}",
        },
    ),
]
for ask in OWNERS:
    for owner in ("", "1", "99999999999", "9999999999999", "99999999999x"):
        filled_in = {name: value.replace("{owner}", owner) for name, value in ask.headers.items()}
        refusal = Refusal(
            "InvalidBucketOwnerAWSAccountID",
            "The value of the expected bucket owner parameter must be an AWS Account ID... "
            f"[{owner}]",
        )
        OUTSIDE.append((replace(ask, headers=filled_in), refusal))


# The source of a copy or a renaming.
def source(text: str) -> Ask:
    return Ask("CopyObject", "PUT", "/{bucket}/new", {"x-amz-copy-source": text})


SOURCE_FORM = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
SOURCE_ENCODING = "Invalid copy source encoding"
INSIDE += [source(text) for text in ("{bucket}/key", "/{bucket}/key", "{bucket}%2Fk%65y")]
OUTSIDE += [
    *(
        (source(text), argument("x-amz-copy-source", text, message))
        for text, message in (
            ("", SOURCE_FORM),
            ("/", SOURCE_FORM),
            ("bucket", SOURCE_FORM),
            ("bucket/", SOURCE_FORM),
            ("Bucket/key", "Invalid copy source bucket name"),
            ("//key", "Invalid copy source bucket name"),
            ("arn:aws:s3:a:b:accesspoint/c/object/d", "Invalid copy source bucket name"),
            ("bucket/%ff", SOURCE_ENCODING),
            ("bucket/%zz", SOURCE_ENCODING),
            ("bucket/100%", SOURCE_ENCODING),
        )
    ),
    (
        source("{bucket}/key?versionId="),
        argument("versionId", "", "Version id cannot be the empty string"),
    ),
    (
        source("{bucket}/key?versionId=x"),
        argument("versionId", "x", "Invalid version id specified"),
    ),
    *(
        (
            Ask("RenameObject", "PUT", "/{bucket}/new?renameObject", {"x-amz-rename-source": text}),
            argument("x-amz-rename-source", text, message),
        )
        for text, message in (
            ("", SOURCE_FORM.replace("Copy", "Rename")),
            ("Bucket/key", "Invalid rename source bucket name"),
            ("bucket/%ff", "Invalid rename source encoding"),
            ("bucket/100%", "Invalid rename source encoding"),
        )
    ),
]


# Documents that are not there, and digests that they need.
NO_BODY = Refusal("MissingRequestBodyError", "Request Body is empty")
NO_DIGEST = Refusal(
    "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
)
for operation, method, target in (
    ("PutObjectLockConfiguration", "PUT", "/{bucket}?object-lock"),
    ("DeleteObjects", "POST", "/{bucket}?delete"),
):
    empty = {"Content-MD5": md5_base64(b"")}
    OUTSIDE += [
        (Ask(operation, method, target), NO_BODY),
        (Ask(operation, method, target, empty), NO_BODY),
        (Ask(operation, method, target, body=b"<Any/>"), NO_DIGEST),
    ]
# They need a document, and no digest.
OUTSIDE.append((Ask("PutBucketVersioning", "PUT", "/{bucket}?versioning"), NO_BODY))
OUTSIDE.append((Ask("PutObjectTagging", "PUT", "/{bucket}/key?tagging"), NO_BODY))


# What does not go together.
PART_ALONE = argument(
    "partNumber", "1", "This operation does not accept partNumber without uploadId"
)
COPY = {"x-amz-copy-source": "bucket/key"}
NO_COPY = argument(
    "x-amz-copy-source",
    "bucket/key",
    "You can only specify a copy source header for copy requests.",
)
OUTSIDE += [
    (Ask("UploadPart", "PUT", "/{bucket}/new?partNumber=1", body=BODY), PART_ALONE),
    (Ask("UploadPartCopy", "PUT", "/{bucket}/new?partNumber=1", COPY), PART_ALONE),
    (Ask("PutObjectTagging", "PUT", "/{bucket}/key?tagging", COPY), NO_COPY),
    (Ask("RenameObject", "PUT", "/{bucket}/new?renameObject", COPY), NO_COPY),
    (
        Ask("ListMultipartUploads", "GET", "/{bucket}/key?uploads"),
        Refusal("InvalidRequest", "Key is not expected for the GET method ?uploads subresource"),
    ),
    (
        Ask("ListObjectVersions", "GET", "/{bucket}/key?versions"),
        Refusal(
            "InvalidRequest",
            "There is no such thing as the ?versions sub-resource for a key",
        ),
    ),
]


# What would be ignored in silence.
def not_implemented(name: str, feature: str) -> Refusal:
    message = f"A header you provided implies functionality that is not implemented: {feature}"
    return Refusal("NotImplemented", message, {"Header": name}, 501)


NAMESPACE = "x-amz-bucket-namespace"
SOURCE_KEY = "x-amz-copy-source-server-side-encryption-customer-algorithm"
INSIDE.append(Ask("CreateBucket", "PUT", "/{bucket}", {NAMESPACE: "global"}))
OUTSIDE += [
    (
        Ask("CreateBucket", "PUT", "/{bucket}-an", {NAMESPACE: "account-regional"}),
        not_implemented(NAMESPACE, f"{NAMESPACE}: account-regional"),
    ),
    (
        Ask("CreateBucket", "PUT", "/{bucket}-an", {NAMESPACE: "local"}),
        argument(NAMESPACE, "local", "Invalid Argument"),
    ),
    (
        Ask("PutObject", "PUT", "/{bucket}/new", {SOURCE_KEY: "AES256"}),
        not_implemented(SOURCE_KEY, SOURCE_KEY),
    ),
    (
        Ask("ListBuckets", "GET", "/?bucket-region=us-east-1"),
        not_implemented("bucket-region", "bucket-region"),
    ),
]


@pytest.mark.parametrize("ask", INSIDE, ids=str)
def test_inside(front: Front, filled: str, ask: Ask) -> None:
    response = send(front, filled, ask)
    assert response.status in (200, 204), response.body
    assert_understood(ask.operation, response)


@pytest.mark.parametrize(("ask", "expected"), OUTSIDE, ids=str)
def test_outside(front: Front, untouched: str, ask: Ask, expected: Refusal) -> None:
    assert_refused(send(front, untouched, ask), expected)


# --- Sizes, as they are declared ----------------------------------------------------------------

MIB = 1024 * 1024
DOCUMENTS = [
    ("PUT", "/{bucket}-new", MIB, "<CreateBucketConfiguration/>"),
    (
        "PUT",
        "/{bucket}?versioning",
        MIB,
        "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    ),
    (
        "PUT",
        "/{bucket}?object-lock",
        MIB,
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
        "</ObjectLockConfiguration>",
    ),
    ("PUT", "/{bucket}/key?tagging", MIB, "<Tagging><TagSet/></Tagging>"),
    ("POST", "/{bucket}/key?restore", MIB, "<RestoreRequest><Days>1</Days></RestoreRequest>"),
    ("POST", "/{bucket}?delete", 2 * MIB, "<Delete><Object><Key>absent</Key></Object></Delete>"),
    (
        "POST",
        "/{bucket}/key?uploadId=x",
        4 * MIB,
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
        "</CompleteMultipartUpload>",
    ),
]
"""Operations that read one: its largest size, and one that is well formed."""


@pytest.mark.parametrize(("method", "target", "most", "_document"), DOCUMENTS)
def test_the_size_of_a_document(
    front: Front, filled: str, method: str, target: str, most: int, _document: str
) -> None:
    place = target.format(bucket=filled)
    assert answer_to_size(front, method, place, most) is None
    refused = answer_to_size(front, method, place, most + 1)
    assert refused is not None
    fields = {"MaxMessageLengthBytes": str(most)}
    expected = Refusal("MaxMessageLengthExceeded", "Your request was too big.", fields)
    assert_refused(refused, expected)


@pytest.mark.parametrize(("method", "target", "_most", "document"), DOCUMENTS)
def test_a_document_that_declares_entities(
    front: Front, filled: str, method: str, target: str, _most: int, document: str
) -> None:
    place = target.format(bucket=filled)
    for declared in ("", '<!DOCTYPE a [<!ENTITY b "c">]>', '<!DOCTYPE a SYSTEM "file:///">'):
        body = (declared + document).encode()
        response = call(front, method, place, body, {"Content-MD5": md5_base64(body)})
        if declared:
            assert_refused(response, MALFORMED_XML)
        else:
            assert response.status == 200 or response.error["Code"] != "MalformedXML"


@pytest.mark.parametrize("length", ["-1", "ten", "1.0", "+1", "9" * 30])
def test_a_length_that_is_none(front: Front, filled: str, length: str) -> None:
    expected = Refusal("BadRequest", "An error occurred when parsing the HTTP request.")
    headers = {"Content-Length": length, "Expect": "100-continue"}
    assert_refused(call(front, "PUT", f"/{filled}/new", b"", headers), expected)


def test_the_size_of_an_upload(front: Front, filled: str) -> None:
    most = limits.OBJECT_BYTES_MAX
    assert answer_to_size(front, "PUT", f"/{filled}/new", most) is None
    refused = answer_to_size(front, "PUT", f"/{filled}/new", most + 1)
    assert refused is not None
    fields = {"ProposedSize": str(most + 1), "MaxSizeAllowed": str(most)}
    message = "Your proposed upload exceeds the maximum allowed size"
    assert_refused(refused, Refusal("EntityTooLarge", message, fields))
