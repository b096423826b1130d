"""Making, changing and removing OpenID Connect providers, whose tokens roles may trust. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    check_length,
    check_quota,
    checked_tags,
    invalid_value,
    merged_tags,
    remaining_tags,
    the_account,
)
from s3front.iam.records import Provider, provider_key
from shared.records.times import now, to_iso

_URL_CHARACTERS_MAX: Final = 255
_THUMBPRINT: Final = re.compile(r"[0-9a-fA-F]{40}\Z")
_HOST: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}\Z")
_PORT_MAX: Final = 65_535
_ARN: Final = re.compile(r"arn:aws:iam::([0-9]{12}):oidc-provider/(\S+)\Z")


def create_provider(
    directory: Directory,
    account_id: str,
    url: str,
    *,
    client_ids: Sequence[str] = (),
    thumbprints: Sequence[str] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> Change[Provider]:
    """A new provider, of a URL with ``https``."""
    the_account(directory, account_id)
    bare = provider_url(url)
    if directory.identities.text(provider_key(account_id, bare)) is not None:
        raise IamError("EntityAlreadyExists", f"Provider with url https://{bare} already exists.")
    count = len(directory.identities.keys(f"oidc/{account_id}"))
    check_quota(count, quotas.PROVIDERS_MAX, "OpenIdConnectProvidersPerAccount")
    provider = Provider(
        account=account_id,
        url=bare,
        created=to_iso(now()),
        client_ids=_client_ids(client_ids),
        thumbprints=_thumbprints(thumbprints),
        tags=checked_tags(tags),
    )
    return Change({provider.key: provider}, provider)


def provider_url(url: str) -> str:
    """The URL of a new provider as it is kept and judged, of the one that is asked for: without its
    scheme and the slash at its end, the host in lower case. Raises ValidationError."""
    check_length(url, "url", 1, _URL_CHARACTERS_MAX)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise IamError("ValidationError", "Invalid Open ID Connect Provider URL") from error
    host = parts.netloc.lower()
    if parts.scheme != "https" or not _is_host(host) or parts.query or parts.fragment:
        raise IamError("ValidationError", "Invalid Open ID Connect Provider URL")
    return f"{host}{parts.path}".rstrip("/")


def _is_host(text: str) -> bool:
    """Whether it is a host that can be asked, with or without a port."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        try:
            IPv6Address(address)
        except ValueError:
            return False
        return not port or _is_port(port)
    name, colon, port = text.partition(":")
    return _HOST.match(name) is not None and (not colon or _is_port(f":{port}"))


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[:1] == ":" and _PORT.match(digits) is not None and int(digits) <= _PORT_MAX


def add_client_id(directory: Directory, account_id: str, arn: str, client_id: str) -> Change[None]:
    """Take tokens for one more audience."""
    provider = the_provider(directory, account_id, arn)
    if client_id in provider.client_ids:
        return Change({}, None)
    client_ids = _client_ids([*provider.client_ids, client_id])
    return put(replace(provider, client_ids=client_ids))


def remove_client_id(
    directory: Directory, account_id: str, arn: str, client_id: str
) -> Change[None]:
    """Take tokens for an audience no more."""
    provider = the_provider(directory, account_id, arn)
    kept = tuple(each for each in provider.client_ids if each != client_id)
    return put(replace(provider, client_ids=kept))


def update_thumbprints(
    directory: Directory, account_id: str, arn: str, thumbprints: Sequence[str]
) -> Change[None]:
    provider = the_provider(directory, account_id, arn)
    return put(replace(provider, thumbprints=_thumbprints(thumbprints)))


def delete_provider(directory: Directory, account_id: str, arn: str) -> Change[None]:
    """Trust a provider no more. One that is not there needs not be removed."""
    try:
        provider = the_provider(directory, account_id, arn)
    except IamError as error:
        if error.code != "NoSuchEntity":
            raise
        return Change({}, None)
    return Change({provider.key: None}, None)


def add_provider_tags(
    directory: Directory, account_id: str, arn: str, tags: Sequence[tuple[str, str]]
) -> Change[None]:
    """Give tags, each in the place of one of its key."""
    provider = the_provider(directory, account_id, arn)
    return put(replace(provider, tags=merged_tags(provider.tags, tags)))


def remove_provider_tags(
    directory: Directory, account_id: str, arn: str, keys: Sequence[str]
) -> Change[None]:
    """Take tags away, as far as they are there."""
    provider = the_provider(directory, account_id, arn)
    return put(replace(provider, tags=remaining_tags(provider.tags, keys)))


def the_provider(directory: Directory, account_id: str, arn: str) -> Provider:
    """A provider of an account, by its ARN. Raises IamError."""
    found = _ARN.match(arn)
    if found is None:
        raise IamError("ValidationError", f"Invalid ARN: {arn}")
    provider = directory.provider(found[1], found[2]) if found[1] == account_id else None
    if provider is None:
        raise IamError("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
    return provider


def _client_ids(client_ids: Sequence[str]) -> tuple[str, ...]:
    for client_id in client_ids:
        check_length(client_id, "clientID", 1, _URL_CHARACTERS_MAX)
    if len(client_ids) > quotas.CLIENT_IDS_MAX:
        most = quotas.CLIENT_IDS_MAX
        raise IamError(
            "LimitExceeded", f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {most}"
        )
    return tuple(dict.fromkeys(client_ids))


def _thumbprints(thumbprints: Sequence[str]) -> tuple[str, ...]:
    check_length(thumbprints, "thumbprintList", 0, quotas.THUMBPRINTS_MAX)
    for thumbprint in thumbprints:
        if _THUMBPRINT.match(thumbprint) is None:
            raise invalid_value("thumbprintList", "Member must have 40 hexadecimal digits")
    return tuple(each.lower() for each in thumbprints)
