"""Who is meant by a name that somebody types: an ARN, an account ID, an access key. Pure."""

from __future__ import annotations

import re
from typing import Final

from s3front.auth.identity import ANONYMOUS, Principal
from s3front.iam.directory import Directory
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import the_account, the_holder_of
from s3front.iam.records import Role, User

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
    is_role = _ROLE.match(name) is not None
    holder = the_holder_of(directory, "role" if is_role else "user", name)
    if isinstance(holder, Role):
        return _there(directory.principal_of_role(holder, SIMULATED), holder.account)
    assert isinstance(holder, User)
    return _there(directory.principal_of_user(holder), holder.account)


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
    return _there(directory.principal_of_user(user), user.account)
