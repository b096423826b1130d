"""What a request is about: bucket, key and query, from the raw target and the Host header. Pure.

A host names the bucket when it lies below a configured one; a configured host, an IP address and a
name of one label never do, and the bucket is in the path. What any other name means,
``s3front.port.unlisted`` finds out.

The path is never normalised: ``//``, ``..`` and ``%2F`` are ordinary parts of an S3 key, so the key
is exactly what stands behind the bucket, percent-decoded once (Amazon S3 user guide, "Naming Amazon
S3 objects" and "Virtual hosting of buckets").
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from s3front.s3_errors import S3Error
from shared import limits

_ABSOLUTE_FORM = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?]*")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_IP_ADDRESS_FORM = re.compile(r"([0-9]+\.){3}[0-9]+\Z")
_MALFORMED_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Kind(Enum):
    """How a request means to be answered."""

    REST = auto()
    """As S3's API says."""
    WEBSITE = auto()
    """As a browser expects, by the pages of a bucket."""


class Target(msgspec.Struct, frozen=True):
    """``bucket`` is None for the service itself, ``key`` None for a bucket.

    ``raw_path`` and ``raw_query`` are as received (a signature covers them); ``query`` has the
    decoded parameters in order, a name without ``=`` having the value ``""``. ``endpoint`` is the
    configured host that was addressed, None for any other.
    """

    bucket: str | None
    key: str | None
    raw_path: str
    raw_query: str
    query: dict[str, str]
    endpoint: str | None
    virtual_host: bool = False
    """Whether the host named the bucket, and not the path."""
    kind: Kind = Kind.REST


class Undecided(msgspec.Struct, frozen=True):
    """A request to a host that is not configured: its bucket may be in the path or in the host.

    ``path`` is decoded, without its first slash; ``candidates`` are the beginnings of the host
    that a bucket can be called, the shortest first. The rest is as in ``Target``.
    """

    host: str
    path: str
    raw_path: str
    raw_query: str
    query: dict[str, str]
    candidates: tuple[str, ...]

    @property
    def segment(self) -> str:
        """What would be the bucket if it is in the path; empty when nothing is there."""
        return self.path.partition("/")[0]

    def by_path(self) -> Target:
        """The target, the bucket being in the path; raises as ``parse_target``."""
        bucket, key = _split(self.path)
        return self._target(bucket, key, virtual_host=False)

    def by_host(self, bucket: str) -> Target:
        """The target, the bucket being this candidate; raises as ``parse_target``."""
        return self._target(bucket, self.path or None, virtual_host=True)

    def unread(self) -> Target:
        """A target that says nothing of bucket and key."""
        return Target(None, None, self.raw_path, self.raw_query, self.query, None)

    def _target(self, bucket: str | None, key: str | None, *, virtual_host: bool) -> Target:
        _check(bucket, key)
        return Target(bucket, key, self.raw_path, self.raw_query, self.query, None, virtual_host)


def parse_target(
    raw_target: str, host: str, endpoints: Collection[str], websites: Collection[str] = ()
) -> Target | Undecided:
    """The target of a request; raises InvalidURI, InvalidBucketName or KeyTooLongError.

    ``host`` is the Host header; ``endpoints`` the configured host names, ``websites`` those below
    which names are those of buckets that are websites.
    """
    if not raw_target.startswith("/"):
        raw_target = _ABSOLUTE_FORM.sub("", raw_target, count=1)
    raw_path, _, raw_query = raw_target.partition("?")
    if not raw_path.startswith("/"):
        raw_path = "/" + raw_path
    name = host_name(host)
    endpoint = name if name in endpoints else None
    if websites and endpoint is None:
        site = name if name in websites else _bucket_of_host(name, websites)[1]
        # The longest wins here as well.
        if site is not None and len(site) > len(_bucket_of_host(name, endpoints)[1] or ""):
            return _page(name.removesuffix(site).removesuffix("."), site, raw_path, raw_query)
    bucket: str | None = None
    path = decode(raw_path)[1:]
    if endpoint is None and "." in name and not _is_ip_address(name):
        bucket, endpoint = _bucket_of_host(name, endpoints)
        if endpoint is None and (candidates := _candidates(name)):
            return Undecided(name, path, raw_path, raw_query, _parse_query(raw_query), candidates)
    virtual_host = bucket is not None
    if bucket is None:
        bucket, key = _split(path)
    else:
        key = path or None
    _check(bucket, key)
    query = _parse_query(raw_query) if raw_query else {}
    return Target(bucket, key, raw_path, raw_query, query, endpoint, virtual_host)


