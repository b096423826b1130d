"""The details of a location of type ``azure``: where its container is, and how to be let in.

Follows ``reference/cloudserver-features.md``, sections 4.2 and 5, and the manual, section 3.3.

**Variables of the environment** stand above the file, one by one. Their names begin with that of
the location: ``azure-test_AZURE_STORAGE_ACCESS_KEY``, as the manual has it. No shell exports a name
with a hyphen (``env`` does), so that the same with ``_`` for every such character is taken too, and
that in upper case: ``azure_test_AZURE_…``, ``AZURE_TEST_AZURE_…``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from s3front.locations.base import DataStore
from s3front.locations.location_config import Location, LocationType, Surroundings, Written
from shared.config.errors import ENVIRONMENT, ConfigError
from shared.config.validation import Section, parse
from shared.config.values import Secret, text_rule

AuthMethod = Literal["shared-key", "shared-access-signature", "client-secret"]

_VARIABLES: Final = {
    "azureStorageEndpoint": "_AZURE_STORAGE_ENDPOINT",
    "azureStorageAccountName": "_AZURE_STORAGE_ACCOUNT_NAME",
    "azureStorageAccessKey": "_AZURE_STORAGE_ACCESS_KEY",
    "sasToken": "_AZURE_SAS_TOKEN",
    "tenantId": "_AZURE_TENANT_ID",
    "clientId": "_AZURE_CLIENT_ID",
    "clientKey": "_AZURE_CLIENT_KEY",
    "authMethod": "_AZURE_AUTH_METHOD",
}
"""What the environment may say, and how its variable's name ends."""

_NEEDED: Final[Mapping[AuthMethod, tuple[str, ...]]] = {
    "shared-key": ("azureStorageAccountName", "azureStorageAccessKey"),
    "shared-access-signature": ("sasToken",),
    "client-secret": ("tenantId", "clientId", "clientKey"),
}
"""What each method takes. The first of them that all is given of is the default."""

_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER: Final = re.compile(r"\$web|(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9.-]+")
_NO_PART_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9_]")


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL, as https://ACCOUNT.blob.core.windows.net/")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must hold no credentials, no query and no fragment")
    try:
        parts.port  # noqa: B018  # reading it is what looks at it
    except ValueError:
        raise ValueError("has a port that is none") from None
    account = parts.path.strip("/")
    if account and not _ACCOUNT.fullmatch(account):
        raise ValueError("may have nothing behind the host but the name of the account")
    return text.rstrip("/")


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise ValueError("must be 3 to 24 lower-case letters and digits")
    return text


def _container(text: str) -> str:
    if not _CONTAINER.fullmatch(text):
        raise ValueError("must be 3 to 63 lower-case letters, digits and single hyphens")
    return text


