"""What locationConfig.json says of an S3 service: the details of ``aws_s3`` and of ``gcp``.

Names and defaults are CloudServer's (``reference/cloudserver-features.md``, section 5);
``caBundle`` is ours, and so are a scheme and a port in ``awsEndpoint``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from s3front.locations.base import DataStore
from s3front.locations.location_config import Location, LocationType, Surroundings, Written
from shared.config.errors import ConfigError
from shared.config.validation import Section, parse
from shared.config.values import (
    Rule,
    Secret,
    Text,
    not_empty,
    parse_port,
    split_port,
    text_rule,
    without_user,
)

AMAZON: Final = "amazonaws.com"

DEFAULT_REGION: Final = "us-east-1"

_SCHEMES: Final = {"http://": False, "https://": True}
REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_IN_ENDPOINT: Final = re.compile(r"s3[.-](?:dualstack\.)?([a-z]{2,}(?:-[a-z]+)*-[0-9]+)\..+")
"""A region in the name of an endpoint, as at Amazon, Wasabi and Backblaze."""
_ACCESS_KEY: Final = re.compile(r"[!-~]+")
_ENCRYPTIONS: Final = ("AES256", "aws:kms")


def _encryption(value: object) -> str | None:
    """True is what CloudServer knows."""
    if value is None or isinstance(value, bool):
        return _ENCRYPTIONS[0] if value else None
    if value in _ENCRYPTIONS:
        return str(value)
    raise ValueError(f"must be true, false, {' or '.join(map(repr, _ENCRYPTIONS))}")


def _matching(pattern: re.Pattern[str], what: str) -> Rule:
    def read(value: object) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise ValueError(f"must be {what}")

    return Rule(read)


Endpoint = Annotated[str, text_rule(lambda text: without_user(not_empty(text)))]
SecretKey = Annotated[Secret, text_rule(lambda text: Secret(not_empty(text)))]


class KeyPair(Section, frozen=True, kw_only=True):
    """Credentials that stand in the file."""

    access_key: Annotated[str, _matching(_ACCESS_KEY, "printable ASCII without spaces")]
    secret_key: SecretKey


class _Given(Section, frozen=True, kw_only=True):
    bucket_name: Annotated[str, _matching(_BUCKET, "the name of a bucket")]
    bucket_match: bool = False
    credentials: KeyPair | None = None
    credentials_profile: Text | None = None
    region: Annotated[str, _matching(REGION, "the name of a region")] | None = None
    https: bool = True
    path_style: bool = False
    supports_versioning: bool = True
    ca_bundle: Path | None = None


class _OfAmazon(_Given, frozen=True, kw_only=True):
    aws_endpoint: Endpoint = "s3.amazonaws.com"
    server_side_encryption: Annotated[str | None, Rule(_encryption)] = None


class _OfGoogle(_Given, frozen=True, kw_only=True):
    """``mpu_bucket_name`` is where CloudServer puts parts together, which the service does itself
    by now: nothing is stored there."""

    gcp_endpoint: Endpoint = "storage.googleapis.com"
    mpu_bucket_name: Text | None = None


class S3Details(msgspec.Struct, frozen=True, kw_only=True):
    """An S3 service, and the bucket in it that is the location's.

    ``host`` and ``port`` are the endpoint's. ``region`` is None when nothing says it. Without
    ``key_pair`` credentials come from ``profile``, or from wherever botocore finds some.
    """

    host: str
    port: int
    secure: bool
    bucket: str
    bucket_match: bool
    key_pair: KeyPair | None
    profile: str | None
    encryption: str | None
    region: str | None
    path_style: bool
    versions: bool
    ca_bundle: Path | None
    is_google: bool = False
    """It is Google's XML API: see ``gcp``."""

    @property
    def is_amazon(self) -> bool:
        """Whether the endpoint is Amazon's, where each region has one of its own."""
        return self.host.removesuffix(".cn").endswith(f".{AMAZON}")


def read_details(document: object, written: Written) -> S3Details:
    """Those of ``aws_s3``; see ``LocationType.read_details``."""
    given = parse(_OfAmazon, document, written.file, prefix=written.key)
    place = _Place(given.aws_endpoint, "awsEndpoint", given.server_side_encryption)
    return _details(given, document, written, place)


def read_google_details(document: object, written: Written) -> S3Details:
    """Those of ``gcp``."""
    given = parse(_OfGoogle, document, written.file, prefix=written.key)
    found = _details(given, document, written, _Place(given.gcp_endpoint, "gcpEndpoint", None))
    return replace(found, is_google=True, region=given.region or "auto")


