"""Making, changing and removing accounts. Pure but for new IDs.

Those of the configuration are its own to change: here they can be given an alias, a block of public
access, and access keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import check_length, check_quota, invalid_value, the_account
from s3front.iam.identity_ids import ACCOUNT_ID, new_account_id, new_canonical_id
from s3front.iam.records import Account, AccountStatus, account_key
from s3front.metadata import gateway
from s3front.metadata.gateway import Requirement
from shared.records.names import IAM, SERVICE_ID_PREFIX, SPLITTER, USERS_BUCKET
from shared.records.times import now, to_iso

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,64}\Z")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\Z")
_EMAIL_CHARACTERS_MAX: Final = 256
_ALIAS: Final = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]\Z")
_SERVICE: Final = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
_CANONICAL_ID: Final = re.compile(r"[0-9a-f]{64}\Z")

_OWNED: Final = (
    ("user", "users"),
    ("group", "groups"),
    ("role", "roles"),
    ("policy", "policies"),
    ("oidc", "OpenID Connect providers"),
)


def create_account(
    directory: Directory,
    name: str,
    email: str,
    *,
    account_id: str | None = None,
    canonical_id: str | None = None,
    service: str | None = None,
) -> Change[Account]:
    """A new account. ``account_id`` and ``canonical_id`` are for accounts that were elsewhere
    before; of a ``service`` the canonical ID is the one that the original knows it by."""
    check_quota(sum(1 for _ in directory.accounts()), quotas.ACCOUNTS_MAX, "Accounts")
    _check_name(directory, name)
    _check_email(directory, email)
    if service is not None:
        if canonical_id is not None or _SERVICE.match(service) is None:
            raise invalid_value("service", "Member must be the name of a service")
        canonical_id = SERVICE_ID_PREFIX + service
    elif canonical_id is not None and _CANONICAL_ID.match(canonical_id) is None:
        raise invalid_value("canonicalId", "Member must have 64 hexadecimal digits")
    if account_id is None:
        account_id = _free_id(directory)
    elif ACCOUNT_ID.match(account_id) is None:
        raise invalid_value("accountId", "Member must have 12 digits")
    elif (
        directory.account(account_id) is not None
        or account_key(account_id) in directory.identities.unreadable
    ):
        raise IamError("EntityAlreadyExists", f"Account with ID {account_id} already exists.")
    canonical_id = canonical_id or new_canonical_id()
    if directory.account_by_canonical_id(canonical_id) is not None:
        raise IamError(
            "EntityAlreadyExists", f"Account with canonical ID {canonical_id} already exists."
        )
    account = Account(
        id=account_id,
        name=name,
        email=email,
        canonical_id=canonical_id,
        created=to_iso(now()),
    )
    return Change({account.key: account}, account)


def update_account(
    directory: Directory, account_id: str, *, name: str | None = None, email: str | None = None
) -> Change[Account]:
    """Another name or address."""
    account = _stored(directory, account_id)
    if name is not None and name != account.name:
        _check_name(directory, name)
        account = replace(account, name=name)
    if email is not None and email.lower() != account.email.lower():
        _check_email(directory, email)
    account = replace(account, email=email or account.email)
    return Change({account.key: account}, account)


def set_account_status(
    directory: Directory, account_id: str, status: AccountStatus
) -> Change[None]:
    """A suspended account, its users and its sessions may do nothing."""
    return put(replace(_stored(directory, account_id), status=status))


def delete_account(directory: Directory, account_id: str) -> Change[None]:
    """Remove an account that has nothing any more, not even buckets."""
    account = _stored(directory, account_id)
    if account.access_keys:
        raise IamError("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    for kind, what in _OWNED:
        if directory.identities.keys(f"{kind}/{account_id}"):
            raise IamError("DeleteConflict", f"Cannot delete entity, must delete {what} first.")
    begin = account.canonical_id + SPLITTER
    end = begin[:-1] + chr(ord(begin[-1]) + 1)
    no_buckets = gateway.is_empty(USERS_BUCKET, {"gte": begin, "lt": end})
    refusal = IamError("DeleteConflict", "Cannot delete entity, must delete buckets first.")
    return Change({account.key: None}, None, requires=[no_buckets], refusal=refusal)


def stays(directory: Directory, account_id: str) -> list[Requirement]:
    """What a commit requires that makes a bucket of an account: that ``delete_account`` was not
    faster. One of the configuration is there without a record."""
    account = directory.account(account_id)
    if account is not None and account.from_file:
        return []
    return [gateway.is_present(IAM, account_key(account_id))]


def create_alias(directory: Directory, account_id: str, alias: str) -> Change[None]:
    """Give an account an alias, in the place of the one that it has."""
    account = the_account(directory, account_id)
    check_length(alias, "accountAlias", 3, 63)
    if _ALIAS.match(alias) is None or ACCOUNT_ID.match(alias) is not None:
        raise invalid_value(
            "accountAlias",
            "Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){1,61}"
            "[a-z0-9]$",
        )
    other = directory.account_by_alias(alias)
    if other is not None and other.id != account_id:
        raise IamError("EntityAlreadyExists", f"The account alias {alias} already exists.")
    return put(replace(account, alias=alias))


def delete_alias(directory: Directory, account_id: str, alias: str) -> Change[None]:
    account = the_account(directory, account_id)
    if account.alias != alias:
        raise IamError("NoSuchEntity", f"The Account Alias with name {alias} cannot be found.")
    return put(replace(account, alias=None))


def set_public_access_block(
    directory: Directory, account_id: str, block: Mapping[str, bool] | None
) -> Change[None]:
    """What all buckets of an account block; None: nothing of its own."""
    return put(replace(the_account(directory, account_id), public_access_block=block))


def _stored(directory: Directory, account_id: str) -> Account:
    """An account that can be changed here. Raises IamError."""
    account = the_account(directory, account_id)
    if account.from_file:
        raise IamError(
            "UnmodifiableEntity",
            f"The account {account.name} is one of the configuration, which has to be changed.",
        )
    return account


def _check_name(directory: Directory, name: str) -> None:
    if _NAME.match(name) is None:
        raise invalid_value("name", "Member must have 1 to 64 characters that can be printed")
    if any(account.name == name for account in directory.accounts()):
        raise IamError("EntityAlreadyExists", f"Account with name {name} already exists.")


def _check_email(directory: Directory, email: str) -> None:
    if _EMAIL.match(email) is None or len(email) > _EMAIL_CHARACTERS_MAX:
        raise invalid_value("email", "Member must be an e-mail address")
    if directory.account_by_email(email) is not None:
        raise IamError("EntityAlreadyExists", f"Account with e-mail {email} already exists.")


def _free_id(directory: Directory) -> str:
    """An ID that nobody has, nor ever had who has left something behind."""
    while True:
        account_id = new_account_id()
        if (
            directory.account(account_id) is None
            and directory.identities.text(account_key(account_id)) is None
        ):
            return account_id
