"""authdata.json: the accounts of this installation and their keys.

Follows ``reference/cloudserver-features.md``, section 3. Accounts only: users and their policies
are kept in the metadata (``s3front.iam``), and in a separate service with CloudServer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec

from shared.config.documents import display_name, find, read_document
from shared.config.errors import ConfigError
from shared.config.model import Config, EnvironmentCredentials
from shared.config.validation import Section, parse
from shared.config.values import AccessKey, Rule, Secret, Text, not_empty, text_rule

_NAME: Final = "authdata.json"

_ACCOUNT_ARN: Final = re.compile(r"arn:aws:iam::[0-9]{12}:root")
_ARN_FORM: Final = "arn:aws:iam::<12 digits>:root"
_SHORT_ID: Final = re.compile(r"[0-9]{12}")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


class Account(msgspec.Struct, frozen=True):
    """An account as ACLs, policies and listings name it.

    ``canonical_id`` is usually 64 hex digits, but not for service accounts, whose IDs are URLs.
    """

    name: str
    email: str
    arn: str
    canonical_id: str
    short_id: str


class Credential(msgspec.Struct, frozen=True):
    """An access key, its secret, and the account that signs with it. ``repr`` hides the secret."""

    account: Account
    access_key: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.account!r}, {self.access_key!r})"


class Accounts:
    """All accounts, found by what a request may name: access key, canonical ID or e-mail.

    Never changed once made; after a change of the file ``load_accounts`` makes a new one.
    """

    __slots__ = ("_accounts", "_by_canonical_id", "_by_email", "_credentials")

    def __init__(self, accounts: Iterable[Account], credentials: Iterable[Credential]) -> None:
        self._accounts = tuple(accounts)
        self._credentials = {credential.access_key: credential for credential in credentials}
        self._by_canonical_id = {account.canonical_id: account for account in self._accounts}
        self._by_email = {account.email.lower(): account for account in self._accounts}

    def credential(self, access_key: str) -> Credential | None:
        return self._credentials.get(access_key)

    @property
    def credentials(self) -> Collection[Credential]:
        """All access keys."""
        return self._credentials.values()

    def by_canonical_id(self, canonical_id: str) -> Account | None:
        return self._by_canonical_id.get(canonical_id)

    def by_email(self, email: str) -> Account | None:
        """Without regard to case."""
        return self._by_email.get(email.lower())

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def __repr__(self) -> str:
        return f"Accounts({', '.join(account.name for account in self._accounts)})"


def _account_arn(value: str) -> str:
    if value.startswith("aws:"):
        raise ValueError(f"is of an old form; write {_ARN_FORM}")
    if not _ACCOUNT_ARN.fullmatch(value):
        raise ValueError(f"must be the ARN of an account: {_ARN_FORM}")
    return value


def _short_id(value: str) -> str:
    if not _SHORT_ID.fullmatch(value):
        raise ValueError("must be 12 digits")
    return value


def _email(value: str) -> str:
    if not _EMAIL.fullmatch(value):
        raise ValueError("must be an e-mail address")
    return value


def _secret(value: str) -> Secret:
    return Secret(not_empty(value))


def _no_users(_: object) -> None:
    raise ValueError("is no longer supported: s3front users makes users (docs/access.md)")


class KeyEntry(Section, frozen=True, kw_only=True):
    """One key pair as the file has it."""

    access: AccessKey
    secret: Annotated[Secret, text_rule(_secret)]


class AccountEntry(Section, frozen=True, kw_only=True):
    """One account as the file has it."""

    name: Text
    email: Annotated[str, text_rule(_email)]
    arn: Annotated[str, text_rule(_account_arn)]
    canonical_id: Text = msgspec.field(name="canonicalID")
    short_id: Annotated[str, text_rule(_short_id)] = msgspec.field(name="shortid")
    keys: tuple[KeyEntry, ...]
    users: Annotated[None, Rule(_no_users)] = None


class AuthData(Section, frozen=True, kw_only=True):
    """authdata.json."""

    accounts: tuple[AccountEntry, ...]


def accounts_file(config: Config) -> Path | None:
    """The file that ``load_accounts`` reads; None when the account is that of the environment, or
    when there is no such file."""
    if config.credentials is not None:
        return None
    return config.auth_file or find(config.directory, _NAME)


def load_accounts(config: Config) -> Accounts:
    """The accounts: the one of the environment, else those of S3AUTH_CONFIG, else
    ``conf/authdata.json``, else ``authdata.json``.

    Raises ConfigError for the first thing wrong, and when there are no accounts anywhere. Call it
    again to read the file again.
    """
    if config.credentials is not None:
        return _custom_account(config.credentials)
    path = accounts_file(config)
    if path is None:
        raise ConfigError(
            f"conf/{_NAME}",
            "",
            "there is no such file: create it, or set SCALITY_ACCESS_KEY_ID and "
            "SCALITY_SECRET_ACCESS_KEY",
        )
    file = display_name(path, config.directory)
    entries = parse(AuthData, read_document(path, file), file).accounts
    _require_unique(entries, file)
    accounts = [_account(entry) for entry in entries]
    credentials = [
        Credential(account, key.access, key.secret.reveal())
        for account, entry in zip(accounts, entries, strict=True)
        for key in entry.keys
    ]
    return Accounts(accounts, credentials)


def _account(entry: AccountEntry) -> Account:
    return Account(entry.name, entry.email, entry.arn, entry.canonical_id, entry.short_id)


def _custom_account(credentials: EnvironmentCredentials) -> Accounts:
    """The account that CloudServer makes of the two variables. Its ID is not hex there either."""
    account = Account(
        name="CustomAccount",
        email="customaccount1@setbyenv.com",
        arn="arn:aws:iam::123456789012:root",
        canonical_id="12349df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47qwer",
        short_id="123456789012",
    )
    secret = credentials.secret_key.reveal()
    return Accounts([account], [Credential(account, credentials.access_key, secret)])


def _require_unique(entries: tuple[AccountEntry, ...], file: str) -> None:
    """No two accounts share an ARN, e-mail, canonical ID or account ID, by which users and policies
    belong to one, and no two keys an access key."""
    owners: dict[tuple[str, str], str] = {}

    def claim(kind: str, value: str, place: str, key: str) -> None:
        owner = owners.setdefault((kind, value), place)
        if owner != place:
            raise ConfigError(file, f"{place}.{key}", f"{value!r} is already that of {owner}")

    for index, entry in enumerate(entries):
        place = f"accounts[{index}]"
        claim("arn", entry.arn, place, "arn")
        claim("email", entry.email.lower(), place, "email")
        claim("canonical ID", entry.canonical_id, place, "canonicalID")
        claim("account ID", entry.short_id, place, "shortid")
        for key_index, key in enumerate(entry.keys):
            claim("access key", key.access, f"{place}.keys[{key_index}]", "access")
