"""Making, changing and removing groups. Pure but for new IDs."""

from __future__ import annotations

from msgspec.structs import replace

from s3front.iam import quotas
from s3front.iam.change import Change
from s3front.iam.directory import Directory
from s3front.iam.holder_changes import check_can_be_deleted
from s3front.iam.iam_errors import IamError
from s3front.iam.identity_checks import (
    check_all_can_be_read,
    check_name,
    check_path,
    check_quota,
    the_account,
    the_group,
)
from s3front.iam.identity_ids import GROUP_PREFIX, new_id
from s3front.iam.records import Group, group_key
from shared.records.times import now, to_iso


def create_group(
    directory: Directory, account_id: str, name: str, *, path: str = "/"
) -> Change[Group]:
    """A new group, of nobody."""
    check_name(name, "group", "groupName")
    check_path(path)
    the_account(directory, account_id)
    _check_is_free(directory, account_id, name)
    groups = directory.identities.keys(f"group/{account_id}")
    check_quota(len(groups), quotas.GROUPS_MAX, "GroupsPerAccount")
    group = Group(
        account=account_id, name=name, id=new_id(GROUP_PREFIX), path=path, created=to_iso(now())
    )
    return Change({group.key: group}, group)


def update_group(
    directory: Directory,
    account_id: str,
    name: str,
    *,
    new_name: str | None = None,
    new_path: str | None = None,
) -> Change[Group]:
    """Another name or path. Its members and policies stay."""
    group = the_group(directory, account_id, name)
    before = group.key
    if new_name is not None:
        check_name(new_name, "group", "newGroupName")
        if new_name.lower() != group.name.lower():
            _check_is_free(directory, account_id, new_name)
        group = replace(group, name=new_name)
    if new_path is not None:
        check_path(new_path)
        group = replace(group, path=new_path)
    if group.key == before:
        return Change({group.key: group}, group)
    return Change({group.key: group, before: None}, group)


def delete_group(directory: Directory, account_id: str, name: str) -> Change[None]:
    """Remove a group that has no members and policies any more."""
    group = the_group(directory, account_id, name)
    check_all_can_be_read(directory, account_id)
    if directory.identities.members(group.id):
        raise IamError(
            "DeleteConflict", "Cannot delete entity, must remove users from group first."
        )
    check_can_be_deleted(group)
    return Change({group.key: None}, None)


def _check_is_free(directory: Directory, account_id: str, name: str) -> None:
    if directory.identities.text(group_key(account_id, name)) is not None:
        raise IamError("EntityAlreadyExists", f"Group with name {name} already exists.")
