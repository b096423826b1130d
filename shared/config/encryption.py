"""What config.json says of encryption at rest: who keeps the master keys, and how it is reached.

``kmsAWS`` and ``kmip`` have the shapes of the original (``reference/cloudserver-features.md``,
section 4.1), but for ``keyId``, which is ours: there each bucket has a master key of its own, here
all share one unless a request names another. The section ``encryption`` is ours. A keeper that is
described opens what it has sealed; ``current`` is the one that new objects get their keys from.

Paths are relative to the directory of the configuration until ``with_paths`` has made them whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec.structs import replace

from shared.config.errors import ConfigError
from shared.config.validation import ONE_OR_MORE, Section, SectionT
from shared.config.values import (
    Count,
    Host,
    MemberError,
    Milliseconds,
    Password,
    Paths,
    Port,
    Seconds,
    Secret,
    Slot,
    Text,
    WebAddress,
    text_rule,
)

KeeperType = Literal["file", "mem", "aws", "kmip", "vault", "pkcs11"]

_REGION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise ValueError("must be the name of a region")
    return text


Region = Annotated[str, text_rule(_region)]

WITH_ACCOUNT_KEYS: Final[tuple[KeeperType, ...]] = ("aws", "kmip", "vault")
"""Those that make a master key by themselves for each account. CloudServer has the first."""

KEYRING_FILE: Final = Path("conf/keyring.json")

TlsVersion = Literal["TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1"]
"""The last two are refused: no service needs them any more (RFC 8996)."""


class KmsTls(Section, frozen=True, kw_only=True):
    """TLS towards the KMS API. ``ca`` are the authorities that are trusted, those of the system
    when there are none; ``cert`` and ``key`` are what is shown to a service that asks."""

    reject_unauthorized: bool = True
    min_version: TlsVersion = "TLSv1.2"
    max_version: TlsVersion | None = None
    ca: Paths = ()
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        _pair(self.cert, self.key)
        if not self.reject_unauthorized:
            raise MemberError(
                "rejectUnauthorized", "must be true: name the authorities of the service in 'ca'"
            )
        for name, version in (("minVersion", self.min_version), ("maxVersion", self.max_version)):
            if version in ("TLSv1", "TLSv1.1"):
                raise MemberError(name, "must be TLSv1.2 or TLSv1.3")


class KmsAws(Section, frozen=True, kw_only=True):
    """The API of AWS KMS, at any endpoint, Amazon's of the region where there is none. Without
    ``ak`` and ``sk`` its keys are those of ``credentials_profile``, or found as AWS's own programs
    find theirs. ``key_id`` is the master key of whoever names none: its ID, ARN or alias."""

    endpoint: WebAddress | None = None
    ak: Text | None = None
    sk: Password | None = None
    credentials_profile: Text | None = None
    region: Region = "us-east-1"
    tls: KmsTls | None = None
    provider_name: Text | None = None
    no_aws_arn: bool = False
    key_id: Text = "alias/twofold"

    def check(self) -> None:
        if (self.ak is None) != (self.sk is None):
            raise ValueError("needs both ak and sk, or none of them")
        if self.ak is not None and self.credentials_profile is not None:
            raise ValueError("ak and credentialsProfile exclude each other")


class KmipTls(Section, frozen=True, kw_only=True):
    """A KMIP server: where it is, its authorities, and what is shown to it."""

    host: Host = "localhost"
    port: Port = 5696
    key: Path | None = None
    cert: Path | None = None
    ca: Paths = ()

    def check(self) -> None:
        _pair(self.cert, self.key)


class KmipTransport(Section, frozen=True, kw_only=True):
    """``pipeline_depth``: how many requests may be under way on one connection."""

    pipeline_depth: Count = 8
    tls: KmipTls = KmipTls()


class KmipClient(Section, frozen=True, kw_only=True):
    """``compound_create_activate``: whether a key is made and activated by one request.
    ``bucket_name_attribute_name``: the attribute of keys that says what they are for."""

    compound_create_activate: bool | None = None
    bucket_name_attribute_name: Text | None = None


class Kmip(Section, frozen=True, kw_only=True):
    """KMIP servers of one service, tried in this order. ``key_id`` is as for AWS."""

    client: KmipClient = KmipClient()
    transport: Annotated[tuple[KmipTransport, ...], ONE_OR_MORE] = (KmipTransport(),)
    provider_name: Text | None = None
    key_id: Text | None = None

    def check(self) -> None:
        if not self.transport:
            raise MemberError("transport", "must name a server")


class Vault(Section, frozen=True, kw_only=True):
    """The transit engine of HashiCorp Vault or OpenBao, mounted at ``mount``; ``key`` is the master
    key of whoever names none. It is asked with a token (itself, or a file that is read again when
    it changes), or as an AppRole, whose secret may be in a file, too, or else with the token of the
    environment (VAULT_TOKEN, BAO_TOKEN)."""

    address: WebAddress
    mount: Text = "transit"
    key: Text = "twofold"
    namespace: Text | None = None
    ca: Paths = ()
    token: Password | None = None
    token_file: Path | None = None
    app_role_mount: Text = "approle"
    role_id: Text | None = None
    secret_id: Password | None = None
    secret_id_file: Path | None = None

    def check(self) -> None:
        ways = [self.token, self.token_file, self.role_id]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("token, tokenFile and roleId exclude each other")
        secrets = [self.secret_id, self.secret_id_file]
        if sum(secret is not None for secret in secrets) != (self.role_id is not None):
            raise ValueError("needs secretId or secretIdFile with roleId, and not without it")
        token = None if self.token is None else self.token.reveal()
        sent = {"namespace": self.namespace, "token": token}
        for name, text in sent.items():
            if text is not None and not is_header_text(text):
                raise MemberError(name, "must be of printable ASCII characters, and not empty")


def is_header_text(text: str) -> bool:
    """Whether a header of HTTP can have it."""
    return bool(text) and text.isascii() and text.isprintable()


class Pkcs11(Section, frozen=True, kw_only=True):
    """A token behind a PKCS#11 library, by its label or the number of its slot; ``key`` is the
    label of the master key of whoever names none."""

    library: Path
    token: Text | None = None
    slot: Slot | None = None
    pin: Password | None = None
    pin_file: Path | None = None
    key: Text = "twofold"

    def check(self) -> None:
        if (self.token is None) == (self.slot is None):
            raise ValueError("needs one of token and slot")
        if (self.pin is None) == (self.pin_file is None):
            raise ValueError("needs one of pin and pinFile")


class Encryption(Section, frozen=True, kw_only=True):
    """``keyring_file`` is that of the keeper ``file``. A data key that a service has made is kept
    for ``cache_seconds``, and serves ``cache_uses_max`` new objects at most; a service is waited
    for ``timeout_ms``. ``customer_keys_over_http``: whether clients may send keys (SSE-C) where
    others can read them."""

    current: KeeperType | None = None
    keyring_file: Path = KEYRING_FILE
    customer_keys_over_http: bool = False
    cache_seconds: Seconds = 60
    cache_uses_max: Count = 10_000
    timeout_ms: Milliseconds = 5000
    vault: Vault | None = None
    pkcs11: Pkcs11 | None = None


class Keepers(msgspec.Struct, frozen=True, kw_only=True):
    """What the makers of keepers are given (``s3front.keys.keepers``): the three sections, with
    whole paths, the type of the current keeper, and the master key that is in memory. ``file`` is
    what messages call config.json. ``per_account``: accounts have master keys of their own."""

    encryption: Encryption
    kms_aws: KmsAws | None
    kmip: Kmip | None
    current: KeeperType
    memory_key: Secret | None
    file: str
    per_account: bool = False

    def section(self, kind: KeeperType) -> object:
        """What describes a keeper; None where nothing does."""
        described: dict[KeeperType, object] = {
            "file": self.encryption.keyring_file,
            "mem": self.memory_key or (self.current == "mem") or None,
            "aws": self.kms_aws,
            "kmip": self.kmip,
            "vault": self.encryption.vault,
            "pkcs11": self.encryption.pkcs11,
        }
        return described[kind]

    def check(self) -> None:
        """Raises ConfigError unless the current keeper is described."""
        if self.section(self.current) is None:
            key = {"aws": "kmsAWS", "kmip": "kmip"}.get(self.current, f"encryption.{self.current}")
            raise ConfigError(
                self.file, key, f"is missing, and {self.current!r} is to keep the master keys"
            )

    @property
    def has_account_keys(self) -> bool:
        """Whether the current keeper makes a key for each account, as it is wanted."""
        return self.per_account and self.current in WITH_ACCOUNT_KEYS


def with_paths(section: SectionT, directory: Path, file: str, key: str) -> SectionT:
    """The section with absolute paths, to files that exist; but for the keyring, which a command
    makes, and what is read again and again. Raises ConfigError."""
    changed: dict[str, Any] = {}
    for field in msgspec.structs.fields(section):
        value, name = getattr(section, field.name), f"{key}.{field.encode_name}"
        if isinstance(value, Path):
            changed[field.name] = _whole(value, directory, file, name)
        elif isinstance(value, Section):
            changed[field.name] = with_paths(value, directory, file, name)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(_each(value, directory, file, name))
    return replace(section, **changed)


def _each(values: tuple[Any, ...], directory: Path, file: str, key: str) -> Iterator[Any]:
    for number, value in enumerate(values):
        if isinstance(value, Path):
            yield _whole(value, directory, file, f"{key}[{number}]")
        else:
            yield with_paths(value, directory, file, f"{key}[{number}]")


def _whole(path: Path, directory: Path, file: str, key: str) -> Path:
    if key != "encryption.keyringFile" and not (directory / path).is_file():
        raise ConfigError(file, key, f"there is no file {path}")
    return directory / path


def _pair(cert: Path | None, key: Path | None) -> None:
    if (cert is None) != (key is None):
        raise ValueError("needs both key and cert, or none of them")
