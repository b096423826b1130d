"""What a request is about: bucket, key and query, from the raw target and the Host header. Pure.

The path is never normalised: ``//``, ``..`` and ``%2F`` are ordinary parts of an S3 key, so the key
is exactly what stands behind the bucket, percent-decoded once (Amazon S3 user guide, "Naming Amazon
S3 objects" and "Virtual hosting of buckets").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from shared import limits
from shared.errors import ServiceError

_ABSOLUTE_FORM = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?]*")
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_IP_ADDRESS_FORM = re.compile(r"([0-9]+\.){3}[0-9]+\Z")
_MALFORMED_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


@dataclass(frozen=True, slots=True)
class Target:
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


def parse_target(raw_target: str, host: str, endpoints: Iterable[str]) -> Target:
    """The target of a request; raises InvalidURI, InvalidBucketName or KeyTooLongError.

    ``host`` is the Host header; ``endpoints`` the configured host names. A host that lies below an
    endpoint names the bucket; any other addresses buckets by path.
    """
    raw_target = _ABSOLUTE_FORM.sub("", raw_target, count=1)
    raw_path, _, raw_query = raw_target.partition("?")
    if not raw_path.startswith("/"):
        raw_path = "/" + raw_path
    bucket, endpoint = _bucket_of_host(host, endpoints)
    path = decode(raw_path)[1:]
    virtual_host = bucket is not None
    if bucket is None:
        name, _, rest = path.partition("/")
        bucket, key = name or None, rest or None
        if bucket is None and key is not None:
            raise ServiceError("InvalidBucketName", fields={"BucketName": ""})
    else:
        key = path or None
    if bucket is not None and not is_bucket_name(bucket):
        raise ServiceError("InvalidBucketName", fields={"BucketName": bucket})
    if key is not None:
        check_key(key)
    query = _parse_query(raw_query)
    return Target(bucket, key, raw_path, raw_query, query, endpoint, virtual_host)


def check_key(key: str) -> None:
    """Refuse a key that cannot be stored."""
    size = len(key.encode())
    if size > limits.KEY_BYTES_MAX:
        raise ServiceError(
            "KeyTooLongError",
            fields={"Size": str(size), "MaxSizeAllowed": str(limits.KEY_BYTES_MAX)},
        )
    if "\0" in key:
        # A NUL separates key and version in the stored key.
        raise ServiceError("InvalidArgument", "An object key cannot contain a NUL character.")


def is_bucket_name(name: str) -> bool:
    """Whether a bucket can have a name: it has the characters, and the length.

    That a hyphen is not next to a dot is CloudServer's rule, and was AWS's.
    """
    return _BUCKET_NAME.match(name) is not None and not any(
        pair in name for pair in ("..", ".-", "-.")
    )


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
        raise ServiceError("InvalidURI", fields={"URI": text}) from error
    raise ServiceError("InvalidURI", fields={"URI": text})


def _parse_query(raw_query: str) -> dict[str, str]:
    """Decoded parameters. Of a repeated one the first counts, as with AWS."""
    query: dict[str, str] = {}
    for part in raw_query.split("&"):
        if part:
            name, _, value = part.partition("=")
            query.setdefault(decode(name.replace("+", " ")), decode(value.replace("+", " ")))
    return query


def _bucket_of_host(host: str, endpoints: Iterable[str]) -> tuple[str | None, str | None]:
    """The bucket that a Host header names, and the endpoint that it belongs to."""
    name = _without_port(host).lower()
    found = None
    for endpoint in endpoints:
        if name == endpoint:
            return None, endpoint
        # The longest endpoint wins: with "a.b" and "b", "x.a.b" is bucket "x" of "a.b".
        if name.endswith("." + endpoint) and (found is None or len(endpoint) > len(found)):
            found = endpoint
    if found is None or _is_ip_address(name):
        return None, None
    return name[: -len(found) - 1], found


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_ip_address(name: str) -> bool:
    if ":" not in name and not name[-1:].isdigit():
        return False  # most names: they need not be parsed
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
