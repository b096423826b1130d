"""Which operation a request is: one table.

A request is told apart by its method, by what it addresses, and by the sub-resource that its query
names. What S3 has and this table does not is answered with NotImplemented.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from s3front.configurations.acl_headers import ACL_HEADERS
from s3front.context import Context
from s3front.objects.versioning import LATEST, Version
from s3front.port.request import Headers, Reply, Request, names_of
from s3front.port.sub_resources import SUB_RESOURCES
from s3front.port.target import Kind, Target
from s3front.s3_errors import S3Error, not_implemented
from shared.records.bucket import BucketRecord


class Level(Enum):
    """What an operation works on, and so what is read before it is authorised."""

    # Of what it is, in place of its name's: the table is asked for one by each request.
    __hash__ = object.__hash__

    SERVICE = auto()
    NEW_BUCKET = auto()
    """A bucket that need not exist."""
    BUCKET = auto()
    OBJECT = auto()


# Names of the module, as each request asks for them: to look a member of an enumeration up in its
# class takes 900 instructions.
_SERVICE: Final = Level.SERVICE
_BUCKET: Final = Level.BUCKET
_OBJECT: Final = Level.OBJECT
_WEBSITE: Final = Kind.WEBSITE

_WRITES: Final = frozenset(("PUT", "POST", "DELETE"))

WRITE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(ACL_HEADERS, ("s3:PutObjectAcl",)),
    "x-amz-tagging": ("s3:PutObjectTagging",),
    "x-amz-object-lock-mode": ("s3:PutObjectRetention",),
    "x-amz-object-lock-retain-until-date": ("s3:PutObjectRetention",),
    "x-amz-object-lock-legal-hold": ("s3:PutObjectLegalHold",),
}
"""What headers of a new object ask for besides."""

CONDITION_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "if-match": ("s3:GetObject",),
    "x-amz-if-match-last-modified-time": ("s3:GetObject",),
    "x-amz-if-match-size": ("s3:GetObject",),
}
"""What conditions on the object that is replaced ask for: their outcome tells of it (Amazon S3 user
guide, "Add preconditions to S3 operations")."""

Handler = Callable[[Context, Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """``name`` is the S3 API's; it is also what logs and metrics say. ``actions`` are those of IAM
    that its target asks for; none: anybody may ask, and nobody is asked to sign.
    ``version_actions`` take their place when a version is named; none: it cannot be about a version
    that is not the latest, as what makes objects. ``header_actions`` are asked for besides, each by
    a request with that header. ``headers`` and ``parameters`` are what it honours of a request,
    besides what routes it and what every request may say (``s3front.operations.honoured`` says how
    they are written). ``form``: the sender, the key and all else are in a form that is the body.
    ``tells_region``: a reply that refuses it says where the bucket is.

    ``unread``: whether a request with these headers may do without the read before it, given the
    record of its bucket as it was told last. Then its context is ``unread``; what it commits
    requires that the record is still that one (or it reads the bucket with what else it needs), and
    when it is not, or anything is refused, all of it is read and decided again. None: it never may.

    ``with_body``: the bytes of the object are answered, and read with it where they are at hand.

    ``body_keys`` are the condition keys that the body tells, in lower case and without the names of
    tags. Where a policy asks for one, the handler finds itself ``undecided``, and decides once it
    has read the body, before all else (``s3front.operations.body_keys``).

    Actions are those of the Amazon S3 user guide, "Required permissions for Amazon S3 API
    operations"."""

    name: str
    level: Level
    handler: Handler
    actions: tuple[str, ...]
    version_actions: tuple[str, ...] = ()
    header_actions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headers: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    form: bool = False
    tells_region: bool = False
    unread: Callable[[Headers, BucketRecord], bool] | None = None
    with_body: bool = False
    body_keys: frozenset[str] = frozenset()

    def actions_for(self, version: Version, headers: Mapping[str, str]) -> tuple[str, ...]:
        """What a request asks for that names this version and has these headers."""
        actions = self.version_actions if version.is_specific else self.actions
        besides = self.header_actions
        if besides and not headers.keys().isdisjoint(besides):  # most requests have none
            asked = (action for name in besides if name in headers for action in besides[name])
            actions += tuple(dict.fromkeys(asked))
        return actions

    def version(self, target: Target) -> Version:
        """The version that a request names; raises InvalidArgument."""
        text = target.query.get("versionId")
        if text is None or self.level is not _OBJECT:
            return LATEST
        if not self.version_actions:
            raise S3Error(
                "InvalidArgument",
                "This operation does not accept a version-id.",
                {"ArgumentName": "versionId", "ArgumentValue": text},
            )
        return Version.parse(text)


UPLOAD_ID = "uploadId"
"""Names an upload; beside it ``partNumber`` is a parameter, and alone it asks for a part."""

COPY_SOURCE = "x-amz-copy-source"
"""The header that makes a copy of an upload."""

PART_NUMBER = "partNumber"