class _Place(NamedTuple):
    endpoint: str
    key: str
    encryption: str | None


def _details(given: _Given, document: object, written: Written, place: _Place) -> S3Details:
    host, port, secure = _endpoint(given, document, written, place)
    if given.credentials is not None and given.credentials_profile is not None:
        raise ConfigError(
            written.file, written.key, "credentials and credentialsProfile exclude each other"
        )
    if given.credentials is None:
        require_botocore(given.credentials_profile, written)
    ca_bundle = None if given.ca_bundle is None else written.directory / given.ca_bundle
    if ca_bundle is not None:
        from shared.tls import trusting_context  # noqa: PLC0415  # on first use

        trusting_context(ca_bundle, written.file, f"{written.key}.caBundle")
    in_endpoint = _IN_ENDPOINT.fullmatch(host)
    # A wildcard certificate is for one label, and a bucket's name may have several.
    plain_name = secure and "." in given.bucket_name
    return S3Details(
        host=host,
        port=port,
        secure=secure,
        bucket=given.bucket_name,
        bucket_match=given.bucket_match,
        key_pair=given.credentials,
        profile=given.credentials_profile,
        encryption=place.encryption,
        region=given.region or (in_endpoint[1] if in_endpoint else None),
        path_style=given.path_style or plain_name or _has_no_names_below(host),
        versions=given.supports_versioning,
        ca_bundle=ca_bundle,
    )


def _endpoint(
    given: _Given, document: object, written: Written, place: _Place
) -> tuple[str, int, bool]:
    """Host, port, and whether TLS is spoken there."""
    text, secure = place.endpoint, given.https
    key = f"{written.key}.{place.key}"
    for scheme, is_secure in _SCHEMES.items():
        if text.startswith(scheme):
            if isinstance(document, dict) and document.get("https", is_secure) is not is_secure:
                raise ConfigError(written.file, key, f"{scheme} contradicts https")
            text, secure = text.removeprefix(scheme).removesuffix("/"), is_secure
    try:
        host, port = split_port(text)
        number = (443 if secure else 80) if port is None else parse_port(port)
    except ValueError:
        reason = f"{place.endpoint!r} is not a host, host:port, or their http(s) URL"
        raise ConfigError(written.file, key, reason) from None
    return host.lower(), number, secure


def _has_no_names_below(host: str) -> bool:
    """Whether a bucket cannot be a name below the endpoint's: an address, or a name of this
    network alone."""
    if "." not in host:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def require_botocore(profile: str | None, written: Written, given: str = "credentials") -> None:
    """What finds keys has to be there, and the profile. ``given``: the key that keys would stand
    under. Raises ConfigError."""
    key = f"{written.key}.{given if profile is None else 'credentialsProfile'}"
    if find_spec("botocore") is None:
        reason = "needs botocore: pip install twofold[aws]"
        if profile is None:
            reason = f"there are none, and to find some elsewhere {reason}"
        raise ConfigError(written.file, key, reason)
    if profile is None:
        return
    files = _profile_files(written.environ)
    try:
        found = any(_has_profile(path, profile) for path in files)
    except (OSError, ValueError) as error:
        reason = f"a file of profiles cannot be read: {type(error).__name__}"
        raise ConfigError(written.file, key, reason) from None
    if not found:
        names = " nor in ".join(map(str, files))
        raise ConfigError(written.file, key, f"profile {profile!r} is not in {names}")


def _profile_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files of profiles that botocore reads."""
    return tuple(
        Path(environ.get(variable) or default).expanduser()
        for variable, default in (
            ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
            ("AWS_CONFIG_FILE", "~/.aws/config"),
        )
    )


def _has_profile(path: Path, profile: str) -> bool:
    """Raises OSError and ValueError."""
    from configparser import Error, RawConfigParser  # noqa: PLC0415  # on first use

    read = RawConfigParser(strict=False, default_section="")
    try:
        read.read(path)
    except Error as error:
        raise ValueError(str(error)) from None
    return profile in read or f"profile {profile}" in read


def _make(location: Location, surroundings: Surroundings) -> DataStore:
    from s3front.locations.aws_s3 import make_store  # noqa: PLC0415  # on first use

    return make_store(location, surroundings)


def _make_google(location: Location, surroundings: Surroundings) -> DataStore:
    from s3front.locations.gcp import make_store  # noqa: PLC0415  # on first use

    return make_store(location, surroundings)


AWS_S3: Final = LocationType(read_details, _make)
GCP: Final = LocationType(read_google_details, _make_google)