def _page(name: str, site: str, raw_path: str, raw_query: str) -> Target:
    """The target of a request to a website; ``name`` is its bucket, empty for the host itself."""
    bucket = name or None
    key = (decode(raw_path)[1:] or None) if bucket else None
    _check(bucket, key)
    query, named = _parse_query(raw_query), bucket is not None
    return Target(bucket, key, raw_path, raw_query, query, site, named, Kind.WEBSITE)


def _split(path: str) -> tuple[str | None, str | None]:
    """Bucket and key of a path without its first slash."""
    name, _, rest = path.partition("/")
    if not name and rest:
        raise S3Error("InvalidBucketName", fields={"BucketName": ""})
    return name or None, rest or None


def _check(bucket: str | None, key: str | None) -> None:
    if bucket is not None and not is_bucket_name(bucket):
        raise S3Error("InvalidBucketName", fields={"BucketName": bucket})
    if key is not None:
        check_key(key)


def check_key(key: str) -> None:
    """Refuse a key that cannot be stored."""
    size = len(key) if key.isascii() else len(key.encode())
    if size > limits.KEY_BYTES_MAX:
        raise S3Error(
            "KeyTooLongError",
            fields={"Size": str(size), "MaxSizeAllowed": str(limits.KEY_BYTES_MAX)},
        )
    if "\0" in key:
        # A NUL separates key and version in the stored key.
        raise S3Error("InvalidArgument", "An object key cannot contain a NUL character.")


def is_bucket_name(name: str) -> bool:
    """Whether a bucket can have a name: it has the characters, and the length.

    That a hyphen is not next to a dot is CloudServer's rule, and was AWS's.
    """
    if _BUCKET_NAME.match(name) is None:
        return False
    return "." not in name or not (".." in name or ".-" in name or "-." in name)


def is_new_bucket_name(name: str) -> bool:
    """Whether a bucket can be given a name, by the rules of general purpose buckets.

    Amazon S3 user guide, "General purpose bucket naming rules". AWS reserves more from time to
    time: a bucket that had its name before keeps it. Namespaces of accounts are not known here, so
    names may end with ``-an``.
    """
    return (
        is_bucket_name(name)
        and not name.startswith(_RESERVED_PREFIXES)
        and not name.endswith(_RESERVED_SUFFIXES)
        and _IP_ADDRESS_FORM.match(name) is None
    )


def decode(text: str) -> str:
    """Percent-decoded UTF-8; ``+`` stays itself. Raises InvalidURI, also for a percent sign that
    begins no escape, as AWS does: else two spellings of a signed request would be one key."""
    try:
        if "%" not in text:
            return text.encode().decode()
        if _MALFORMED_ESCAPE.search(text) is None:
            return unquote_to_bytes(text).decode()
    except UnicodeError as error:
        raise S3Error("InvalidURI", fields={"URI": text}) from error
    raise S3Error("InvalidURI", fields={"URI": text})


def _parse_query(raw_query: str) -> dict[str, str]:
    """Decoded parameters. Of a repeated one the first counts, as with AWS."""
    query: dict[str, str] = {}
    for part in raw_query.split("&"):
        if part:
            name, _, value = part.partition("=")
            query.setdefault(decode(name.replace("+", " ")), decode(value.replace("+", " ")))
    return query


def _bucket_of_host(name: str, endpoints: Collection[str]) -> tuple[str | None, str | None]:
    """The bucket that a name below an endpoint names, and the endpoint."""
    found = None
    for endpoint in endpoints:
        # The longest endpoint wins: with "a.b" and "b", "x.a.b" is bucket "x" of "a.b".
        if name.endswith("." + endpoint) and (found is None or len(endpoint) > len(found)):
            found = endpoint
    return (None, None) if found is None else (name[: -len(found) - 1], found)


def _candidates(name: str) -> tuple[str, ...]:
    """The beginnings of a host name that a bucket can be called, and something is left."""
    labels = name.split(".")
    beginnings = (".".join(labels[:count]) for count in range(1, len(labels)))
    return tuple(beginning for beginning in beginnings if is_bucket_name(beginning))


@lru_cache(maxsize=256)  # the requests of a client have the same
def host_name(host: str) -> str:
    """A Host header without its port, in the form in which names are compared: a full stop at the
    end means nothing here, as names are never looked up."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _is_ip_address(name: str) -> bool:
    return ":" in name or _IP_ADDRESS_FORM.match(name) is not None
