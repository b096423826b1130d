"""IAM's calls about groups (IAM API reference; each function is the call of its name)."""

from __future__ import annotations

from typing import Final

from s3front.iam.group_changes import create_group as created_group
from s3front.iam.group_changes import delete_group as deleted_group
from s3front.iam.group_changes import update_group as updated_group
from s3front.iam.identity_checks import the_group, the_user
from s3front.iam.records import Group, User, group_key
from s3front.iam.user_changes import add_to_group, remove_from_group
from s3front.query_api.answer_pages import in_text, marked, page_of, page_of_map
from s3front.query_api.call import CallContext, Result, table
from s3front.query_api.call_parameters import Parameters
from s3front.query_api.iam_rules import GROUP_NAME, PATH_PREFIX, USER_NAME
from s3front.query_api.iam_subjects import (
    a_group,
    a_new_group,
    a_user,
    groups,
    iam_call,
    what_is_renamed,
)
from s3front.query_api.shown_identities import shown_group, shown_user


async def create_group(context: CallContext, parameters: Parameters) -> Result:
    name, path = parameters.required("GroupName"), parameters.text("Path") or "/"
    group = await context.change(
        lambda directory: created_group(directory, context.account_id, name, path=path)
    )
    return {"Group": shown_group(group)}


async def get_group(context: CallContext, parameters: Parameters) -> Result:
    """The group with its members, a page of them."""
    directory = context.directory
    name = parameters.required("GroupName", GROUP_NAME)
    group = the_group(directory, context.account_id, name)
    after = marked(parameters)
    keys = [key for key in directory.identities.members(group.id) if key > after]
    found = (directory.identities.get(User, key) for key in keys)
    members = (user for user in found if user is not None)
    page = page_of(parameters, "Users", members, lambda user: user.key, shown_user)
    return {"Group": shown_group(group), **page}


async def list_groups(context: CallContext, parameters: Parameters) -> Result:
    prefix = parameters.text("PathPrefix", PATH_PREFIX) or "/"
    room, after = f"group/{context.account_id}", marked(parameters)
    begin = after and group_key(context.account_id, after)
    every = context.directory.every(Group, room, begin, in_text(prefix))
    found = (group for group in every if group.path.startswith(prefix))
    return page_of(parameters, "Groups", found, lambda group: group.name, shown_group)


async def update_group(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("GroupName", GROUP_NAME)
    new_name, new_path = parameters.text("NewGroupName"), parameters.text("NewPath")
    await context.change(
        lambda directory: updated_group(
            directory, context.account_id, name, new_name=new_name, new_path=new_path
        )
    )
    return None


async def delete_group(context: CallContext, parameters: Parameters) -> Result:
    name = parameters.required("GroupName", GROUP_NAME)
    await context.change(lambda directory: deleted_group(directory, context.account_id, name))
    return None


async def add_user_to_group(context: CallContext, parameters: Parameters) -> Result:
    group = parameters.required("GroupName", GROUP_NAME)
    user = parameters.required("UserName", USER_NAME)
    await context.change(lambda directory: add_to_group(directory, context.account_id, group, user))
    return None


async def remove_user_from_group(context: CallContext, parameters: Parameters) -> Result:
    group = parameters.required("GroupName", GROUP_NAME)
    user = parameters.required("UserName", USER_NAME)
    await context.change(
        lambda directory: remove_from_group(directory, context.account_id, group, user)
    )
    return None


async def list_groups_for_user(context: CallContext, parameters: Parameters) -> Result:
    directory = context.directory
    name = parameters.required("UserName", USER_NAME)
    user = the_user(directory, context.account_id, name)
    found = (directory.group_by_id(group_id) for group_id in user.groups)
    named = {group.name: group for group in found if group is not None}
    return page_of_map(parameters, "Groups", named, lambda name: shown_group(named[name]))


CALLS: Final = table(
    iam_call("CreateGroup", create_group, a_new_group),
    iam_call("GetGroup", get_group, a_group),
    iam_call("ListGroups", list_groups, groups),
    iam_call("UpdateGroup", update_group, a_group, becomes=what_is_renamed),
    iam_call("DeleteGroup", delete_group, a_group),
    iam_call("AddUserToGroup", add_user_to_group, a_group),
    iam_call("RemoveUserFromGroup", remove_user_from_group, a_group),
    iam_call("ListGroupsForUser", list_groups_for_user, a_user),
)
