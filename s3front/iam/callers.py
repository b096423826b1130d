"""Who is meant by a name that somebody types: an ARN, an account ID, an access key. Pure."""

from __future__ import annotations

import re
from typing import Final

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import the_account, the_role, the_user
from s3front.iam.identity_ids import parsed_arn

ANYBODY: Final = "anonymous"
"""Who does not sign."""

SIMULATED: Final = "simulated"
"""The name of a session that nobody has."""

_ACCOUNT: Final = re.compile(r"(?:arn:aws:iam::)?([0-9]{12})(?::root)?\Z")
_ROLE: Final = re.compile(r"arn:aws:iam::[0-9]{12}:role/")


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
    return _there(directory.principal_of_role(role, SIMULATED), account_id)


def _of_user(directory: Directory, account_id: str, name: str) -> Principal:
    user = the_user(directory, account_id, name)
    return _there(directory.principal_of_user(user), account_id)


def _there(principal: Principal | None, account_id: str) -> Principal:
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
