"""What requests of the S3 port are about: right in most things, and wrong in some.

A ``Shape`` is a request before it is signed and framed (``tests.fuzz.s3_signing``). Its parts come
from the operations of S3, from everything that servers answered so far (``World``), and from
``tests.fuzz.odd``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from s3front.bodies.checksums import Algorithm
from s3front.port.sub_resources import SUB_RESOURCES
from tests.api.support import NO_VERSION, checksum_of, md5_base64
from tests.fuzz import odd
from tests.fuzz.documents import DOCUMENTS
from tests.raw_http import Response

FURNISHED: Final = ("a", "b/c", "b/d", "ä")
KEYS: Final = (*4 * FURNISHED, "large", "parts", "a%20b", "x" * 1024, "deep/" * 40)
_ODD_RATE = 0.07
_KEPT = 40
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")


@dataclass
class World:
    """What requests may name: buckets, keys, and the IDs that servers gave out lately."""

    buckets: Sequence[str]
    foreign_bucket: str
    versions: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Each with the path of its object."""
    uploads: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    etags: deque[str] = field(default_factory=lambda: deque(['"0"'], _KEPT))

    def learn(self, path: str, response: Response) -> None:
        """Keep what the response to a request tells of its object."""
        headers = response.headers
        if version := headers.get("x-amz-version-id"):
            self.versions.append((path, version))
        if etag := headers.get("ETag"):
            self.etags.append(etag)
        if found := _UPLOAD_ID.search(response.body):
            self.uploads.append((path, found[1].decode()))

    def version(self, chance: Random) -> str:
        known = [version for _, version in list(self.versions)]
        return chance.choice([*known, "null", NO_VERSION])

    def upload(self, chance: Random) -> str:
        return chance.choice([*(upload for _, upload in list(self.uploads)), "0" * 32])


