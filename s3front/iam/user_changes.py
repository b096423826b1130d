"""Making, changing and removing users. Pure but for new IDs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change, put
from s3front.iam.directory import Directory
from s3front.iam.holder_changes import check_can_be_deleted
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    attachable,
    check_name,
    check_path,
    check_quota,
    checked_tags,
    the_account,
    the_group,
    the_user,
)
from s3front.iam.identity_ids import USER_PREFIX, new_id
from s3front.iam.records import User, user_key
from shared.records.times import now, to_iso


def create_user(
    directory: Directory,
    account_id: str,
    name: str,
    *,
    path: str = "/",
    tags: Sequence[tuple[str, str]] = (),
    boundary: str | None = None,
) -> Change[User]:
    """A new user, who may nothing as yet. ``boundary`` is the ARN of a managed policy."""
    check_name(name, "user", "userName")
    check_path(path)
    the_account(directory, account_id)
    _check_is_free(directory, account_id, name)
    users = directory.identities.keys(f"user/{account_id}")
    check_quota(len(users), quotas.USERS_MAX, "UsersPerAccount")
    if boundary is not None:
        attachable(directory, account_id, boundary)
    user = User(
        account=account_id,
        name=name,
        id=new_id(USER_PREFIX),
        path=path,
        created=to_iso(now()),
        tags=checked_tags(tags),
        boundary=boundary,
    )
    return Change({user.key: user}, user)


def update_user(
    directory: Directory,
    account_id: str,
    name: str,
    *,
    new_name: str | None = None,
    new_path: str | None = None,
) -> Change[User]:
    """Another name or path. Keys, groups and policies stay."""
    user = the_user(directory, account_id, name)
    before = user.key
    if new_name is not None:
        check_name(new_name, "user", "newUserName")
        if new_name.lower() != user.name.lower():
            _check_is_free(directory, account_id, new_name)
        user = replace(user, name=new_name)
    if new_path is not None:
        check_path(new_path)
        user = replace(user, path=new_path)
    if user.key == before:
        return Change({user.key: user}, user)
    return Change({user.key: user, before: None}, user)


def delete_user(directory: Directory, account_id: str, name: str) -> Change[None]:
    """Remove a user who has no keys, policies and groups any more."""
    user = the_user(directory, account_id, name)
    if user.access_keys:
        raise IamError("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    check_can_be_deleted(user)
    if user.groups:
        raise IamError(
            "DeleteConflict", "Cannot delete entity, must remove users from group first."
        )
    return Change({user.key: None}, None)


def add_to_group(directory: Directory, account_id: str, group: str, name: str) -> Change[None]:
    """Make a user a member of a group; one who is, stays it."""
    found = the_group(directory, account_id, group)
    user = the_user(directory, account_id, name)
    if found.id in user.groups:
        return Change({}, None)
    check_quota(len(user.groups), quotas.GROUPS_OF_USER_MAX, "GroupsPerUser")
    return put(replace(user, groups=(*user.groups, found.id)))


def remove_from_group(directory: Directory, account_id: str, group: str, name: str) -> Change[None]:
    """A user who is no member needs not be removed."""
    found = the_group(directory, account_id, group)
    user = the_user(directory, account_id, name)
    if found.id not in user.groups:
        return Change({}, None)
    return put(replace(user, groups=tuple(each for each in user.groups if each != found.id)))


def _check_is_free(directory: Directory, account_id: str, name: str) -> None:
    if directory.identities.text(user_key(account_id, name)) is not None:
        raise IamError("EntityAlreadyExists", f"User with name {name} already exists.")
