"""Making, changing and removing access keys, of users and of accounts themselves.

The secret of a new key is told once, and kept sealed by the current master key
(``s3front.keys.sealed_text``), which is not where the metadata are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    check_length,
    check_quota,
    invalid_value,
    the_account,
    the_user,
)
from s3front.iam.identity_ids import new_access_key_id, new_secret
from s3front.iam.records import (
    ACTIVE,
    INACTIVE,
    AccessKey,
    Account,
    KeyStatus,
    User,
    secret_name,
)
from s3front.keys.sealed_text import seal_text
from s3front.keys.sealing import Keys
from s3front.metadata import gateway
from s3front.s3_errors import S3Error
from shared.records.names import IAM_LAST_USED
from shared.records.times import from_iso, now, to_iso

_ID: Final = re.compile(r"\w{16,128}\Z", re.ASCII)
_SECRET: Final = re.compile(r"[!-~]{8,128}\Z")


class NewKey(msgspec.Struct, frozen=True):
    """A key that is to be made, or was; ``secret`` is readable, which ``repr`` is not. ``user`` is
    the name of a user, None: the key is the account's."""

    record: AccessKey
    secret: str
    user: str | None

    def __repr__(self) -> str:
        return f"NewKey({self.record.id!r})"


async def new_access_key(
    keys: Keys,
    account_id: str,
    user: str | None,
    *,
    given: tuple[str, str] | None = None,
    expires: datetime | None = None,
    description: str = "",
) -> NewKey:
    """Prepare a key; ``given`` are an ID and a secret that it is to have, else both are made.

    Raises IamError, and S3Error when the secret cannot be sealed: NotImplemented where no master
    key is set up.
    """
    check_length(description, "description", 0, quotas.DESCRIPTION_CHARACTERS_MAX)
    if given is not None:
        check_length(given[0], "accessKeyId", 16, 128)
        if _ID.match(given[0]) is None:
            raise invalid_value(
                "accessKeyId", "Member must satisfy regular expression pattern: \\w+"
            )
        if _SECRET.match(given[1]) is None:
            raise invalid_value("secretAccessKey", "Member must have 8 to 128 printable characters")
    key_id, secret = given or (new_access_key_id(account_id), new_secret())
    record = AccessKey(
        id=key_id,
        account=account_id,
        secret=await _sealed(keys, secret, key_id),
        created=to_iso(now()),
        expires=None if expires is None else to_iso(expires),
        description=description,
    )
    return NewKey(record, secret, user)


async def _sealed(keys: Keys, secret: str, key_id: str) -> Mapping[str, str]:
    try:
        return await seal_text(keys, secret, secret_name(key_id))
    except S3Error as error:
        if error.code != "NotImplemented":
            raise
        raise S3Error(
            "NotImplemented",
            "The secrets of access keys are sealed by a master key, and this server has none. Its "
            "operator makes one by: s3front keys create",
        ) from error


def create_access_key(directory: Directory, new: NewKey) -> Change[NewKey]:
    """Make a key that was prepared: at most two of a user, and of an account."""
    record = new.record
    owner: User | Account
    if new.user is None:
        owner = the_account(directory, record.account)
    else:
        owner = the_user(directory, record.account, new.user)
        record = replace(record, user_id=owner.id)
    check_quota(len(owner.access_keys), quotas.ACCESS_KEYS_MAX, "AccessKeysPerUser")
    if directory.knows_access_key(record.id):
        raise IamError("EntityAlreadyExists", f"The Access Key with id {record.id} already exists.")
    owner = replace(owner, access_keys=(*owner.access_keys, record.id))
    return Change({record.key: record, owner.key: owner}, replace(new, record=record))


def update_access_key(
    directory: Directory,
    account_id: str,
    user: str | None,
    key_id: str,
    *,
    status: KeyStatus | None = None,
    description: str | None = None,
    expires: datetime | None = None,
) -> Change[AccessKey]:
    """Another status, description or end."""
    record = the_access_key(directory, account_id, user, key_id)
    if status is not None:
        if status not in (ACTIVE, INACTIVE):
            raise invalid_value("status", "Member must satisfy enum value set: [Active, Inactive]")
        record = replace(record, status=status)
    if description is not None:
        check_length(description, "description", 0, quotas.DESCRIPTION_CHARACTERS_MAX)
        record = replace(record, description=description)
    if expires is not None:
        record = replace(record, expires=to_iso(expires))
    return Change({record.key: record}, record)


def delete_access_key(
    directory: Directory, account_id: str, user: str | None, key_id: str
) -> Change[None]:
    """Remove a key, and what is known of its use."""
    record = the_access_key(directory, account_id, user, key_id)
    owner: User | Account
    if user is None:
        owner = the_account(directory, account_id)
    else:
        owner = the_user(directory, account_id, user)
    owner = replace(owner, access_keys=tuple(k for k in owner.access_keys if k != key_id))
    forgotten = gateway.delete(IAM_LAST_USED, key_id)
    return Change({owner.key: owner, record.key: None}, None, besides=[forgotten])


def the_access_key(
    directory: Directory, account_id: str, user: str | None, key_id: str
) -> AccessKey:
    """The key of a user, or for None of an account itself. Raises NoSuchEntity."""
    owner: User | Account
    if user is None:
        owner = the_account(directory, account_id)
    else:
        owner = the_user(directory, account_id, user)
    record = directory.access_key(key_id) if key_id in owner.access_keys else None
    if record is None:
        raise IamError("NoSuchEntity", f"The Access Key with id {key_id} cannot be found.")
    return record


def has_expired(record: AccessKey, moment: datetime) -> bool:
    """Whether a key has come to its end."""
    return record.expires is not None and from_iso(record.expires) <= moment