@dataclass
class Shape:
    """A request without its signature. ``path`` and ``query`` are as they go over the wire."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes


_Value = Callable[[Random, World], str]


def _of(*likely: str) -> _Value:
    return lambda chance, _world: odd.pick(chance, likely, odd.text, _ODD_RATE)


def _number(chance: Random, _world: World) -> str:
    return odd.pick(chance, ("0", "1", "2", "3", "1000"), lambda c: c.choice(odd.NUMBERS), 0.3)


def _date(chance: Random, _world: World) -> str:
    return odd.pick(chance, odd.DATES, odd.text, _ODD_RATE)


def _etag(chance: Random, world: World) -> str:
    return odd.pick(chance, [*world.etags, "*"], odd.text, _ODD_RATE)


def _source(chance: Random, world: World) -> str:
    bucket = odd.pick(chance, [*world.buckets, world.foreign_bucket], odd.escaped, _ODD_RATE)
    key = odd.pick(chance, KEYS, odd.escaped, _ODD_RATE)
    version = f"?versionId={world.version(chance)}" if chance.random() < 0.2 else ""
    return chance.choice(("/", "")) + f"{bucket}/{key.replace('ä', '%C3%A4')}{version}"


def _version(chance: Random, world: World) -> str:
    return odd.pick(chance, (world.version(chance),), odd.text, _ODD_RATE)


def _upload(chance: Random, world: World) -> str:
    return odd.pick(chance, (world.upload(chance),), odd.text, _ODD_RATE)


_ANY = _of("a", "b/", "")
_OWNER_IDS = _of("123456789012", "123456789013")

PARAMETERS: Final[Mapping[str, _Value]] = {
    **dict.fromkeys(("prefix", "delimiter", "marker", "start-after", "key-marker"), _ANY),
    **dict.fromkeys(("max-keys", "max-parts", "max-uploads", "max-buckets"), _number),
    **dict.fromkeys(("partNumber", "part-number-marker"), _number),
    "continuation-token": _of("YQ==", "YS9i", "", "/w=="),
    "encoding-type": _of("url", ""),
    "fetch-owner": _of("true", "false"),
    "list-type": _of("2", "1"),
    "versionId": _version,
    "version-id-marker": _version,
    "uploadId": _upload,
    "upload-id-marker": _upload,
    "response-content-type": _of("text/plain"),
    "response-content-disposition": _of("attachment"),
    "response-expires": _date,
    "x-id": _of("GetObject", "ListDirectoryBuckets"),
    "bucket-region": _of("us-east-1", "eu-west-1"),
    "x-amz-expected-bucket-owner": _OWNER_IDS,
    "x-amz-checksum-crc32": _of("AAAAAA=="),
    "x-amz-meta-p": _of("b"),
}

_GRANTEES = _of(
    "id=1",
    'emailAddress="sampleaccount2@sampling.com"',
    'uri="http://acs.amazonaws.com/groups/global/AllUsers", id="',
    'uri="nothing',
)

HEADERS: Final[Mapping[str, _Value]] = {
    "Range": lambda chance, _world: odd.pick(chance, odd.RANGES, odd.text, _ODD_RATE),
    "x-amz-copy-source-range": lambda chance, _world: chance.choice(odd.RANGES),
    **dict.fromkeys(("If-Match", "If-None-Match"), _etag),
    **dict.fromkeys(("x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"), _etag),
    **dict.fromkeys(("If-Modified-Since", "If-Unmodified-Since"), _date),
    "x-amz-copy-source-if-modified-since": _date,
    "x-amz-copy-source-if-unmodified-since": _date,
    "x-amz-if-match-last-modified-time": _date,
    "x-amz-if-match-size": _number,
    "x-amz-rename-source-if-match": _etag,
    "x-amz-copy-source": _source,
    "x-amz-rename-source": _source,
    "x-amz-metadata-directive": _of("COPY", "REPLACE"),
    "x-amz-tagging-directive": _of("COPY", "REPLACE"),
    "x-amz-tagging": _of("a=b", "a=b&c=d", "a=", "=b", "a", "a=b&a=c", "%zz=1", "%00=a", "&"),
    **dict.fromkeys(("x-amz-meta-a", "x-amz-meta-", "x-amz-meta-a.b", "X-Amz-Meta-A"), _ANY),
    "Content-Type": _of("text/plain", "application/xml", "multipart/form-data; boundary=x", ""),
    "Content-Encoding": _of("gzip", "aws-chunked", "aws-chunked,gzip", ",", ""),
    **dict.fromkeys(("Content-Disposition", "Content-Language", "Cache-Control"), _ANY),
    "Expires": _date,
    "Content-MD5": _of("1B2M2Y8AsgTpgAmY7PhCfg==", "AAAA"),
    "x-amz-storage-class": _of("STANDARD", "GLACIER", "REDUCED_REDUNDANCY"),
    "x-amz-acl": _of("private", "public-read", "bucket-owner-full-control", "aws-exec-read"),
    **dict.fromkeys(("x-amz-grant-read", "x-amz-grant-full-control"), _GRANTEES),
    "x-amz-object-ownership": _of("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"),
    "x-amz-account-id": _of("123456789012", "1"),
    "x-amz-bucket-object-lock-enabled": _of("true", "false"),
    "x-amz-object-lock-mode": _of("GOVERNANCE", "COMPLIANCE"),
    "x-amz-object-lock-retain-until-date": _date,
    "x-amz-object-lock-legal-hold": _of("ON", "OFF"),
    "x-amz-bypass-governance-retention": _of("true", "false"),
    "x-amz-website-redirect-location": _of("/a", "http://a/", "ftp://a"),
    **{each.header: _of("AAAAAA==", "AAAAAAAAAAA=", "AAAA") for each in Algorithm},
    "x-amz-checksum-algorithm": _of(*(each.value for each in Algorithm)),
    "x-amz-sdk-checksum-algorithm": _of(*(each.value for each in Algorithm)),
    "x-amz-checksum-type": _of("COMPOSITE", "FULL_OBJECT"),
    "x-amz-checksum-mode": _of("ENABLED"),
    "x-amz-trailer": _of("x-amz-checksum-crc32", "a,b"),
    "x-amz-decoded-content-length": _number,
    "x-amz-object-attributes": _of("ETag", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"),
    "x-amz-optional-object-attributes": _of("RestoreStatus"),
    **dict.fromkeys(("x-amz-max-parts", "x-amz-part-number-marker"), _number),
    "x-amz-mp-object-size": _number,
    **dict.fromkeys(
        ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"), _OWNER_IDS
    ),
    "x-amz-request-payer": _of("requester"),
    "x-amz-mfa": _of("serial 123456"),
    "x-amz-server-side-encryption": _of("AES256", "aws:kms"),
    "x-amz-server-side-encryption-aws-kms-key-id": _of("key-1", "0" * 64),
    "x-amz-server-side-encryption-bucket-key-enabled": _of("true", "false"),
    "x-amz-server-side-encryption-context": _of("e30=", "eyJhIjoiYiJ9", "W10="),
    **{
        f"{prefix}-server-side-encryption-customer-{name}": values
        for prefix in ("x-amz", "x-amz-copy-source")
        for name, values in (
            ("algorithm", _of("AES256")),
            ("key", _of("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAA=")),
            ("key-MD5", _of("tP/LI3N87DFaSk0aoqYgzg==", "AAA=")),
        )
    },
    "x-amz-scal-server-side-encryption": _of("AES256", "aws:kms"),
    "x-amz-write-offset-bytes": _number,
    "x-amz-security-token": _of("token"),
    "x-scal-s3-version-id": _version,
    "x-amz-date": _date,
    "Date": _date,
    "X-Forwarded-For": _of("1.2.3.4", "1.2.3.4, ::1"),
    "Expect": _of("100-continue", "200-ok"),
    "Accept-Encoding": _of("identity", "gzip"),
    "Cookie": _ANY,
    "Upgrade": _of("h2c", "websocket"),
    "TE": _of("trailers"),
}


@dataclass(frozen=True)
class _Template:
    """An operation. ``selects`` is the part of the query that tells it from others."""

    method: str
    level: str
    selects: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    document: str = ""
    body: bool = False


_DESCRIBING = (
    *("x-amz-tagging", "x-amz-meta-a", "Content-Type", "Content-Encoding", "Expires"),
    *("x-amz-storage-class", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"),
    *("x-amz-object-lock-legal-hold", "x-amz-website-redirect-location", "Cache-Control"),
    "x-amz-acl",
)
_GRANTING = ("x-amz-acl", "x-amz-grant-read", "x-amz-grant-full-control")
_READING = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Range")
_COPYING = (
    *("x-amz-metadata-directive", "x-amz-tagging-directive", "x-amz-copy-source-if-match"),
    *("x-amz-copy-source-if-none-match", "x-amz-copy-source-if-modified-since"),
    *("x-amz-copy-source-if-unmodified-since",),
)
_PAGE = ("prefix", "delimiter", "max-keys", "encoding-type")
_VERSION = ("versionId",)
_DELETING = ("If-Match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size")
_LOCKING = ("x-amz-bypass-governance-retention", "x-amz-checksum-algorithm")
_ATTRIBUTES = ("x-amz-object-attributes", "x-amz-max-parts", "x-amz-part-number-marker")

_TEMPLATES: Final = (
    _Template("GET", "service", query=("prefix", "max-buckets", "continuation-token")),
    _Template("PUT", "new", headers=(*_GRANTING, "x-amz-bucket-object-lock-enabled")),
    # Of buckets that nobody relies on, as it is others who may write to them then.
    _Template("PUT", "new", ("acl",), headers=_GRANTING),
    _Template("PUT", "new", ("acl",), document="acl"),
    _Template("GET", "bucket", ("acl",)),
    _Template("PUT", "new", ("policy",), document="policy"),
    _Template("GET", "new", ("policy",)),
    _Template("GET", "new", ("policyStatus",)),
    _Template("PUT", "bucket", ("ownershipControls",), document="ownership"),
    _Template("GET", "bucket", ("ownershipControls",)),
    _Template("DELETE", "bucket", ("ownershipControls",)),
    _Template("PUT", "bucket", ("publicAccessBlock",), document="block"),
    _Template("GET", "bucket", ("publicAccessBlock",)),
    _Template("PUT", "object", ("acl",), _VERSION, _GRANTING),
    _Template("PUT", "object", ("acl",), _VERSION, document="acl"),
    _Template("GET", "object", ("acl",), _VERSION),
    _Template("PUT", "new", document="location"),
    _Template("HEAD", "bucket"),
    _Template("DELETE", "new"),
    _Template("GET", "bucket", ("location",)),
    _Template("GET", "bucket", ("versioning",)),
    _Template("PUT", "bucket", ("versioning",), document="versioning"),
    _Template("GET", "bucket", ("object-lock",)),
    _Template("PUT", "locked", ("object-lock",), document="lock"),
    _Template("GET", "bucket", (), (*_PAGE, "marker")),
    _Template("GET", "bucket", ("list-type",), (*_PAGE, "start-after", "continuation-token")),
    _Template("GET", "bucket", ("versions",), (*_PAGE, "key-marker", "version-id-marker")),
    _Template("GET", "bucket", ("uploads",), (*_PAGE, "key-marker", "upload-id-marker")),
    _Template("POST", "bucket", ("delete",), headers=_LOCKING, document="delete"),
    *(2 * (_Template("PUT", "object", (), (), (*_DESCRIBING, *_READING[:2]), body=True),)),
    *(2 * (_Template("GET", "object", (), (*_VERSION, "response-content-type"), _READING),)),
    _Template("GET", "object", ("partNumber",), _VERSION, _READING),
    _Template("HEAD", "object", (), _VERSION, (*_READING, "x-amz-checksum-mode")),
    _Template("GET", "object", ("attributes",), _VERSION, _ATTRIBUTES),
    _Template("DELETE", "object", (), _VERSION, _DELETING),
    _Template("POST", "object", ("uploads",), (), (*_DESCRIBING, "x-amz-checksum-algorithm")),
    _Template("PUT", "object", ("uploadId", "partNumber"), body=True),
    _Template("PUT", "object", ("uploadId", "partNumber"), (), ("x-amz-copy-source", *_COPYING)),
    _Template("GET", "object", ("uploadId",), ("max-parts", "part-number-marker")),
    _Template("POST", "object", ("uploadId",), (), ("If-Match",), document="complete"),
    _Template("DELETE", "object", ("uploadId",)),
    _Template("PUT", "object", (), (), ("x-amz-copy-source", *_COPYING, *_DESCRIBING)),
    _Template("PUT", "object", ("renameObject",), (), ("x-amz-rename-source", *_READING)),
    _Template("POST", "object", ("restore",), _VERSION, document="restore"),
    _Template("GET", "object", ("tagging",), _VERSION),
    _Template("PUT", "object", ("tagging",), _VERSION, document="tagging"),
    _Template("DELETE", "object", ("tagging",), _VERSION),
    _Template("GET", "object", ("retention",), _VERSION),
    _Template("PUT", "locked object", ("retention",), _VERSION, _LOCKING, "retention"),
    _Template("GET", "object", ("legal-hold",), _VERSION),
    _Template("PUT", "locked object", ("legal-hold",), _VERSION, _LOCKING, "hold"),
)
_ALWAYS: Final = frozenset(("x-amz-copy-source", "x-amz-rename-source", "x-amz-object-attributes"))
_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "LOCK")


def shape(chance: Random, world: World) -> Shape:
    """A request of one operation, with some of its parameters and headers, and some of others."""
    template = chance.choice(_TEMPLATES)
    method = template.method if chance.random() < 0.95 else chance.choice(_METHODS)
    names = [*template.selects, *(name for name in template.query if chance.random() < 0.4)]
    if chance.random() < 0.08:
        names += chance.choices([*PARAMETERS, *sorted(SUB_RESOURCES)], k=chance.randrange(1, 4))
    path = _path(chance, world, template.level)
    known = {"uploadId": world.uploads, "versionId": world.versions}
    values: dict[str, str] = {}
    for name in names:
        if known.get(name) and chance.random() < 0.8:
            path, values[name] = chance.choice(list(known[name]))
    query = "&".join(
        f"{name}={values[name]}" if name in values else _parameter(chance, world, name)
        for name in names
    )
    if chance.random() < 0.04:
        query += chance.choice(("&", "&&", "&=", "&=a", "?", "#a")) + odd.escaped(chance)
    chosen = [name for name in template.headers if name in _ALWAYS or chance.random() < 0.25]
    if chance.random() < 0.12:
        chosen += chance.choices(list(HEADERS), k=chance.randrange(1, 4))
    headers = [(name, _as_header(HEADERS[name](chance, world))) for name in chosen]
    body = _body(chance, world, template)
    headers += _digests(chance, template, body)
    return Shape(method, path, query, headers, body)


def _parameter(chance: Random, world: World, name: str) -> str:
    make = PARAMETERS.get(name)
    if make is None:
        return name if chance.random() < 0.8 else f"{name}={odd.escaped(chance)}"
    if chance.random() < 0.06:
        return f"{name}={odd.escaped(chance)}"
    return f"{name}={_escape(make(chance, world))}"


def _escape(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() or byte in b"-._~" else f"%{byte:02X}"
        for byte in text[:3000].encode("utf-8", "surrogateescape")
    )


def _as_header(text: str) -> str:
    """What can stand in a line of a head without ending it."""
    return text.replace("\r", " ").replace("\n", " ")


def _path(chance: Random, world: World, level: str) -> str:
    if level == "service":
        return "/"
    if level == "new":
        made = f"fuzz-{chance.randrange(6)}"
        return f"/{odd.pick(chance, (made,), odd.escaped, _ODD_RATE)}"
    likely = [*world.buckets[-1:]] if level.startswith("locked") else [*world.buckets]
    if chance.random() < 0.05:
        likely = [world.foreign_bucket, "no-such-bucket"]
    path = f"/{odd.pick(chance, likely, odd.escaped, 0.03)}"
    if not level.endswith("object"):
        return path
    key = odd.pick(chance, KEYS, odd.escaped, 0.15)
    return f"{path}/{key if '%' in key else _escape(key).replace('%2F', '/')}"


def _body(chance: Random, world: World, template: _Template) -> bytes:
    if template.document:
        versions = [version for _, version in list(world.versions)]
        document = DOCUMENTS[template.document](chance, versions, list(world.etags))
        return odd.damaged(chance, document) if chance.random() < 0.15 else document
    if template.body or chance.random() < 0.03:
        return odd.blob(chance)
    return b""


def _digests(chance: Random, template: _Template, body: bytes) -> list[tuple[str, str]]:
    """A digest that fits, where one is wanted, and sometimes elsewhere."""
    if not template.document and chance.random() < 0.7:
        return []
    if chance.random() < 0.6:
        return [("Content-MD5", md5_base64(body))]
    algorithm = chance.choice(list(Algorithm))
    return [(algorithm.header, checksum_of(algorithm, body))]
