"""What a request tells to the conditions of a policy, by the names that AWS has for it. Pure.

Nothing is computed before a key is asked for: most requests are decided without any. What bucket
and object tell is added by ``s3front.authz.access``, and who asks is in ``principal_keys``.

Rules:

1. A key is there when the request says it, and as it says it: a parameter that is empty is there,
   one that is absent is not, whatever it would count as.
2. Headers that stood in a presigned query, and the fields of a form, count as headers.
3. What the body of a request says is known once it has been read. Who asks for such a key before
   is told so by ``BodyUnreadError``; ``with_request_tags`` and ``with_said`` hand it in.
4. The source of a copy is one text, however it is written: the bucket, a slash and the key, neither
   encoded nor with a slash before them or a version behind.

Sources: Service authorization reference, "Condition keys for Amazon S3"; Amazon S3 API reference,
"Amazon S3 Signature Version 4 authentication specific policy keys"; IAM user guide, "AWS global
condition context keys".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from s3front.auth.identity import Principal
from s3front.auth.sigv4_claim import parse_time
from s3front.authz.principal_keys import of_principal
from s3front.port.request import Request
from s3front.port.target import decode
from s3front.port.xml import parse
from s3front.s3_errors import S3Error
from shared.records.derived import derived
from shared.records.times import from_iso, now, to_iso

Values = tuple[str, ...]

REQUEST_TAGS: Final = frozenset(
    ("aws:requesttag", "aws:tagkeys", "s3:requestobjecttag", "s3:requestobjecttagkeys")
)
"""Keys of the tags of a request, without the names of tags."""

LEGAL_HOLD: Final = "s3:object-lock-legal-hold"
LOCATION: Final = "s3:locationconstraint"
MODE: Final = "s3:object-lock-mode"
UNTIL: Final = "s3:object-lock-retain-until-date"
REMAINING: Final = "s3:object-lock-remaining-retention-days"
"""Days that a retention lasts, of the date of ``UNTIL``."""

_HEADER_PREFIX: Final = "s3:x-amz-"
"""Of keys that are headers by their own names."""

_TAG_PREFIXES: Final = frozenset(("s3:requestobjecttag", "aws:requesttag"))
_DAY: Final = timedelta(days=1)
_VERSION: Final = "?versionId="
_GRANT: Final = "x-amz-grant-"


class BodyUnreadError(Exception):
    """A policy asks for what the body of a request says, or what the upload said that it is of, and
    that has not been read."""


class ConditionKeys(msgspec.Struct, frozen=True, dict=True):
    """Of one request; ``query`` has its decoded parameters. ``named`` takes their place where they
    tell which object is meant, of one that the query does not name. ``said`` is what the body says,
    by keys in lower case, ``tags`` the tags in it; ``unread`` are the keys that it may tell, in
    lower case and without the names of tags, while it has not been read. ``is_form``: its headers
    are the fields of a form. ``clock`` gives the time."""

    request: Request
    query: Mapping[str, str]
    principal: Principal
    named: Mapping[str, str] | None = None
    said: Mapping[str, Values] = msgspec.field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    unread: frozenset[str] = frozenset()
    is_form: bool = False
    clock: Callable[[], datetime] = now

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS."""
        return self.request.secure

    def of_version(self, version_id: str | None) -> ConditionKeys:
        """The same of another object, of which the request names this version, or none."""
        named = {} if version_id is None else {"versionId": version_id}
        return msgspec.structs.replace(self, named=named, unread=frozenset())

    def with_request_tags(self, tags: Mapping[str, str]) -> ConditionKeys:
        """The same of a request whose body has these tags."""
        return msgspec.structs.replace(self, tags=tags, unread=frozenset())

    def with_said(self, said: Mapping[str, str]) -> ConditionKeys:
        """The same of a request whose body says this, by keys in lower case, and nothing else."""
        values = {key: (value,) for key, value in said.items()}
        return msgspec.structs.replace(self, said=values, unread=frozenset())

    def values(self, key: str) -> Sequence[str] | None:
        """What the request says of a key, in any case but for the names of tags; None: nothing.
        Raises ``BodyUnreadError``."""
        folded = key.lower()
        if self.unread and folded.partition("/")[0] in self.unread:
            raise BodyUnreadError(key)
        said = self.said.get(folded)
        if said is not None:
            return said
        reader = _READERS.get(folded)
        if reader is not None:
            return reader(self)
        if folded.startswith(_HEADER_PREFIX):
            return self.header(folded[3:])
        prefix, slash, tag = key.partition("/")
        if slash and prefix.lower() in _TAG_PREFIXES:
            return _one(self.request_tags.get(tag))
        return of_principal(self.principal, key)

    def header(self, name: str) -> Values | None:
        """A header as operations take it: the first of its name, of grants all of them."""
        headers = self.request.headers
        if name.startswith(_GRANT):
            return (",".join(headers.getall(name)),) if name in headers else None
        return _one(headers.get(name))

    @derived
    def request_tags(self) -> Mapping[str, str]:
        """The tags of what is uploaded, in the header or in the field of a form, or of the body.
        What is no set of tags has none: the request is refused for it."""
        if self.tags is not None:
            return self.tags
        headers = self.request.headers
        if not self.is_form:
            return dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))
        field = headers.get("tagging")
        if not field:
            return {}
        try:
            tree = parse(field.encode(), "Tagging")
        except S3Error:
            return {}
        found = tree.iter("Tag")
        return {tag.findtext("Key", ""): tag.findtext("Value", "") for tag in found}

    @property
    def _by_header(self) -> bool:
        return not self.is_form and "authorization" in self.request.headers

    @property
    def _by_query(self) -> bool:
        return not self.is_form and ("X-Amz-Signature" in self.query or "Signature" in self.query)

    def auth_type(self) -> str | None:
        """How the request is signed; None: not at all."""
        if self.principal.is_anonymous:
            return None
        if self._by_header:
            return "REST-HEADER"
        return "REST-QUERY-STRING" if self._by_query else "POST"

    def signature_version(self) -> str | None:
        """``AWS`` of Version 2."""
        if self.principal.is_anonymous:
            return None
        headers = self.request.headers
        if self._by_header:
            version_2 = headers["authorization"].startswith("AWS ")
        elif self._by_query:
            version_2 = "X-Amz-Signature" not in self.query
        else:
            version_2 = "x-amz-algorithm" not in headers
        return "AWS" if version_2 else "AWS4-HMAC-SHA256"

    def signature_age(self) -> str | None:
        """How long ago it was signed, in ms; None where that is not said, as in a URL of Version 2,
        which only says when it ends."""
        if self.principal.is_anonymous:
            return None
        headers = self.request.headers
        if self._by_query:
            text = self.query.get("X-Amz-Date", "")
        else:
            text = headers.get("x-amz-date") or headers.get("date") or ""
        signed = parse_time(text)
        if signed is None:
            return None
        return str(max(0, (self.clock() - signed) // timedelta(milliseconds=1)))

    def tls_version(self) -> str | None:
        """The number of the protocol's version: ``1.3``."""
        found = self.request.tls_version
        return None if found is None else {"TLSv1": "1.0"}.get(found, found.removeprefix("TLSv"))

    def content_sha256(self) -> str | None:
        """The digest of the body as it is signed; of a presigned URL, that it is not."""
        found = self.request.headers.get("x-amz-content-sha256")
        if found is None and "X-Amz-Signature" in self.query:
            return self.query.get("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
        return found

    def copy_source(self) -> str | None:
        """``bucket/key``."""
        text = self.request.headers.get("x-amz-copy-source")
        if text is None:
            return None
        path = text.partition(_VERSION)[0].replace("+", " ")
        try:
            return decode(path).removeprefix("/")
        except S3Error:  # for which the request is refused
            return path

    def retention_days(self) -> str | None:
        """How many days a retention lasts from now on, one that has begun included."""
        found = self.said.get(UNTIL) or self.header("x-amz-object-lock-retain-until-date")
        if not found:
            return None
        try:
            until = from_iso(found[0])
        except ValueError:
            return None
        return str(math.ceil((until - self.clock()) / _DAY))

    def parameter(self, name: str) -> Values | None:
        """A parameter of the query that tells what is meant."""
        return _one((self.query if self.named is None else self.named).get(name))

    def creates(self) -> str:
        """Whether an upload makes an object: its parts do not, nor its beginning."""
        is_part = self.request.method == "PUT" and "uploadId" in self.query
        return "false" if is_part or "uploads" in self.query else "true"


def keys_of_call(request: Request, query: Mapping[str, str], principal: Principal) -> ConditionKeys:
    """The keys of a request that is about no object: a header with tags, which any request may
    have, gives none to what it makes."""
    return ConditionKeys(request, query, principal, tags={})


Reader = Callable[[ConditionKeys], Values | None]


def _one(value: str | None) -> Values | None:
    return None if value is None else (value,)


def _of(read: Callable[[ConditionKeys], str | None]) -> Reader:
    return lambda keys: _one(read(keys))


def _header(name: str) -> Reader:
    return lambda keys: keys.header(name)


def _parameter(name: str) -> Reader:
    return lambda keys: keys.parameter(name)


def _tag_keys(keys: ConditionKeys) -> Values | None:
    return tuple(keys.request_tags) or None


_READERS: Final[Mapping[str, Reader]] = {
    "aws:currenttime": lambda keys: (to_iso(keys.clock()),),
    "aws:epochtime": lambda keys: (str(int(keys.clock().timestamp())),),
    "aws:referer": _header("referer"),
    "aws:securetransport": lambda keys: ("true" if keys.request.secure else "false",),
    "aws:sourceip": lambda keys: _one(keys.request.peer or None),
    "aws:tagkeys": _tag_keys,
    "aws:useragent": _header("user-agent"),
    "s3:authtype": _of(ConditionKeys.auth_type),
    "s3:delimiter": _parameter("delimiter"),
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:max-keys": _parameter("max-keys"),
    LEGAL_HOLD: _header("x-amz-object-lock-legal-hold"),
    MODE: _header("x-amz-object-lock-mode"),
    REMAINING: _of(ConditionKeys.retention_days),
    UNTIL: _header("x-amz-object-lock-retain-until-date"),
    "s3:objectcreationoperation": _of(ConditionKeys.creates),
    "s3:objlocationconstraint": _header("x-amz-meta-scal-location-constraint"),
    "s3:prefix": _parameter("prefix"),
    "s3:requestobjecttagkeys": _tag_keys,
    "s3:signatureage": _of(ConditionKeys.signature_age),
    "s3:signatureversion": _of(ConditionKeys.signature_version),
    "s3:tlsversion": _of(ConditionKeys.tls_version),
    "s3:versionid": _parameter("versionId"),
    "s3:x-amz-content-sha256": _of(ConditionKeys.content_sha256),
    "s3:x-amz-copy-source": _of(ConditionKeys.copy_source),
}
"""By the names of keys in lower case."""

KEYS: Final = frozenset(_READERS)
"""Those that are neither headers by their own names nor about who asks, in lower case."""
