"""Who is meant by a name that somebody types: an ARN, an account ID, an access key. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import the_account, the_role, the_user
from s3front.iam.identity_ids import parsed_arn

ANYBODY: Final = "anonymous"
"""Who does not sign."""

_ACCOUNT: Final = re.compile(r"(?:arn:aws:iam::)?([0-9]{12})(?::root)?\Z")
_ROLE: Final = re.compile(r"arn:aws:iam::[0-9]{12}:role/")
_SESSION: Final = "arn:aws:sts::{account}:assumed-role/{role}/simulated"


def caller_named(directory: Directory, name: str) -> Principal:
    """Whom a name means; of a role, a session of it without policies of its own. Raises IamError:
    NoSuchEntity, InvalidInput."""
    if name in (ANYBODY, "*"):
        return ANONYMOUS
    account = _ACCOUNT.match(name)
    if account is not None:
        return directory.principal_of_account(the_account(directory, account[1]))
    if not name.startswith("arn:"):
        return _of_access_key(directory, name)
    if _ROLE.match(name) is None:
        account_id, user = parsed_arn(name, "user")
        return _of_user(directory, account_id, user)
    account_id, role_name = parsed_arn(name, "role")
    role = the_role(directory, account_id, role_name)
    principal = directory.principal_of_account(the_account(directory, account_id))
    return msgspec.structs.replace(
        principal,
        arn=_SESSION.format(account=account_id, role=role.name),
        rights=directory.rights_of_role(role),
        user_id=f"{role.id}:simulated",
        kind="AssumedRole",
        role_arn=role.arn,
        tags=role.tags,
    )


def _of_user(directory: Directory, account_id: str, name: str) -> Principal:
    principal = directory.principal_of_user(the_user(directory, account_id, name))
    if principal is None:
        raise IamError("NoSuchEntity", f"The account {account_id} cannot be found.")
    return principal


def _of_access_key(directory: Directory, access_key: str) -> Principal:
    key = directory.access_key(access_key)
    if key is None:
        raise IamError("NoSuchEntity", f"The access key {access_key} is of no user.")
    if key.user_id is None:
        return directory.principal_of_account(the_account(directory, key.account))
    user = directory.user_by_id(key.user_id)
    if user is None:
        raise IamError("NoSuchEntity", f"The user of the access key {access_key} is gone.")
    return _of_user(directory, user.account, user.name)