COPIED, COPIED_PART = "(copy)", "(copied part)"
"""What the table knows copies by, as if they were sub-resources."""

PAGE = "(page)"
"""What it knows all requests to a website by."""

LIST_TYPE = "list-type"
"""Tells the second listing of a bucket from the first; of no meaning anywhere else."""

NAMED_ONES = {
    "analytics": "id",
    "annotation": "annotationName",
    "intelligent-tiering": "id",
    "inventory": "id",
    "metrics": "id",
}
"""Sub-resources of which there may be several, and the parameter that names one."""


def one_of(sub_resource: str) -> str:
    """What the table knows one of several by, as if it was a sub-resource."""
    return f"{sub_resource}&{NAMED_ONES[sub_resource]}"


# What else the table has in the place of sub-resources; a query that names it means nothing.
_NO_SUB_RESOURCES = frozenset((COPIED, COPIED_PART, LIST_TYPE, PAGE))

# Operations of other services that an SDK, given this endpoint, sends as one of ours: only the name
# that it adds tells them apart.
_OTHER_SERVICES = frozenset(("ListDirectoryBuckets",))

# Request headers that ask for what is not there yet, with the values that ask for nothing.
# Ignoring one would store an object otherwise than its owner was told.
_UNIMPLEMENTED_HEADERS: dict[str, frozenset[str]] = {
    "x-amz-acl": frozenset(("private",)),
    "x-amz-bucket-namespace": frozenset(("global",)),
    "x-amz-bucket-object-lock-enabled": frozenset(("false",)),
    "x-amz-object-ownership": frozenset(("BucketOwnerEnforced",)),
    "x-amz-write-offset-bytes": frozenset(),
}
# What the values of such a header may be at all: anything else is the client's error.
_KNOWN_VALUES: dict[str, frozenset[str]] = {
    "x-amz-acl": frozenset(
        (
            "private",
            "public-read",
            "public-read-write",
            "aws-exec-read",
            "authenticated-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
            "log-delivery-write",
        )
    ),
    "x-amz-bucket-namespace": frozenset(("account-regional", "global")),
    "x-amz-bucket-object-lock-enabled": frozenset(("true", "false")),
    "x-amz-object-ownership": frozenset(
        ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
    ),
}
_ENCRYPTION = "x-amz-server-side-encryption"
_CUSTOMER_ALGORITHM = f"{_ENCRYPTION}-customer-algorithm"
_UNIMPLEMENTED_PREFIXES = (
    "x-amz-grant-",
    "x-amz-object-lock-",
    _ENCRYPTION,
    "x-amz-copy-source-server-side-encryption",
    "x-amz-scal-server-side-encryption",
    "x-amz-if-match-",
    "x-scal-s3-version-id",
)
_UNIMPLEMENTED_NAMES = (*_UNIMPLEMENTED_PREFIXES, *_UNIMPLEMENTED_HEADERS, *_KNOWN_VALUES)
# Searched for in all names of a request at once, each of them behind a line break.
_ANY_UNIMPLEMENTED = re.compile(f"\nx-(?:{'|'.join(name[2:] for name in _UNIMPLEMENTED_NAMES)})")


# Listings of a bucket, asked of an object.
_ON_NO_KEY = {
    "uploads": "Key is not expected for the GET method ?uploads subresource",
    "versions": "There is no such thing as the ?versions sub-resource for a key",
}