def _account_key(text: str) -> Secret:
    stripped = text.strip()
    try:
        decoded = base64.b64decode(stripped, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise ValueError("must be Base64, as Azure shows it")
    return Secret(stripped)


def _sas(text: str) -> Secret:
    token = text.strip().removeprefix("?")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be a shared access signature, as Azure shows it")
    if not {"sig", "sp"} <= dict(parse_qsl(token)).keys():
        raise ValueError("must be a shared access signature: its parts sig=… and sp=… are missing")
    return Secret(token)


def _secret(text: str) -> Secret:
    if not text:
        raise ValueError("must not be empty")
    return Secret(text)


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("must be letters, digits, hyphens and full stops")
    return text


def _auth_method(text: str) -> AuthMethod:
    for method in _NEEDED:
        if text == method:
            return method
    raise ValueError(f"must be one of {', '.join(_NEEDED)}")


_RULES: Final[Mapping[str, Callable[[str], object]]] = {
    "azureStorageEndpoint": _endpoint,
    "azureStorageAccountName": _account,
    "azureStorageAccessKey": _account_key,
    "sasToken": _sas,
    "tenantId": _identifier,
    "clientId": _identifier,
    "clientKey": _secret,
    "authMethod": _auth_method,
}


class AzureDetails(Section, frozen=True, kw_only=True):
    """Where and how. ``azure_storage_endpoint`` has no slash at its end; ``auth_method`` is never
    None once it was read, and what it needs is there."""

    azure_storage_endpoint: Annotated[str, text_rule(_endpoint)]
    azure_container_name: Annotated[str, text_rule(_container)]
    bucket_match: bool = False
    azure_storage_account_name: Annotated[str | None, text_rule(_account)] = None
    azure_storage_access_key: Annotated[Secret | None, text_rule(_account_key)] = None
    sas_token: Annotated[Secret | None, text_rule(_sas)] = None
    tenant_id: Annotated[str | None, text_rule(_identifier)] = None
    client_id: Annotated[str | None, text_rule(_identifier)] = None
    client_key: Annotated[Secret | None, text_rule(_secret)] = None
    auth_method: Annotated[AuthMethod | None, text_rule(_auth_method)] = None

    @property
    def account(self) -> str:
        """The account, from what says it best."""
        parts = urlsplit(self.azure_storage_endpoint)
        in_host = (parts.hostname or "").partition(".")[0]
        return self.azure_storage_account_name or parts.path.strip("/") or in_host

    def check(self) -> None:
        path = urlsplit(self.azure_storage_endpoint).path.strip("/")
        name = self.azure_storage_account_name
        if path and name and path != name:
            raise ValueError(
                f"azureStorageEndpoint says account {path!r}, azureStorageAccountName {name!r}"
            )


def read_azure_details(document: object, written: Written) -> AzureDetails:
    """The details that stand in the file and in the environment. Raises ConfigError, which names
    whichever of both is wrong."""
    file, key = written.file, written.key
    if not isinstance(document, dict):
        raise ConfigError(file, key, "must be an object")
    given = {name: value for name, value in document.items() if value not in (None, "")}
    found = _found(written)
    for name, (variable, text) in found.items():
        try:
            _RULES[name](text)
        except ValueError as error:
            raise ConfigError(ENVIRONMENT, variable, str(error)) from None
        given[name] = text
    details = parse(AzureDetails, given, file, prefix=key)
    method = details.auth_method or _default_method(given, written)
    missing = [name for name in _NEEDED[method] if name not in given]
    if missing:
        variable = written.location + _VARIABLES[missing[0]]
        raise ConfigError(
            file,
            f"{key}.{missing[0]}",
            f"is missing for authMethod {method}; {variable} in the environment may say it",
        )
    if method == "client-secret" and details.azure_storage_endpoint.startswith("http:"):
        raise ConfigError(
            *_place(found, written, "azureStorageEndpoint"),
            "must begin with https:// for authMethod client-secret, whose tokens others could read",
        )
    _require_library(method, written)
    return replace(details, auth_method=method)


def _found(written: Written) -> dict[str, tuple[str, str]]:
    """What the environment says: (variable, text) by the name in the file."""
    plain = _NO_PART_OF_A_NAME.sub("_", written.location)
    beginnings = dict.fromkeys((written.location, plain, plain.upper()))
    found = {}
    for name, ending in _VARIABLES.items():
        for beginning in beginnings:
            if text := written.environ.get(beginning + ending, "").strip():
                found[name] = (beginning + ending, text)
                break
    return found


def _default_method(given: Mapping[str, Any], written: Written) -> AuthMethod:
    for method, needed in _NEEDED.items():
        if all(name in given for name in needed):
            return method
    for method, needed in _NEEDED.items():
        # What is missing of it is said next.
        if needed[-1] in given:
            return method
    raise ConfigError(
        written.file,
        written.key,
        "has no credentials: azureStorageAccountName and azureStorageAccessKey, or sasToken, "
        "or tenantId, clientId and clientKey",
    )


def _place(found: Mapping[str, tuple[str, str]], written: Written, name: str) -> tuple[str, str]:
    """Where a member was said: a variable, or the file and its key."""
    if name in found:
        return ENVIRONMENT, found[name][0]
    return written.file, f"{written.key}.{name}"


def _require_library(method: AuthMethod, written: Written) -> None:
    modules = ["azure.storage.blob"] + ["azure.identity"] * (method == "client-secret")
    for module in modules:
        try:
            there = find_spec(module) is not None
        except ModuleNotFoundError:
            there = False
        if not there:
            raise ConfigError(
                written.file,
                written.location,
                "needs the client library of Azure: pip install 'twofold[azure]'",
            )


def _make(location: Location, surroundings: Surroundings) -> DataStore:
    assert isinstance(location.details, AzureDetails)
    from s3front.locations.azure import AzureStore  # noqa: PLC0415  # on first use
    from s3front.locations.azure_client import AzureContainer  # noqa: PLC0415  # on first use

    return AzureStore(AzureContainer(location.details, surroundings.outbound))


AZURE: Final = LocationType(read_azure_details, _make)