class Routes:
    """The table, filled once when a process starts."""

    def __init__(self) -> None:
        self._table: dict[tuple[str, Level, str | None], Operation] = {}
        self.sub_resources = SUB_RESOURCES
        """The sub-resources that the table knows: S3's, and those that are routed."""

    def add(self, method: str, operation: Operation, sub_resource: str | None = None) -> None:
        """Route a method, level and sub-resource to an operation. From now on no request that
        names the sub-resource is about the bucket or object itself, whatever its method."""
        level = Level.BUCKET if operation.level is Level.NEW_BUCKET else operation.level
        self._table[method, level, sub_resource] = operation
        if sub_resource is not None and sub_resource not in _NO_SUB_RESOURCES:
            self.sub_resources |= {sub_resource.partition("&")[0]}

    def names(self) -> list[str]:
        """The names of all operations in the table."""
        return sorted({operation.name for operation in self._table.values()})

    def __iter__(self) -> Iterator[Operation]:
        """All operations in the table, each as often as it is routed."""
        return iter(self._table.values())

    def find(self, method: str, target: Target, headers: Headers) -> Operation:
        """The operation of a request; raises NotImplemented, MethodNotAllowed, or what AWS says of
        parameters that do not go together."""
        level = _OBJECT
        if target.bucket is None:
            level = _SERVICE
        elif target.key is None:
            level = _BUCKET
        if method == "OPTIONS" or target.kind is _WEBSITE:
            # A preflight is of the request that is to come: what that selects is nothing to us.
            level = _BUCKET if target.bucket else _SERVICE
            sub_resource = None if method == "OPTIONS" else PAGE
        else:
            sub_resource = self._selected(method, level, target, headers)
        operation = self._table.get((method, level, sub_resource))
        if operation is None:
            raise self._no_operation(method, level, sub_resource)
        if target.query.get("x-id") in _OTHER_SERVICES:
            raise not_implemented(target.query["x-id"])
        if method in _WRITES:
            refuse_unimplemented(headers, operation.headers)
        elif level is _OBJECT:
            _refuse_encryption(headers, operation.headers)
        return operation

    def _no_operation(self, method: str, level: Level, sub_resource: str | None) -> S3Error:
        if method == "GET" and level is Level.OBJECT and sub_resource in _ON_NO_KEY:
            return S3Error("InvalidRequest", _ON_NO_KEY[sub_resource])
        if sub_resource in (None, LIST_TYPE, PAGE):
            fields = {"Method": method, "ResourceType": level.name}
            plain = PAGE if sub_resource == PAGE else None
            known = {each for each, at, name in self._table if at is level and name is plain}
            headers = {"Allow": ", ".join(sorted(known))}  # RFC 9110, section 15.5.6
            return S3Error("MethodNotAllowed", fields=fields, headers=headers)
        levels = {each for _, each, name in self._table if name == sub_resource}
        if level is not Level.OBJECT and levels == {Level.OBJECT}:
            return S3Error("InvalidRequest", "A key must be specified")
        return not_implemented(f"{method} ?{sub_resource}")

    def _selected(self, method: str, level: Level, target: Target, headers: Headers) -> str | None:
        """What it knows a request by besides method and level; raises InvalidArgument."""
        query, sub_resource = target.query, None
        if query:
            sub_resource = next((name for name in query if name in self.sub_resources), None)
            if UPLOAD_ID in query:
                sub_resource = UPLOAD_ID
            if sub_resource is None:
                if level is _BUCKET and LIST_TYPE in query:
                    sub_resource = LIST_TYPE
            elif sub_resource in NAMED_ONES and NAMED_ONES[sub_resource] in query:
                sub_resource = one_of(sub_resource)
        if method == "PUT" and level is _OBJECT:
            sub_resource = _of_put(sub_resource, target, headers)
        return sub_resource


def _of_put(sub_resource: str | None, target: Target, headers: Headers) -> str | None:
    """What the table knows a PUT to an object by; raises InvalidArgument."""
    if sub_resource == PART_NUMBER:
        raise S3Error(
            "InvalidArgument",
            "This operation does not accept partNumber without uploadId",
            {"ArgumentName": PART_NUMBER, "ArgumentValue": target.query[PART_NUMBER]},
        )
    if COPY_SOURCE not in headers:
        return sub_resource
    if sub_resource not in (None, UPLOAD_ID):
        raise S3Error(
            "InvalidArgument",
            "You can only specify a copy source header for copy requests.",
            {"ArgumentName": COPY_SOURCE, "ArgumentValue": headers[COPY_SOURCE]},
        )
    return COPIED if sub_resource is None else COPIED_PART


def _refuse_encryption(headers: Headers, honoured: frozenset[str]) -> None:
    """Refuse a read that names a key of the server, which none may, or its own where that is for
    nothing (Amazon S3 user guide, "Using server-side encryption")."""
    if _CUSTOMER_ALGORITHM in headers and _CUSTOMER_ALGORITHM not in honoured:
        raise S3Error(
            "InvalidRequest", "The encryption parameters are not applicable to this object."
        )
    if _ENCRYPTION in headers:
        raise S3Error(
            "InvalidArgument",
            f"{_ENCRYPTION} header is not supported for this operation.",
            {"ArgumentName": _ENCRYPTION, "ArgumentValue": headers[_ENCRYPTION]},
        )


@lru_cache(maxsize=64)
def _any_unimplemented(names: str) -> bool:
    """Whether one of these names, a line each, may ask for it. Clients send the same again and
    again."""
    return _ANY_UNIMPLEMENTED.search("\n" + names.lower()) is not None


def refuse_unimplemented(headers: Headers, honoured: frozenset[str] = frozenset()) -> None:
    """Refuse a request whose headers ask for what is not there."""
    if not _any_unimplemented(names_of(headers)):
        return
    for name, value in headers.items():
        lower = name.lower()
        if not lower.startswith(_UNIMPLEMENTED_NAMES):
            continue
        known = _KNOWN_VALUES.get(lower)
        if known is not None and value not in known:
            fields = {"ArgumentName": lower, "ArgumentValue": value}
            raise S3Error("InvalidArgument", fields=fields)
        if lower in honoured:
            continue
        harmless = _UNIMPLEMENTED_HEADERS.get(lower)
        if harmless is not None and value not in harmless:
            raise not_implemented(f"{name}: {value}", name)
        if lower.startswith(_UNIMPLEMENTED_PREFIXES):
            raise not_implemented(name, name)
